//! A provider that objects to nothing would prove nothing, so here it is sent what it has to object to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{FakeProvider, INFOBIP, MESSAGEBIRD, NUMBER, PLIVO, Reply, TELNYX, TEXTBELT};

const TWILIO: &str =
    "POST /2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json HTTP/1.1";
const TWILIO_BASIC: &str = "Authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDp0d2lsaW8tYXV0aC10b2tlbg==\r\n";
const TWILIO_FORM: &str = "To=%2B14155552671&From=%2B14755292729&Body=Hello";
const NEXMO: &str = "POST /sms/json HTTP/1.1";
const NEXMO_FORM: &str =
    "api_key=abcd1234&api_secret=nexmo-api-secret&from=AcmeInc&to=14155552671&text=Hello";

/// Returns the start of the question what became of the message `sid`.
fn question(sid: &str) -> String {
    TWILIO.replace("POST", "GET").replace("Messages.json", &format!("Messages/{sid}.json"))
}

/// Returns a request that carries `form`.
fn request(start: &str, headers: &str, form: &str) -> String {
    let length = form.len();
    format!(
        "{start}\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}Content-Length: {length}\r\n\r\n{form}"
    )
}

/// Sends one request as it stands and returns the answer.
fn exchange(provider: &FakeProvider, start: &str, headers: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", provider.port())).expect("it listens");
    stream.write_all(request(start, headers, form).as_bytes()).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("the request is complete");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// Asserts that dropping the provider fails the test, for a reason that contains `reason`.
#[track_caller]
fn expect_objection(provider: FakeProvider, reason: &str) {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(provider))).expect_err("an objection");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains(reason), "{message}");
}

#[test]
fn a_request_as_documented_is_accepted() {
    for (provider, start, headers, form, status) in [
        (FakeProvider::twilio(), TWILIO, TWILIO_BASIC, TWILIO_FORM, "201"),
        (FakeProvider::nexmo(), NEXMO, "", NEXMO_FORM, "200"),
    ] {
        let answer = exchange(&provider, start, headers, form);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let accepted = provider.accepted().remove(0);
        assert_eq!((accepted.phone_number.as_str(), accepted.text.as_str()), (NUMBER, "Hello"));
        provider.check();
    }
}

#[test]
fn twilio_objects_to_each_departure_from_its_documents() {
    let departures = [
        ("path", TWILIO.replace("Messages.json", "Messages"), TWILIO_BASIC, TWILIO_FORM.to_owned()),
        ("method", TWILIO.replace("POST", "PUT"), TWILIO_BASIC, TWILIO_FORM.to_owned()),
        ("authorization", TWILIO.to_owned(), "", TWILIO_FORM.to_owned()),
        ("form fields", TWILIO.to_owned(), TWILIO_BASIC, format!("{TWILIO_FORM}&Surplus=1")),
        ("From", TWILIO.to_owned(), TWILIO_BASIC, TWILIO_FORM.replace("1475", "1476")),
        ("To", TWILIO.to_owned(), TWILIO_BASIC, TWILIO_FORM.replace("%2B1415", "1415")),
        ("encoding of +", TWILIO.to_owned(), TWILIO_BASIC, TWILIO_FORM.replace("%2B1415", "+1415")),
        ("Body", TWILIO.to_owned(), TWILIO_BASIC, TWILIO_FORM.to_owned() + &"o".repeat(1596)),
    ];
    for (reason, start, headers, form) in departures {
        let provider = FakeProvider::twilio();
        exchange(&provider, &start, headers, &form);
        expect_objection(provider, reason);
    }
}

#[test]
fn twilio_tells_what_became_of_a_message_that_it_accepted_and_of_no_other() {
    let provider = FakeProvider::twilio();
    exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
    provider.answer_next_question(Reply::undelivered("failed", 30003, None));
    let told = exchange(&provider, &question(&provider.accepted()[0].message_id), TWILIO_BASIC, "");
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    for field in ["\"status\":\"failed\"", "\"error_code\":30003", "\"error_message\":null"] {
        assert!(told.contains(field), "{told}");
    }
    let other = exchange(&provider, &question(&format!("SM{}", "f".repeat(32))), TWILIO_BASIC, "");
    assert!(other.starts_with("HTTP/1.1 404 ") && other.contains("20404"), "{other}");
    assert_eq!((provider.questions().len(), provider.accepted().len()), (2, 1));
    provider.check();
}

#[test]
fn twilio_objects_to_a_question_that_its_documents_do_not_have() {
    let sound = question(&format!("SM{}", "0".repeat(32)));
    for (reason, start, headers, form) in [
        ("path", sound.replace(".json", ""), TWILIO_BASIC, ""),
        ("path", sound.replace("SM0", "SM"), TWILIO_BASIC, ""),
        ("path", sound.replace("AC0", "AC1"), TWILIO_BASIC, ""),
        ("authorization", sound.clone(), "", ""),
        ("body", sound, TWILIO_BASIC, "To=%2B14155552671"),
    ] {
        let provider = FakeProvider::twilio();
        exchange(&provider, &start, headers, form);
        expect_objection(provider, reason);
    }
}

#[test]
fn nexmo_objects_to_each_departure_from_its_documents() {
    let departures = [
        ("form fields", format!("{NEXMO_FORM}&type=unicode")),
        ("form fields", NEXMO_FORM.replace("Hello", "%D0%9F")),
        ("type", NEXMO_FORM.replace("Hello", "%D0%9F&type=text")),
        ("to", NEXMO_FORM.replace("to=1", "to=%2B1")),
        ("api_secret", NEXMO_FORM.replace("nexmo-api-secret", "another")),
    ];
    for (reason, form) in departures {
        let provider = FakeProvider::nexmo();
        exchange(&provider, NEXMO, "", &form);
        expect_objection(provider, reason);
    }
}

#[test]
fn each_further_provider_objects_to_what_its_documents_do_not_have() {
    let form = "phone=%2B14155552671&message=Hello&key=s3cr%2Bt%2Fof%3Dthe%26account";
    let textbelt = [
        ("path", "POST /texts HTTP/1.1", "", form.to_owned()),
        ("method", "PUT /text HTTP/1.1", "", form.to_owned()),
        ("authorization", "POST /text HTTP/1.1", "Authorization: Bearer a\r\n", form.to_owned()),
        ("form fields", "POST /text HTTP/1.1", "", format!("{form}&sender=a")),
        ("key", "POST /text HTTP/1.1", "", form.replace("key=s", "key=")),
        ("phone", "POST /text HTTP/1.1", "", form.replace("%2B1415", "1415")),
        ("encoding of +", "POST /text HTTP/1.1", "", form.replace("%2B1415", "+1415")),
    ];
    for (reason, start, headers, form) in textbelt {
        let provider = FakeProvider::from_api(TEXTBELT);
        exchange(&provider, start, headers, &form);
        expect_objection(provider, reason);
    }
    for api in [PLIVO, MESSAGEBIRD, TELNYX, INFOBIP] {
        for reason in ["path", "authorization", "content-type", "JSON"] {
            let provider = FakeProvider::from_api(api);
            exchange(&provider, "POST /elsewhere HTTP/1.1", "", form);
            expect_objection(provider, reason);
        }
    }
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let provider = FakeProvider::twilio();
    let stream = TcpStream::connect(("127.0.0.1", provider.port())).expect("it listens");
    let mut answers = BufReader::new(&stream);
    for count in 1..=3 {
        (&stream)
            .write_all(request(TWILIO, TWILIO_BASIC, TWILIO_FORM).as_bytes())
            .expect("it reads");
        let mut line = String::new();
        answers.read_line(&mut line).expect("it answers");
        assert!(line.starts_with("HTTP/1.1 201 "), "{line}");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).expect("a header");
            length = line
                .strip_prefix("Content-Length: ")
                .map_or(length, |value| value.trim_end().parse().expect("a length"));
        }
        answers.read_exact(&mut vec![0; length]).expect("the body");
        assert_eq!(provider.requests().len(), count);
    }
    drop(stream);
    exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
    let connections: Vec<usize> =
        provider.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
}

#[test]
fn a_provider_that_was_never_called_fails_the_test_unless_told_so() {
    expect_objection(FakeProvider::twilio(), "whether the provider was called");
    drop(FakeProvider::twilio().never_called());
    let provider = FakeProvider::twilio().never_called();
    exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
    expect_objection(provider, "whether the provider was called");
}

#[test]
fn a_client_that_comes_back_before_retry_after_fails_the_test() {
    for reply in [
        Reply::answer(503, "").retry_after_seconds(60),
        Reply::answer(503, "").retry_after_date(60),
    ] {
        let provider = FakeProvider::twilio();
        provider.next(reply);
        let answer = exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
        exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
        expect_objection(provider, "before Retry-After");
    }
}

#[test]
fn the_log_knows_how_many_requests_waited_at_once() {
    let provider = FakeProvider::twilio();
    let held = [provider.hold_next(), provider.hold_next(), provider.hold_next()];
    std::thread::scope(|scope| {
        for _ in &held {
            scope.spawn(|| exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM));
        }
        provider.wait_until("three requests in flight", |log| log.in_flight == 3);
        for held in held {
            held.wait_for_arrival();
            held.release(Reply::accept());
        }
    });
    exchange(&provider, TWILIO, TWILIO_BASIC, TWILIO_FORM);
    let log = provider.log();
    assert_eq!((log.in_flight, log.most_in_flight, log.accepted.len()), (0, 3, 4));
    assert_eq!(log.connections, 4);
}
