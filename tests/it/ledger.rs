//! The ledger `sms_delivery`: what it keeps of every attempt to reach a number, and that it is written with the records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{
    Delivery, Environment, FakeProvider, NUMBER, OLDER_TABLES, OTHER_NUMBER, Reply, TABLE,
    TWO_ATTEMPTS, UNIQUE_INDEX, code_in, finish, is_on_server,
};

/// The columns that the ledger is documented to have.
const COLUMNS: [&str; 14] = [
    "id",
    "verification_id",
    "phone_number",
    "backend",
    "state",
    "message_id",
    "error_code",
    "error_message",
    "segments",
    "tries",
    "created_at",
    "updated_at",
    "language",
    "verified_at",
];

/// Returns the names of the ledger's columns, none if there isn't a ledger.
fn ledger_columns(environment: &Environment) -> Vec<String> {
    environment.column("SELECT name FROM pragma_table_info('sms_delivery')")
}

/// Sends to [`NUMBER`], which has to fail, and returns the only row of the ledger.
#[track_caller]
fn row_of_failed_send(environment: &Environment) -> Delivery {
    environment.run(&["send", NUMBER]).expect_code(1);
    environment.delivery()
}

/// Asserts that the row is one of a send through Twilio that came to `state` with this code and these words.
#[track_caller]
fn expect_row(row: &Delivery, state: &str, code: Option<&str>, words: Option<&str>, tries: i64) {
    let expected = Delivery {
        id: row.id,
        verification_id: row.verification_id.clone(),
        phone_number: NUMBER.to_owned(),
        backend: "twilio".to_owned(),
        state: state.to_owned(),
        message_id: None,
        error_code: code.map(str::to_owned),
        error_message: words.map(str::to_owned),
        segments: 1,
        tries,
        created_at: row.created_at.clone(),
        updated_at: row.updated_at.clone(),
    };
    assert_eq!(*row, expected);
    assert!(row.updated_at > row.created_at, "{row:#?}");
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b));
    assert!(is_id(&row.verification_id), "{row:#?}");
}

#[test]
fn an_accepted_message_has_a_row_that_says_all_about_it() {
    for (backend, provider) in
        [("twilio", FakeProvider::twilio()), ("nexmo", FakeProvider::nexmo())]
    {
        let environment = provider.environment();
        let record = environment.send(NUMBER);
        let row = environment.delivery();
        let message_id = provider.accepted()[0].message_id.clone();
        assert_eq!(row.message_id, Some(message_id));
        assert_eq!(row.backend, backend);
        assert_eq!(row.verification_id, record.id);
        assert_eq!(row.created_at, record.created_at);
        let without = Delivery { message_id: None, backend: "twilio".to_owned(), ..row };
        expect_row(&without, "accepted", None, None, 1);
    }
}

#[test]
fn a_sandbox_and_the_console_have_rows_without_a_message_id() {
    for (settings, backend) in [
        ("backend = \"console\"\n", "console"),
        ("backend = \"vonage-sandbox\"\noptions.sandbox_token = \"123456\"\n", "nexmo-sandbox"),
    ] {
        let environment = Environment::with_settings(settings);
        environment.send(NUMBER);
        let row = environment.delivery();
        assert_eq!((row.backend.as_str(), row.message_id, row.tries), (backend, None, 1));
        assert_eq!(row.state, "accepted");
    }
}

#[test]
fn a_refused_message_has_a_row_in_the_providers_words_though_its_record_is_gone() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let environment = provider.environment();
    let row = row_of_failed_send(&environment);
    expect_row(&row, "rejected", Some("21211"), Some("Invalid 'To' Phone Number"), 1);
    assert_eq!(environment.records(), []);
}

#[test]
fn a_message_that_no_attempt_brought_out_has_a_row_that_counts_them() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::throttled().retry_after_seconds(0));
    let environment = provider.environment_with("", TWO_ATTEMPTS);
    let row = row_of_failed_send(&environment);
    expect_row(&row, "unavailable", Some("20429"), Some("Too Many Requests"), 2);
}

#[test]
fn a_message_of_unknown_outcome_has_a_row_that_names_its_record() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::close().although_accepted());
    let environment = provider.environment();
    let row = row_of_failed_send(&environment);
    let words = row.error_message.clone().expect("what happened to the connection");
    expect_row(&row, "unknown", None, Some(&words), 1);
    assert_eq!(row.verification_id, environment.record().id);
}

#[test]
fn tries_count_the_retries_of_a_message_that_was_accepted_in_the_end() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::throttled().retry_after_seconds(0));
    provider.next(Reply::throttled().retry_after_seconds(0));
    let environment = provider.environment();
    environment.send(NUMBER);
    let row = environment.delivery();
    assert_eq!((row.state.as_str(), row.tries), ("accepted", 3));
    assert_eq!((row.error_code, row.error_message), (None, None), "it was accepted in the end");
}

#[test]
fn while_the_provider_holds_the_request_the_row_says_sending_and_stays_so_after_a_kill() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    let mut program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    let record = environment.record();
    let row = environment.delivery();
    assert_eq!((row.state.as_str(), &row.message_id), ("sending", &None));
    assert_eq!((&row.verification_id, &row.created_at), (&record.id, &record.created_at));
    assert_eq!(row.updated_at, row.created_at);
    program.kill().expect("it still runs");
    finish(program);
    assert_eq!(environment.delivery(), row);
}

#[test]
fn segments_are_those_that_are_paid_for() {
    for (rest, segments) in [
        ("a".repeat(154), 1),
        ("a".repeat(155), 2),
        ("€".repeat(77), 1),
        ("€".repeat(78), 2),
        ("П".repeat(64), 1),
        ("П".repeat(65), 2),
        ("a".repeat(454), 4),
    ] {
        let keys = format!("message = \"{{security_code}}{rest}\"");
        let environment = Environment::with_settings(&format!("backend = \"console\"\n{keys}\n"));
        environment.send(NUMBER);
        assert_eq!(environment.delivery().segments, segments, "{rest}");
    }
}

#[test]
fn a_code_or_a_secret_in_the_providers_words_is_masked_in_the_ledger() {
    for is_code in [true, false] {
        let provider = FakeProvider::nexmo();
        provider.answer_with(move |request| {
            let code = code_in(&request.field("text")).to_owned();
            let secret = if is_code { code } else { "nexmo-api-secret".to_owned() };
            Reply::nexmo_error(&secret, &format!("the message {secret} is too plain"))
        });
        let environment = provider.environment();
        let row = row_of_failed_send(&environment);
        let sent = provider.requests()[0].field("text");
        let words = row.error_message.expect("words");
        for forbidden in [code_in(&sent), "nexmo-api-secret"] {
            assert!(!words.contains(forbidden), "{words}");
            assert_ne!(row.error_code.as_deref(), Some(forbidden));
        }
        assert!(words.starts_with("the message ") && words.ends_with(" is too plain"), "{words}");
    }
}

#[test]
fn migrate_makes_the_ledger_wherever_the_table_came_from() {
    if is_on_server() {
        return;
    }
    let new = Environment::with_settings("backend = \"console\"\n");
    let current = Environment::console("");
    let site = Environment::django_site(&[TABLE, UNIQUE_INDEX]);
    let older = OLDER_TABLES.map(|(table, index)| {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(&[table, index]);
        environment
    });
    for environment in [new, current, site].into_iter().chain(older) {
        environment.run(&["migrate"]).expect_code(0);
        assert_eq!(ledger_columns(&environment), COLUMNS);
    }
}

#[test]
fn the_first_send_makes_a_missing_ledger_also_beside_djangos_tables() {
    if is_on_server() {
        return;
    }
    for environment in [Environment::console(""), Environment::django_site(&[TABLE, UNIQUE_INDEX])]
    {
        let tables =
            || environment.column("SELECT sql FROM sqlite_schema WHERE name LIKE '%_uniq'");
        let before = tables();
        let record = environment.send(NUMBER);
        assert_eq!(ledger_columns(&environment), COLUMNS);
        assert_eq!(environment.delivery().verification_id, record.id);
        assert_eq!(tables(), before);
    }
}

#[test]
fn no_other_command_makes_the_ledger_or_needs_it() {
    if is_on_server() {
        return;
    }
    let environment = Environment::django_site(&[TABLE, UNIQUE_INDEX]);
    let commands: [(&[&str], i32); 6] = [
        (&["list", "--wide"], 0),
        (&["status", NUMBER], 0),
        (&["verify", NUMBER, "918273", "--any-session"], 14),
        (&["purge"], 0),
        (&["purge", "--phone-number", NUMBER], 0),
        (&["send", "--dry-run", NUMBER], 0),
    ];
    for (command, code) in commands {
        environment.run(command).expect_code(code);
        assert_eq!(ledger_columns(&environment), [""; 0], "{command:?}");
    }
}

#[test]
fn a_row_that_cannot_be_written_takes_its_record_with_it_and_nothing_is_sent() {
    if is_on_server() {
        return;
    }
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.execute(&["CREATE TRIGGER refuse BEFORE INSERT ON sms_delivery
        BEGIN SELECT raise(ABORT, 'no row'); END"]);
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("a trigger refused the change"), "{run:#?}");
    assert_eq!((environment.records(), environment.deliveries()), (vec![], vec![]));
}

/// Runs a second send that can't settle, because of a trigger with this event, and asserts that neither the ledger nor the
/// records show any of it.
#[track_caller]
fn expect_settled_together(reply: Reply, event: &str) {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    environment.execute(&[&format!(
        "CREATE TRIGGER refuse BEFORE {event} BEGIN SELECT raise(ABORT, 'no change'); END"
    )]);
    provider.next(reply);
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("a trigger refused the change"), "{run:#?}");
    let records = environment.records();
    assert_eq!((records.len(), &records[0]), (2, &earlier), "{event}");
    let rows = environment.deliveries();
    assert_eq!((rows.len(), rows[1].state.as_str()), (2, "sending"), "{event}");
    assert_eq!(rows[1].verification_id, records[1].id);
}

#[test]
fn the_end_of_a_send_is_in_the_ledger_and_in_the_records_or_in_neither() {
    if is_on_server() {
        return;
    }
    let refusal = Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number");
    for event in ["UPDATE ON sms_delivery", "DELETE ON sms_verification"] {
        expect_settled_together(Reply::accept(), event);
        expect_settled_together(refusal.clone(), event);
    }
}

#[test]
fn a_reader_never_sees_a_record_without_its_row_or_a_row_without_its_record() {
    if is_on_server() {
        return;
    }
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_bytes() {
        [.., b'7'] => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        [.., b'3'] => Reply::close(),
        _ => Reply::accept(),
    });
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 4");
    environment.run(&["migrate"]).expect_code(0);
    let numbers: Vec<String> = (100..160).map(|last| format!("+12025550{last}")).collect();
    let mut arguments = vec!["send"];
    arguments.extend(numbers.iter().map(String::as_str));
    // Refused for good is the one outcome that leaves a row without its record.
    let torn = "SELECT count(*) FROM sms_verification FULL JOIN sms_delivery
        ON sms_verification.id = verification_id
        WHERE verification_id IS NULL OR (sms_verification.id IS NULL) <> (state = 'rejected')";
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let database = environment.database();
            let mut seen: Vec<i64> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                seen.push(database.query_row(torn, [], |row| row.get(0)).expect("a count"));
            }
            seen
        });
        environment.run(&arguments).expect_code(3);
        is_over.store(true, Ordering::Relaxed);
        let seen = reader.join().expect("no panic");
        assert!(!seen.is_empty() && seen.iter().all(|torn| *torn == 0), "{seen:?}");
    });
    assert_eq!(environment.deliveries().len(), numbers.len());
}

#[test]
fn a_resend_adds_a_row_and_keeps_the_earlier_one() {
    let environment = Environment::console("");
    let first = environment.send(NUMBER);
    environment.send(OTHER_NUMBER);
    let second = environment.send(NUMBER);
    let rows = environment.deliveries();
    let of_number: Vec<&String> = rows
        .iter()
        .filter(|row| row.phone_number == NUMBER)
        .map(|row| &row.verification_id)
        .collect();
    assert_eq!(of_number, [&first.id, &second.id]);
    assert_eq!(rows.len(), 3);
}
