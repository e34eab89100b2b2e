//! `deliveries`: what was sent, what failed and why, without a look at each number.

use std::io::{BufRead, BufReader};

use serde_json::json;

use crate::support::{
    Environment, FakeProvider, NUMBER, OTHER_NUMBER, PastDelivery, Reply, add_dashes,
    format_rfc3339, is_on_server, run_command,
};

/// State, number, backend, code and words of the provider, age in seconds.
type Row =
    (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, i64);

/// Deliveries, the newest first.
const DELIVERIES: [Row; 6] = [
    ("accepted", NUMBER, "twilio", None, None, 10),
    ("rejected", NUMBER, "twilio", Some("21610"), Some("Attempt to send to unsubscribed"), 20),
    ("unavailable", OTHER_NUMBER, "nexmo", Some("429"), Some("Too Many Requests"), 30),
    ("undelivered", OTHER_NUMBER, "twilio", Some("30006"), None, 40),
    ("unknown", NUMBER, "twilio", Some("20500"), Some("Internal Server Error"), 50),
    ("rejected", NUMBER, "http", Some("77"), Some("No route"), 7200),
];

fn environment() -> Environment {
    let environment = Environment::with_database("");
    for (state, phone_number, backend, code, words, age) in DELIVERIES.into_iter().rev() {
        environment.insert_delivery(&PastDelivery {
            state,
            phone_number,
            backend,
            age,
            ..PastDelivery::default()
        });
        let [code, words] = [code, words]
            .map(|text: Option<&str>| text.map_or("NULL".to_owned(), |text| format!("'{text}'")));
        environment.execute(&[&format!(
            "UPDATE sms_delivery SET error_code = {code}, error_message = {words}
             WHERE id = (SELECT max(id) FROM sms_delivery)"
        )]);
    }
    environment
}

/// Returns the states of the deliveries that are listed.
#[track_caller]
fn states(environment: &Environment, options: &[&str]) -> Vec<String> {
    let arguments = [&["--format", "json", "deliveries"], options].concat();
    let run = environment.run(&arguments).expect_code(0);
    assert_eq!(run.stderr, "", "{options:?}");
    run.json_lines().iter().map(|row| row["state"].as_str().expect("a state").to_owned()).collect()
}

#[test]
fn each_filter_leaves_its_deliveries() {
    let environment = environment();
    let all = DELIVERIES.map(|delivery| delivery.0);
    assert_eq!(states(&environment, &[]), all);
    for (options, expected) in [
        (&["--failed"][..], &["rejected", "unavailable", "undelivered", "rejected"][..]),
        (&["--failed", "--since", "1h"], &["rejected", "unavailable", "undelivered"]),
        (&["--state", "accepted,unknown"], &["accepted", "unknown"]),
        (&["--code", "30006"], &["undelivered"]),
        (&["--cause", "number"], &["rejected", "undelivered"]),
        (&["--cause", "number", "--limit", "1"], &["rejected"]),
        (&["--cause", "temporary"], &["unavailable"]),
        // The outcome is unknown, so the code says nothing for sure.
        (&["--code", "20500", "--cause", "temporary"], &[]),
        (&["--backend", "vonage"], &["unavailable"]),
        (&["--phone-number", OTHER_NUMBER], &["unavailable", "undelivered"]),
        (&[OTHER_NUMBER, "--failed"], &["unavailable", "undelivered"]),
        (&["0143"], &["unavailable", "undelivered"]),
        (&["0143", NUMBER, "--limit", "2"], &["accepted", "rejected"]),
        (&["--limit", "2"], &["accepted", "rejected"]),
    ] {
        assert_eq!(states(&environment, options), expected, "{options:?}");
    }
}

#[test]
fn twenty_are_shown_unless_told_otherwise() {
    let environment = Environment::with_database("");
    (0..25)
        .for_each(|age| environment.insert_delivery(&PastDelivery { age, ..Default::default() }));
    assert_eq!(states(&environment, &[]).len(), 20);
    assert_eq!(states(&environment, &["--all"]).len(), 25);
    let line = "phone-verify --color never deliveries 2>&1";
    let screen = run_command(environment.at_terminal(120, line)).expect_code(0).stdout;
    assert!(screen.ends_with("note: 20 of 25 deliveries; --all shows all\r\n"), "{screen}");
}

#[test]
fn json_and_csv_have_every_field_and_what_the_code_means() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21610, "Attempt to send to unsubscribed recipient"));
    let environment = provider.environment();
    environment.run(&["send", NUMBER]).expect_code(1);
    let row = environment.delivery();
    let delivery = environment.run(&["--format", "json", "deliveries"]).expect_code(0).json();
    let sentences = ["explanation", "next"].map(|name| delivery[name].as_str().unwrap().to_owned());
    assert!(sentences[0].contains("STOP") && sentences[1].contains("START"), "{delivery:#}");
    let expected = json!({
        "id": row.id, "verification_id": add_dashes(&row.verification_id), "phone_number": NUMBER,
        "backend": "twilio", "state": "rejected", "message_id": null, "error_code": "21610",
        "error_message": "Attempt to send to unsubscribed recipient", "cause": "number",
        "explanation": sentences[0], "next": sentences[1], "segments": 1, "tries": 1,
        "language": null, "verified_at": null, "created_at": format_rfc3339(&row.created_at),
        "updated_at": format_rfc3339(&row.updated_at),
    });
    assert_eq!(delivery, expected);
    let csv = environment.run(&["--format", "csv", "deliveries"]).expect_code(0).stdout;
    let heading = "id,verification_id,phone_number,backend,state,message_id,error_code,\
        error_message,cause,explanation,next,segments,tries,language,verified_at,created_at,updated_at\n";
    let (head, body) = csv.split_at(heading.len());
    assert_eq!(head, heading);
    assert!(body.contains(&format!(",{NUMBER},twilio,rejected,,21610,")), "{csv}");
    let columns = ["--format", "csv", "deliveries", "--columns", "state,reason"];
    let csv = environment.run(&columns).expect_code(0).stdout;
    assert_eq!(csv, format!("state,reason\nrejected,{}\n", sentences[0]));
}

#[test]
fn at_a_narrow_terminal_the_reason_takes_several_lines_beside_the_rest() {
    let environment = environment();
    let line = "phone-verify --color never deliveries --failed --since 1h";
    for (columns, lines) in [(80, 8..30), (200, 4..5)] {
        let screen = run_command(environment.at_terminal(columns, line)).expect_code(0).stdout;
        let screen = screen.replace("\r\n", "\n");
        assert!(lines.contains(&screen.lines().count()), "{columns}: {screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= columns), "{screen}");
        let words: String = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("21610") && words.contains("30006"), "{screen}");
        // Its own column, whichever line it is on.
        assert!(screen.contains("replied") && screen.contains("landline"), "{screen}");
    }
}

#[test]
fn without_deliveries_or_a_ledger_that_is_said_and_no_failure() {
    let without = Environment::with_database("");
    without.execute(&["DROP TABLE sms_delivery"]);
    for environment in [Environment::with_database(""), without] {
        let run = environment.run(&["deliveries"]).expect_code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "note: no deliveries\n"));
        let run = environment.run(&["--format", "csv", "deliveries", "--columns", "id,state"]);
        assert_eq!(run.expect_code(0).stdout, "id,state\n");
    }
}

#[test]
fn a_damaged_delivery_is_named_and_the_others_are_shown() {
    if is_on_server() {
        return;
    }
    let environment = environment();
    environment.execute(&["UPDATE sms_delivery SET tries = 'many' WHERE state = 'accepted'"]);
    let run = environment.run(&["--format", "json", "deliveries", "--limit", "1"]).expect_code(1);
    assert_eq!(run.json()["state"], "rejected");
    assert!(run.stderr.contains("table sms_delivery, row"), "{run:#?}");
    assert!(run.stderr.contains("column tries"), "{run:#?}");
}

#[test]
fn a_filter_that_cannot_be_followed_is_a_usage_error() {
    let environment = environment();
    for (options, part) in [
        (&["--state", "lost"][..], "invalid value 'lost'"),
        (&["--cause", "weather"], "invalid value 'weather'"),
        (&["--backend", ""], "a value is required"),
        (&["--failed", "--state", "sending"], "cannot be used with"),
        (&["--columns", "id,id"], "--columns: id is there twice"),
        (&["--columns", "security_code"], "invalid value"),
        (&["--since", "soon"], "--since"),
        (&["+1", "202", "555", "0143"], "'+1 202 555 0143'"),
    ] {
        let run = environment.run(&[&["deliveries"], options].concat()).expect_code(2);
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{part}: {run:#?}");
    }
}

#[test]
fn watching_prints_each_delivery_once_and_again_when_it_changes_until_nobody_reads() {
    let environment = environment();
    let columns = "state,verified_at";
    let arguments = ["--format", "csv", "deliveries", "--watch=1", "--columns", columns];
    let mut program = environment.start(&arguments);
    let mut lines = BufReader::new(program.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    // What is there when the heading is printed isn't new.
    assert_eq!(next(), columns);
    environment.insert_delivery(&PastDelivery { state: "sending", age: 0, ..Default::default() });
    assert_eq!(next(), "sending,");
    environment.execute(&["UPDATE sms_delivery SET state = 'accepted',
         updated_at = '2037-01-01 00:00:00' WHERE state = 'sending'"]);
    assert_eq!(next(), "accepted,");
    environment.execute(&["UPDATE sms_delivery SET verified_at = '2026-11-23 07:46:40'
         WHERE updated_at = '2037-01-01 00:00:00'"]);
    assert_eq!(next(), "accepted,2026-11-23T07:46:40.000000Z");
    drop(lines);
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}
