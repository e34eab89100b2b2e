//! How long the ledger is kept, how a number is erased from it, and what `list` shows of it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::support::{
    DAY, Environment, FakeProvider, NUMBER, OTHER_NUMBER, PastDelivery, Record, Reply, STATES,
    format_rfc3339, is_on_server, now,
};

/// Returns how many days old the rows of the ledger are, the oldest first.
fn ages(environment: &Environment) -> Vec<String> {
    let times = environment.column("SELECT created_at FROM sms_delivery ORDER BY created_at");
    let age = |stored: &String| {
        let time: DateTime<Utc> = format_rfc3339(stored).parse().expect("a time");
        format!("{} days", (now() - time + TimeDelta::hours(12)).num_days())
    };
    times.iter().map(age).collect()
}

#[test]
fn the_ledger_outlives_the_purge_of_the_records() {
    let environment = Environment::console("");
    environment.send(NUMBER);
    environment.backdate("sms_verification", 601);
    let row = environment.delivery();
    let run = environment.run(&["purge"]).expect_code(0);
    assert_eq!(run.stdout, "Deleted 1 record.\n");
    assert_eq!((environment.count(), environment.delivery()), (0, row));
}

#[test]
fn purge_removes_rows_that_are_older_than_ninety_days() {
    for command in [&["purge"][..], &["purge", "--older-than", "400d"], &["purge", "--unverified"]]
    {
        let environment = Environment::with_database("");
        for state in STATES {
            environment.insert_delivery(&PastDelivery {
                state,
                age: 91 * DAY,
                ..PastDelivery::default()
            });
        }
        for age in [0, DAY, 89 * DAY] {
            environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
        }
        let run = environment.run(command).expect_code(0);
        assert_eq!(run.stdout, "Deleted 0 records and 7 deliveries.\n");
        assert_eq!(ages(&environment), ["89 days", "1 days", "0 days"], "{command:?}");
    }
}

#[test]
fn the_settings_say_how_long_the_ledger_is_kept_apart_from_the_records() {
    let environment = Environment::with_database(
        "record_retention_days = 30\n[delivery]\nrecord_retention_days = 3",
    );
    environment.insert(&Record::default());
    for age in [DAY, 2 * DAY, 4 * DAY, 31 * DAY] {
        environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
    }
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(ages(&environment), ["2 days", "1 days"]);
    assert_eq!(environment.count(), 1);
}

#[test]
fn a_dry_run_of_purge_keeps_the_ledger() {
    let environment = Environment::with_database("");
    environment.insert_delivery(&PastDelivery { age: 91 * DAY, ..PastDelivery::default() });
    for (options, deliveries) in [
        (&[][..], 1),
        (&["--phone-number", NUMBER], 1),
        (&["--phone-number", NUMBER, "--unverified"], 0),
    ] {
        let dry_run = [&["--format", "json", "purge", "--dry-run"], options].concat();
        let run = environment.run(&dry_run).expect_code(0).json();
        let counts = (&run["deleted"], &run["deleted_deliveries"]);
        assert_eq!(counts, (&0.into(), &deliveries.into()), "{options:?}");
    }
    let run = environment.run(&["purge", "--dry-run"]).expect_code(0);
    assert_eq!(run.stdout, "Would delete 0 records and 1 delivery.\n");
    assert_eq!(environment.deliveries().len(), 1);
}

#[test]
fn a_row_whose_time_is_damaged_is_older_than_nothing() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("");
    for time in ["'yesterday'", "'2020'", "20200101", "x'00'"] {
        environment.insert_delivery(&PastDelivery::default());
        let update = format!(
            "UPDATE sms_delivery SET created_at = {time} WHERE id = (SELECT max(id) FROM sms_delivery)"
        );
        environment.execute(&[&update]);
    }
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(environment.column("SELECT CAST(count(*) AS text) FROM sms_delivery"), ["4"]);
}

#[test]
fn erasing_a_number_erases_its_ledger_and_no_other() {
    let environment = Environment::console("");
    environment.send(NUMBER);
    environment.send(NUMBER);
    environment.send(OTHER_NUMBER);
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
    assert_eq!(run.stdout, "Deleted 1 record and 2 deliveries.\n");
    assert_eq!(environment.delivery().phone_number, OTHER_NUMBER);
    // A number whose records are long gone has to be forgotten as well.
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    let erase = ["--format", "json", "purge", "--phone-number", OTHER_NUMBER];
    let run = environment.run(&erase).expect_code(0).json();
    assert_eq!((&run["deleted"], &run["deleted_deliveries"]), (&0.into(), &1.into()));
    assert_eq!(environment.deliveries(), []);
}

#[test]
fn a_ledger_of_thousands_is_removed_to_the_last_row() {
    let environment = Environment::with_database("");
    environment.insert_delivery(&PastDelivery { age: 91 * DAY, ..PastDelivery::default() });
    environment.execute(&["WITH RECURSIVE counter (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < 11000)
        INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries, created_at, updated_at)
        SELECT verification_id, phone_number, backend, state, segments, tries, created_at, updated_at
        FROM sms_delivery CROSS JOIN counter"]);
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(environment.deliveries(), []);
}

/// Asserts that `list` shows `states`, of the newest record first, in the table, in JSON and in CSV.
#[track_caller]
fn expect_listed(environment: &Environment, states: &[Option<&str>]) {
    let json = environment.run(&["--format", "json", "list"]).expect_code(0);
    let shown: Vec<_> = json.json_lines().iter().map(|row| row["delivery"].clone()).collect();
    assert_eq!(shown, states.iter().map(|state| serde_json::json!(state)).collect::<Vec<_>>());
    let csv = ["--format", "csv", "list", "--columns", "id,delivery"];
    for arguments in [&csv[..], &["list", "--wide"]] {
        let run = environment.run(arguments).expect_code(0);
        let mut lines = run.stdout.lines();
        assert!(lines.next().is_some_and(|heading| heading.ends_with("delivery")), "{run:#?}");
        for state in states {
            let line = lines.next().expect("a line a record");
            assert!(state.is_none_or(|state| line.ends_with(state)), "{state:?}: {run:#?}");
        }
        assert_eq!(lines.next(), None, "{run:#?}");
    }
}

#[test]
fn list_shows_the_state_of_each_records_newest_delivery() {
    let environment = Environment::with_database("");
    let names: Vec<String> = (0..STATES.len()).map(|i| format!("+120255501{i:02}")).collect();
    for (phone_number, state) in names.iter().zip(STATES) {
        let session_token = state;
        let record = Record { phone_number, session_token, ..Record::default() };
        let id = environment.insert(&record);
        // An older row of the same record is not the newest, and a newer one of another record is not its own.
        let past = PastDelivery { verification_id: &id, phone_number, ..PastDelivery::default() };
        environment.insert_delivery(&PastDelivery { state: "rejected", age: 70, ..past.clone() });
        environment.insert_delivery(&PastDelivery { state, age: 60, ..past.clone() });
        let other = "00000000000040008000000000000000";
        environment.insert_delivery(&PastDelivery { verification_id: other, age: 50, ..past });
    }
    let mut newest_first: Vec<_> = STATES.map(Some).to_vec();
    newest_first.reverse();
    expect_listed(&environment, &newest_first);
}

#[test]
fn list_shows_nothing_where_the_ledger_knows_nothing_of_a_record() {
    for environment in [Environment::console(""), Environment::with_database("")] {
        environment.insert(&Record::default());
        expect_listed(&environment, &[None]);
        let csv = environment.run(&["--format", "csv", "list"]).expect_code(0).stdout;
        assert!(csv.ends_with(",,live\n"), "{csv}");
    }
}

#[test]
fn list_tells_an_accepted_code_from_one_of_unknown_outcome() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    provider.next(Reply::close());
    environment.run(&["send", NUMBER]).expect_code(1);
    expect_listed(&environment, &[Some("unknown"), Some("accepted")]);
}
