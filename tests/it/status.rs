//! `status`: why a code can't be verified now, what became of each message, and what to do next.

use serde_json::Value;

use crate::support::{
    CODE, Environment, FakeProvider, NUMBER, OLDER_TABLES, OTHER_NUMBER, PastDelivery, Record,
    Reply, Run, TOKEN, Time, add_dashes, code_in, format_rfc3339, is_on_server,
};

/// Runs `status` in JSON, which has to work, and returns what it says.
#[track_caller]
fn status(environment: &Environment) -> Value {
    environment.run(&["--format", "json", "status", NUMBER]).expect_code(0).json()
}

/// Asserts the verdict, and that text and JSON both say these words and advise this command.
#[track_caller]
fn expect_verdict(environment: &Environment, verdict: &str, words: &str, next: &str) {
    let json = status(environment);
    assert_eq!(json["verdict"], verdict, "{json:#}");
    assert_eq!(json["phone_number"], NUMBER);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    for (what, words) in [("message", words), ("next", next)] {
        let said = json[what].as_str().expect("a sentence");
        assert!(said.contains(words), "{what}: {said}");
        assert!(text.contains(said), "{said} is missing: {text}");
    }
    // In JSON the key says already what it is.
    let next = json["next"].as_str().expect("a sentence");
    assert!(!next.starts_with("next") && text.contains(&format!("\nnext: {next}\n")), "{text}");
}

#[test]
fn a_live_code_can_be_verified() {
    let environment = Environment::with_database("");
    environment.insert(&Record { created_at: Time::Ago(300), ..Record::default() });
    expect_verdict(&environment, "verifiable", "5 min", &format!("phone-verify verify {NUMBER}"));
}

#[test]
fn an_expired_code_is_told_with_the_time_that_has_passed() {
    let environment = Environment::with_database("");
    environment.insert(&Record { created_at: Time::Ago(780), ..Record::default() });
    let next = format!("phone-verify send {NUMBER}");
    expect_verdict(&environment, "expired", "expired 3 min ago", &next);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    assert!(text.contains("\n  expired  ") && text.ends_with(" (3 min ago)\n"), "{text}");
}

#[test]
fn a_locked_record_is_told_as_locked_even_where_it_has_expired_or_was_used() {
    let next = format!("phone-verify send {NUMBER}");
    for (is_verified, age) in [(false, 60), (true, 60), (false, 6000)] {
        let environment = Environment::with_database("max_failed_attempts = 3");
        let created_at = Time::Ago(age);
        let record = Record { is_verified, created_at, failed_attempts: 3, ..Record::default() };
        environment.insert(&record);
        expect_verdict(&environment, "locked", "locked", &next);
    }
}

#[test]
fn a_used_code_is_told_as_used_where_codes_work_only_once() {
    let used = Record { is_verified: true, ..Record::default() };
    let environment = Environment::with_database("");
    environment.insert(&used);
    expect_verdict(&environment, "used", "used", "verified");
    let environment = Environment::with_database("verify_security_code_only_once = false");
    environment.insert(&used);
    expect_verdict(&environment, "verifiable", "", "phone-verify verify");
}

#[test]
fn a_verdict_is_what_verify_then_answers() {
    for (record, verdict, code) in [
        (Record::default(), "verifiable", 0),
        (Record { failed_attempts: 4, ..Record::default() }, "verifiable", 0),
        (Record { created_at: Time::Ago(601), ..Record::default() }, "expired", 12),
        (Record { failed_attempts: 5, ..Record::default() }, "locked", 15),
        (Record { is_verified: true, ..Record::default() }, "used", 13),
    ] {
        let environment = Environment::with_database("");
        environment.insert(&record);
        assert_eq!(status(&environment)["verdict"], verdict);
        environment.run(&["verify", NUMBER, CODE, "--any-session"]).expect_code(code);
    }
}

#[test]
fn a_message_that_no_provider_accepted_is_told_with_the_providers_words() {
    let again = format!("phone-verify send {NUMBER}");
    for (reply, words, next) in [
        (Reply::twilio_error(401, 20003, "Authenticate"), "Authenticate", "Ask the administrator"),
        (Reply::throttled(), "Too Many Requests", "Wait a few minutes"),
        (Reply::twilio_error(400, 29999, "Something new"), "Something new", &again),
    ] {
        let provider = FakeProvider::twilio();
        provider.next(reply);
        let environment = provider.environment_with("", "[delivery]\nmax_attempts = 1");
        environment.run(&["send", NUMBER]).expect_code(1);
        expect_verdict(&environment, "never_accepted", "there is no code", next);
        let json = status(&environment);
        assert_eq!(json["records"], serde_json::json!([]));
        assert_eq!(json["deliveries"][0]["error_message"], words);
        let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_reason_that_passes_is_to_be_followed_for_an_hour_and_any_other_for_good() {
    let again = format!("phone-verify send {NUMBER}");
    for (state, code, age, next) in [
        ("rejected", "21614", 7200, "a mobile number"),
        ("unavailable", "20429", 60, "Wait a few minutes"),
        ("unavailable", "20429", 7200, &again),
    ] {
        let environment = Environment::with_database("");
        environment.insert_delivery(&PastDelivery { state, age, ..PastDelivery::default() });
        environment.execute(&[&format!("UPDATE sms_delivery SET error_code = '{code}'")]);
        let said = status(&environment)["next"].to_string();
        assert!(said.contains(next), "{code} {age} s ago: {said}");
    }
}

#[test]
fn a_number_that_nothing_is_known_of_has_no_code() {
    let environment = Environment::with_database("");
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..Record::default() });
    environment
        .insert_delivery(&PastDelivery { phone_number: OTHER_NUMBER, ..PastDelivery::default() });
    expect_verdict(&environment, "none", "no code", &format!("phone-verify send {NUMBER}"));
    let json = status(&environment);
    let nothing = serde_json::json!([]);
    assert_eq!((&json["records"], &json["deliveries"]), (&nothing, &nothing));
}

#[test]
fn after_the_purge_of_an_accepted_code_there_is_none() {
    let environment = Environment::console("");
    environment.send(NUMBER);
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    expect_verdict(&environment, "none", "no code", "phone-verify send");
    assert_eq!(status(&environment)["deliveries"][0]["state"], "accepted");
}

#[test]
fn the_earlier_code_is_the_one_that_counts_after_a_refused_send() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    provider.always(Reply::twilio_error(401, 20003, "Authenticate"));
    environment.run(&["send", NUMBER]).expect_code(1);
    assert_eq!(status(&environment)["verdict"], "verifiable");
    // Once it has expired, sending again as it is would only be refused again.
    environment.backdate("sms_verification", 700);
    let json = status(&environment);
    assert_eq!(json["verdict"], "expired");
    assert!(
        json["next"].as_str().is_some_and(|next| next.contains("check the account")),
        "{json:#}"
    );
    environment.verify(&earlier).expect_code(12);
}

#[test]
fn what_to_do_next_follows_the_newest_delivery() {
    for (state, verdict, next) in [
        ("accepted", "verifiable", "phone-verify verify"),
        ("delivered", "verifiable", "phone-verify verify"),
        ("undelivered", "undelivered", "phone-verify send"),
        ("unknown", "verifiable", "ask the person"),
        ("sending", "verifiable", "ask the person"),
    ] {
        let environment = Environment::with_database("");
        let id = environment.insert(&Record::default());
        environment.insert_delivery(&PastDelivery { age: 90, ..PastDelivery::default() });
        let past = PastDelivery { verification_id: &id, state, ..PastDelivery::default() };
        environment.insert_delivery(&past);
        expect_verdict(&environment, verdict, "", next);
    }
}

#[test]
fn json_has_every_record_and_delivery_and_no_security_code() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("token_length = 12", "");
    let first = environment.send(NUMBER);
    provider.next(Reply::close());
    environment.run(&["send", NUMBER]).expect_code(1);
    environment.send(OTHER_NUMBER);
    let records = environment.records();
    let rows = environment.deliveries();
    let json = status(&environment);
    let expires_at = json["records"][1]["expires_at"].clone();
    assert_eq!(
        json["records"][1],
        serde_json::json!({
            "id": add_dashes(&first.id), "is_verified": false, "is_valid": true, "failed_attempts": 0,
            "created_at": format_rfc3339(&first.created_at), "expires_at": expires_at, "delivery": "accepted",
            "state": "superseded",
        })
    );
    assert!(expires_at.as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 27));
    assert_eq!(json["records"][0]["delivery"], "unknown");
    assert_eq!(
        json["deliveries"][1],
        serde_json::json!({
            "id": rows[0].id, "verification_id": add_dashes(&first.id), "backend": "twilio",
            "state": "accepted", "message_id": provider.accepted()[0].message_id,
            "error_code": null, "error_message": null, "segments": 1, "tries": 1,
            "created_at": format_rfc3339(&rows[0].created_at), "updated_at": format_rfc3339(&rows[0].updated_at),
            "language": null, "verified_at": null, "cause": null, "explanation": null, "next": null,
        })
    );
    assert_eq!(json["deliveries"][0]["error_message"], rows[1].error_message.as_deref().unwrap());
    assert_eq!(
        [&json["records"], &json["deliveries"]].map(|list| list.as_array().unwrap().len()),
        [2, 2]
    );
    for format in ["json", "text"] {
        let run = environment.run(&["-vvv", "--format", format, "status", NUMBER]).expect_code(0);
        let shown = format!("{}{}", run.stdout, run.stderr);
        for record in &records {
            assert!(!shown.contains(&record.security_code), "{shown}");
        }
    }
}

#[test]
fn text_shows_each_delivery_with_its_message_id_and_the_providers_words() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let record = environment.send(NUMBER);
    provider.next(Reply::twilio_error(503, 20503, "Busy").retry_after_seconds(0));
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    environment.run(&["send", NUMBER]).expect_code(1);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    let accepted = provider.accepted().remove(0);
    let id = add_dashes(&record.id);
    for part in [
        "accepted",
        "rejected",
        "twilio",
        &accepted.message_id,
        "Invalid 'To' Phone Number",
        "21211",
        "2 times",
        &id,
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(!text.contains(code_in(&accepted.text)), "{text}");
}

#[test]
fn in_text_no_value_of_the_ledger_makes_a_line_of_its_own() {
    let environment = Environment::with_database("");
    let past = PastDelivery { message_id: Some("SM\n1\u{1b}[2J"), ..PastDelivery::default() };
    environment.insert_delivery(&PastDelivery { backend: "twi\nlio", ..past });
    environment.execute(&["UPDATE sms_delivery
         SET error_code = '4\n\u{2028}9', error_message = 'a\r\n\u{85}\u{2029}b'"]);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    let (_, delivery) =
        text.split_once("\n\ndelivery  accepted through twi lio, called once\n").expect(&text);
    let lines: Vec<_> = delivery.lines().skip(1).collect();
    assert_eq!(lines, ["  message  SM 1[2J", "  reason   a    b (4  9)"], "{text}");
}

#[test]
fn text_counts_failed_attempts_in_words() {
    let environment = Environment::with_database("");
    for (failed_attempts, words) in
        [(0, "0 failed attempts"), (1, "1 failed attempt"), (2, "2 failed attempts")]
    {
        environment.insert(&Record { failed_attempts, session_token: words, ..Record::default() });
        let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
        assert!(text.contains(&format!("not verified, {words}\n")), "{text}");
    }
}

#[test]
fn the_newest_comes_first() {
    let environment = Environment::with_database("");
    for (token, age) in [("older", 500), ("newest", 20), ("middle", 100)] {
        let created_at = Time::Ago(age);
        let id =
            environment.insert(&Record { session_token: token, created_at, ..Record::default() });
        environment.insert_delivery(&PastDelivery {
            verification_id: &id,
            age,
            ..PastDelivery::default()
        });
    }
    let json = status(&environment);
    for list in ["records", "deliveries"] {
        let times: Vec<&str> = json[list]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["created_at"].as_str().expect("a time"))
            .collect();
        assert!(times.len() == 3 && times.is_sorted_by(|a, b| a > b), "{times:?}");
    }
}

#[test]
fn a_number_is_looked_up_in_any_form_that_can_be_read() {
    let environment = Environment::with_database("default_region = \"US\"");
    environment.insert(&Record::default());
    for number in ["+1 (415) 555-2671", "(415) 555-2671", " +14155552671 "] {
        let run = environment.run(&["--format", "json", "status", number]).expect_code(0);
        assert_eq!(run.json()["phone_number"], NUMBER);
        assert_eq!(run.json()["verdict"], "verifiable");
    }
    let run = environment.run(&["status", "hello"]).expect_code(2);
    assert!(run.stdout.is_empty() && run.stderr.contains("hello"), "{run:#?}");
    environment.run(&["status"]).expect_code(2);
    environment.run(&["--format", "csv", "status", NUMBER]).expect_code(2);
}

/// Asserts that the database can't be used, for a reason that holds `reason`, with the advice to migrate.
#[track_caller]
fn expect_unusable(run: Run, reason: &str) {
    let run = run.expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.contains(reason), "{run:#?}");
    assert!(run.stderr.contains("phone-verify migrate"), "{run:#?}");
}

#[test]
fn a_missing_database_or_table_is_an_error_with_the_advice_to_migrate() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_settings("backend = \"console\"\n");
    expect_unusable(environment.run(&["status", NUMBER]), "does not exist");
    environment.expect_no_database();
    environment.execute(&["CREATE TABLE other (id integer)"]);
    expect_unusable(environment.run(&["status", NUMBER]), "no table sms_verification");
    for (table, index) in OLDER_TABLES {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(&[table, index]);
        expect_unusable(environment.run(&["status", NUMBER]), "older version");
    }
}

#[test]
fn damaged_rows_are_named_and_the_others_are_shown() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    environment.insert(&Record { session_token: "damaged", ..Record::default() });
    environment.execute(&[
        "UPDATE sms_verification SET failed_attempts = 'many' WHERE session_token = 'damaged'",
    ]);
    environment.insert_delivery(&PastDelivery::default());
    environment.insert_delivery(&PastDelivery { state: "lost", ..PastDelivery::default() });
    let run = environment.run(&["--format", "json", "status", NUMBER]).expect_code(1);
    let json = run.json();
    assert_eq!(
        [&json["records"], &json["deliveries"]].map(|list| list.as_array().unwrap().len()),
        [1, 1]
    );
    for part in ["sms_verification", "failed_attempts", "sms_delivery", "state", "rowid 2"] {
        assert!(run.stderr.contains(part), "{part} is not named: {run:#?}");
    }
    assert_eq!(environment.state(TOKEN).failed_attempts, 0);
}

#[test]
fn a_damaged_record_that_is_the_last_of_the_screen_is_named() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("");
    for age in 1..12 {
        let token = age.to_string();
        let created_at = Time::Ago(10 * age);
        environment.insert(&Record { session_token: &token, created_at, ..Record::default() });
    }
    // A screen has 10 records.
    environment.execute(&["UPDATE sms_verification
         SET created_at = created_at || CAST(X'ff' AS TEXT) WHERE session_token = '10'"]);
    let run = environment.run(&["--format", "json", "status", NUMBER]).expect_code(1);
    assert_eq!(run.json()["records"].as_array().map(Vec::len), Some(9), "{run:#?}");
    assert!(run.stderr.contains("column created_at"), "{run:#?}");
}

#[test]
fn a_damaged_delivery_hides_neither_the_live_code_nor_what_to_do_with_it() {
    if is_on_server() {
        return;
    }
    for value in ["X'ff'", "CAST(X'ff' AS TEXT)", "'lost'"] {
        let environment = Environment::with_database("");
        // What became of an earlier message says nothing about this one.
        environment.insert_delivery(&PastDelivery {
            state: "undelivered",
            age: 90,
            ..PastDelivery::default()
        });
        let id = environment.insert(&Record::default());
        environment
            .insert_delivery(&PastDelivery { verification_id: &id, ..PastDelivery::default() });
        environment.execute(&[&format!("UPDATE sms_delivery SET state = {value} WHERE id = 2")]);
        let run = environment.run(&["--format", "json", "status", NUMBER]).expect_code(1);
        let json = run.json();
        assert_eq!(json["verdict"], "verifiable", "{value}: {run:#?}");
        let next = json["next"].as_str().expect("a sentence");
        assert!(next.contains("phone-verify verify"), "{value}: {run:#?}");
        assert_eq!(json["records"][0]["id"], add_dashes(&id), "{value}: {run:#?}");
        for part in ["table sms_delivery, row rowid 2, column state", "the row is left out"] {
            assert!(run.stderr.contains(part), "{value}: {run:#?}");
        }
        assert_eq!(run.stderr.lines().count(), 1, "{value}: {run:#?}");
    }
}
