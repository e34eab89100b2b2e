//! `send --file`: where the numbers come from, what is sent to each, and what is said of it.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{
    Environment, FILE, FIRST, FakeProvider, INVALID, NUMBER, Reply, Results, SECOND, SEND_FILE,
    THIRD, error_of, finish, numbers, sorted,
};

/// Returns the message that the provider accepted for `number`, without its code.
#[track_caller]
fn text_for(provider: &FakeProvider, number: &str) -> String {
    let accepted = provider.accepted();
    let mut messages = accepted.iter().filter(|accepted| accepted.phone_number == number);
    let message = messages.next().unwrap_or_else(|| panic!("nothing for {number}"));
    assert_eq!(messages.next(), None, "{number} was sent to twice");
    message.text.replace(|character: char| character.is_ascii_digit(), "")
}

#[test]
fn numbers_one_a_line_are_sent_and_each_result_tells_its_line() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let text = format!("{FIRST}\n\n  {SECOND}\t\n \n+1 (202) 555-0103");
    let run = environment.send_text(&text, &[]).expect_code(0);
    let by_line = run.by_line();
    for (line, number) in [(1, FIRST), (3, SECOND), (5, THIRD)] {
        let result = &by_line[&line];
        assert_eq!(result["phone_number"], number, "{result}");
        assert_eq!(result["status"], "sent", "{result}");
        let token = result["session_token"].as_str().expect("a token");
        let record = environment.record_of_token(token);
        assert_eq!(record.phone_number, number);
        environment.verify(&record).expect_code(0);
    }
    assert_eq!(by_line.len(), 3);
    assert_eq!(provider.accepted_numbers(), [FIRST, SECOND, THIRD]);
}

#[test]
fn a_csv_file_gives_each_number_its_language_and_context() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with(
        "message = \"{name} of {place}: {security_code}\"",
        "[messages]\nde = \"{name} aus {place}: {security_code}\"\nfr = \"{name} de {place} : {security_code}\"",
    );
    let text = format!(
        "name,phone_number,language,place\n\
         Ada,{FIRST},de-AT,\"Bath, \"\"Avon\"\"\"\n\
         {{security_code}},{SECOND},, {{name}}\n\
         ,{THIRD},xx,Ulm\n"
    );
    let options = ["--language", "fr", "--context", "place=nowhere"];
    let by_line = environment.send_text(&text, &options).expect_code(0).by_line();
    assert_eq!(by_line.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
    // The line's own values win over those of the command line; none of them is filled again.
    assert_eq!(text_for(&provider, FIRST), "Ada aus Bath, \"Avon\": ");
    assert_eq!(text_for(&provider, SECOND), "{security_code} de  {name} : ");
    assert_eq!(text_for(&provider, THIRD), " of Ulm: ");
}

#[test]
fn the_command_line_fills_what_the_file_does_not() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with(
        "message = \"{name}: {security_code}\"",
        "[messages]\nde = \"{name}, {security_code}\"",
    );
    let options = ["--language", "de", "--context", "name=Ada"];
    environment.send_text(&format!("phone_number\n{FIRST}\n"), &options).expect_code(0);
    environment.send_text(&format!("{SECOND}\n"), &options).expect_code(0);
    for number in [FIRST, SECOND] {
        assert_eq!(text_for(&provider, number), "Ada, ");
    }
}

#[test]
fn a_number_from_stdin_is_sent_while_stdin_still_stays_open() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let arguments = ["--format", "json", "send", "--file", "-"];
    let mut program =
        environment.command(&arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = program.stdin.take().expect("stdin is piped");
    let results = Results::from_program(&mut program);
    for (line, number) in (1..).zip([FIRST, SECOND, THIRD]) {
        writeln!(stdin, "{number}").expect("the program reads");
        let result = results.next();
        assert_eq!(result["phone_number"], number, "{result}");
        assert_eq!(result["line"], line, "{result}");
    }
    drop(stdin);
    finish(program).expect_code(0);
}

#[test]
fn csv_from_stdin_is_understood() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("message = \"{name}: {security_code}\"", "");
    let input = format!("phone_number,name\n{FIRST},Ada\n");
    let run = environment.run_with_input(&["send", "--file", "-"], input.as_bytes()).expect_code(0);
    assert!(run.stdout.contains(FIRST) && run.stdout.contains("line 2"), "{run:#?}");
    assert_eq!(text_for(&provider, FIRST), "Ada: ");
}

#[test]
fn numbers_of_the_command_line_and_of_a_file_are_sent_together() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let run =
        environment.send_text(&format!("{SECOND}\n{THIRD}\n"), &[FIRST, NUMBER]).expect_code(0);
    let results = run.json_lines();
    let line_of = |number| {
        let mut of_number = results.iter().filter(|result| result["phone_number"] == number);
        let result = of_number.next().expect("a result");
        assert_eq!(of_number.next(), None);
        result.get("line").cloned()
    };
    assert_eq!(line_of(FIRST), None);
    assert_eq!(line_of(NUMBER), None);
    assert_eq!(line_of(SECOND), Some(json!(1)));
    assert_eq!(line_of(THIRD), Some(json!(2)));
    assert_eq!(
        provider.accepted_numbers(),
        sorted([FIRST, SECOND, THIRD, NUMBER].map(str::to_owned))
    );
}

#[test]
fn a_bad_line_is_reported_and_the_rest_is_sent() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let text = format!("{FIRST}\n{INVALID}\nnobody\n{SECOND}\n");
    let run = environment.send_text(&text, &[]).expect_code(3);
    let by_line = run.by_line();
    assert_eq!(by_line.len(), 4);
    for (line, given) in [(2, INVALID), (3, "nobody")] {
        assert_eq!(error_of(&by_line[&line]), ("invalid_number", None));
        assert_eq!(by_line[&line]["phone_number"], given);
        let words = run.stderr.lines().find(|words| words.contains(&format!("line {line}")));
        assert!(words.is_some_and(|words| words.contains(given)), "{run:#?}");
    }
    assert_eq!(provider.accepted_numbers(), [FIRST, SECOND]);
    assert_eq!(environment.numbers_of_records(), [FIRST, SECOND]);
}

#[test]
fn in_text_form_too_each_number_of_a_file_has_its_line() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write("numbers", &format!("{FIRST}\n{INVALID}\n{SECOND}\n{FIRST}\n"));
    let run = environment.run(&["send", "--file", "numbers"]).expect_code(3);
    for (line, number) in [(1, FIRST), (2, INVALID), (3, SECOND), (4, FIRST)] {
        let told = run.stdout.lines().find(|told| told.contains(&format!("line {line}")));
        assert!(told.is_some_and(|told| told.contains(number)), "{run:#?}");
    }
}

#[test]
fn a_file_without_a_single_valid_number_is_a_usage_error() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    let run = environment.send_text(&format!("{INVALID}\nnobody\n"), &[]).expect_code(2);
    assert_eq!(run.by_line().len(), 2);
    environment.expect_no_database();
}

#[test]
fn whatever_becomes_of_a_number_its_result_tells_the_line() {
    let provider = FakeProvider::twilio();
    let environment = provider
        .environment_with("", "[delivery]\nmax_attempts = 1\n[limits]\nallowed_regions = [\"US\"]");
    provider.answer_with(|request| match request.field("To").as_str() {
        FIRST => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        SECOND => Reply::close(),
        THIRD => Reply::twilio_error(503, 20503, "Service Unavailable"),
        _ => Reply::accept(),
    });
    let text =
        format!("{FIRST}\n{SECOND}\n{THIRD}\n+442079460018\n{INVALID}\n{NUMBER}\n{NUMBER}\n");
    let by_line = environment.send_text(&text, &[]).expect_code(3).by_line();
    assert_eq!(error_of(&by_line[&1]), ("rejected", Some("21211")));
    assert_eq!(error_of(&by_line[&2]), ("unknown", None));
    assert!(by_line[&2]["session_token"].is_string(), "the code works if it arrives");
    assert_eq!(error_of(&by_line[&3]), ("unavailable", Some("20503")));
    assert_eq!(error_of(&by_line[&4]), ("limited", None));
    assert_eq!(error_of(&by_line[&5]), ("invalid_number", None));
    assert_eq!(by_line[&6]["status"], "sent");
    let duplicate =
        json!({"phone_number": NUMBER, "status": "skipped", "reason": "duplicate", "line": 7});
    assert_eq!(by_line[&7], duplicate);
}

#[test]
fn where_no_number_of_a_file_could_be_sent_to_the_send_failed() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let environment = provider.environment();
    let run = environment.send_text(&format!("{FIRST}\n{SECOND}\n{INVALID}\n"), &[]).expect_code(1);
    assert_eq!(run.by_line().len(), 3);
    assert_eq!(environment.count(), 0);
}

#[test]
fn a_number_that_is_given_more_than_once_is_sent_to_once() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("default_region = \"US\"", "");
    let text = format!("{FIRST}\n{SECOND}\n(202) 555-0102\n{FIRST}\n+1 202-555-0101\n");
    let run = environment.send_text(&text, &[FIRST, "202.555.0103", THIRD]).expect_code(0);
    let results = run.json_lines();
    let skipped: Vec<_> = results.iter().filter(|result| result["status"] == "skipped").collect();
    let duplicate = |number, line: Option<u64>| {
        let mut value = json!({"phone_number": number, "status": "skipped", "reason": "duplicate"});
        value
            .as_object_mut()
            .expect("an object")
            .extend(line.map(|line| ("line".into(), line.into())));
        value
    };
    let mut expected = vec![duplicate(THIRD, None)];
    let in_file = [(FIRST, 1), (SECOND, 3), (FIRST, 4), (FIRST, 5)];
    expected.extend(in_file.map(|(number, line)| duplicate(number, Some(line))));
    assert_eq!(skipped, expected.iter().collect::<Vec<_>>());
    assert_eq!(provider.requested_numbers(), [FIRST, SECOND, THIRD]);
    assert_eq!(environment.numbers_of_records(), [FIRST, SECOND, THIRD]);
}

#[test]
fn a_result_can_be_read_while_another_number_still_waits() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    environment.write_numbers(&[FIRST, SECOND].map(str::to_owned));
    let mut program = environment.start(&SEND_FILE);
    let results = Results::from_program(&mut program);
    let waiting = held.wait_for_arrival().field("To");
    let result = results.next();
    assert_eq!(result["status"], "sent", "{result}");
    assert_ne!(result["phone_number"], waiting, "{result}");
    held.release(Reply::accept());
    let result = results.next();
    assert_eq!(result["phone_number"], waiting, "{result}");
    assert_eq!(result["status"], "sent", "{result}");
    finish(program).expect_code(0);
}

#[test]
fn csv_has_the_fields_of_json() {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        FIRST => Reply::twilio_error(400, 21211, "Invalid 'To' \"Phone Number\""),
        _ => Reply::accept(),
    });
    let text = format!("{FIRST}\n{INVALID}\n{SECOND}\n{SECOND}\n");
    for options in [&[][..], &["--dry-run"]] {
        let environment = provider.environment();
        let json = environment.send_text(&text, options).by_line();
        let arguments = [&["--format", "csv", "send", "--file", FILE], options].concat();
        let run = environment.run(&arguments).expect_code(3);
        let mut csv = csv::Reader::from_reader(run.stdout.as_bytes());
        let heading = csv.headers().expect("a heading").clone();
        assert_eq!(
            heading.iter().collect::<Vec<_>>().join(","),
            "phone_number,status,line,session_token,backend,message_id,expires_at,delivery,kind,\
             code,message,cause,explanation,next,retry_at,reason,text,encoding,segments,number_type,\
             stored"
        );
        let records: Vec<_> = csv.records().map(|record| record.expect("a record")).collect();
        assert_eq!(records.len(), 4, "{run:#?}");
        for record in records {
            let line: u64 = record[2].parse().expect("a line");
            for (name, shown) in heading.iter().zip(&record) {
                let found = json[&line].get(name).or(json[&line]["error"].get(name));
                let expected = match found {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                };
                // These are new each time.
                if ["session_token", "message_id", "expires_at"].contains(&name) {
                    assert_eq!(shown.is_empty(), expected.is_empty(), "{name}");
                } else {
                    assert_eq!(shown, expected, "{name}");
                }
            }
        }
    }
}

#[test]
fn a_dry_run_of_a_file_shows_each_line_and_sends_nothing() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment_with("message = \"{name}: {security_code}\"", "");
    let text = format!("phone_number,name\n{FIRST},Ada\n{SECOND},Žofie\n{FIRST},Ada\n");
    let by_line = environment.send_text(&text, &["--dry-run"]).expect_code(0).by_line();
    let shown = |number, text, encoding, line| {
        json!({"phone_number": number, "status": "dry_run", "text": text, "encoding": encoding,
            "segments": 1, "number_type": "fixed_line_or_mobile", "line": line})
    };
    assert_eq!(by_line[&2], shown(FIRST, "Ada: 000000", "GSM-7", 2));
    assert_eq!(by_line[&3], shown(SECOND, "Žofie: 000000", "UCS-2", 3));
    assert_eq!(by_line[&4]["reason"], "duplicate");
    environment.expect_no_database();
}

#[test]
fn a_dry_run_sums_up_what_would_be_sent_and_paid_for() {
    let settings = format!("message = \"{}: {{security_code}}\"", "x".repeat(200));
    let environment = Environment::sandbox(&settings);
    let run = environment.run(&["send", "--dry-run", FIRST, SECOND, FIRST, "nobody"]);
    let run = run.expect_code(3);
    let summary = "note: 2 would be sent in 4 segments, 1 failed (1 invalid number), \
                   1 skipped (1 duplicate)";
    assert_eq!(run.stderr.lines().last(), Some(summary), "{run:#?}");
    let run = environment.run(&["send", "--dry-run", FIRST]).expect_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn sending_needs_numbers_from_somewhere() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["send"]).expect_code(2);
    assert!(run.stderr.contains("PHONE_NUMBER"), "{run:#?}");
}

#[test]
fn a_thousand_numbers_each_get_a_code_of_their_own_that_works() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    let numbers = numbers(1000);
    environment.write_numbers(&numbers);
    let run = environment.run(&SEND_FILE).expect_code(0);
    assert_eq!(run.by_line().len(), 1000);
    assert_eq!(provider.accepted_numbers(), sorted(numbers));
    let records = environment.records();
    assert_eq!(records.len(), 1000);
    let accepted = provider.accepted();
    for record in records {
        let accepted =
            accepted.iter().find(|accepted| accepted.phone_number == record.phone_number);
        let text = &accepted.expect("it was accepted").text;
        assert!(text.contains(&record.security_code), "{record:#?}: {text}");
    }
}
