//! When a code was verified, as the ledger keeps it, and a ledger of the first version, which didn't.

use crate::support::{
    Environment, NUMBER, OTHER_NUMBER, PastDelivery, Record, Time, VERIFY, is_on_server,
};

/// The id of the record and of the delivery that a test inserts.
const ID: &str = "3f2504e04f8941d39a0c0305e82c3301";
/// When a site verified the record: its `modified_at`.
const VERIFIED_AT: &str = "2026-11-23 07:46:40.746691";
/// Turns the ledger into one of the first version.
const FIRST_VERSION: [&str; 2] = [
    "ALTER TABLE sms_delivery DROP COLUMN language",
    "ALTER TABLE sms_delivery DROP COLUMN verified_at",
];

/// Returns an environment with deliveries in these states, and their record, which was verified by a site or not at all.
fn environment(states: &[&str], is_verified: bool) -> Environment {
    let environment = Environment::with_database("");
    let created_at = if is_verified { Time::Ago(700) } else { Time::Ago(60) };
    environment.insert(&Record { is_verified, created_at, ..Record::default() });
    environment.execute(&[
        &format!("UPDATE sms_verification SET id = '{ID}'"),
        &format!("UPDATE sms_verification SET modified_at = '{VERIFIED_AT}' WHERE is_verified"),
    ]);
    for state in states {
        environment.insert_delivery(&PastDelivery { state, ..PastDelivery::default() });
    }
    environment
}

/// Returns the state of each delivery and when its code was verified.
fn verified(environment: &Environment) -> Vec<String> {
    environment.column(
        "SELECT state || ' ' || coalesce(CAST(verified_at AS text), 'never') FROM sms_delivery ORDER BY id",
    )
}

#[test]
fn a_verified_code_is_known_to_the_ledger_by_what_may_have_carried_it() {
    let environment = environment(&["rejected", "unavailable", "unknown", "delivered"], false);
    environment.insert_delivery(&PastDelivery {
        verification_id: "00000000000040008000000000000009",
        ..PastDelivery::default()
    });
    environment.run(&VERIFY).expect_code(0);
    let [at] = &environment.column("SELECT modified_at FROM sms_verification")[..] else {
        panic!()
    };
    let expected = [
        "rejected never".to_owned(),
        "unavailable never".to_owned(),
        format!("unknown {at}"),
        format!("delivered {at}"),
        "accepted never".to_owned(),
    ];
    assert_eq!(verified(&environment), expected);
}

#[test]
fn what_a_site_verified_is_copied_before_it_is_lost() {
    let copied = [format!("accepted {VERIFIED_AT}")];
    for command in [&["purge"][..], &["purge", "--older-than", "11m"], &["migrate"]] {
        let environment = environment(&["accepted"], true);
        environment.run(command).expect_code(0);
        assert_eq!(verified(&environment), copied, "{command:?}");
    }
    let environment = environment(&["accepted"], true);
    environment.send(NUMBER);
    assert_eq!(verified(&environment)[..1], copied);
    assert_eq!(environment.count(), 1, "the new record has replaced it");
}

#[test]
fn a_record_that_nobody_verified_leaves_no_trace_of_it() {
    for command in [&["purge", "--older-than", "1s", "--force"][..], &["migrate"]] {
        let environment = environment(&["accepted"], false);
        environment.run(command).expect_code(0);
        assert_eq!(verified(&environment), ["accepted never"], "{command:?}");
    }
}

#[test]
fn a_damaged_record_is_removed_without_a_copy() {
    if is_on_server() {
        return;
    }
    for damaged in ["X'00'", "'2026-11-23'", "'now'", "'2026-11-23T07:46:40Z'"] {
        let environment = environment(&["accepted"], true);
        environment.execute(&[&format!("UPDATE sms_verification SET modified_at = {damaged}")]);
        environment.run(&["migrate"]).expect_code(0);
        environment.run(&["purge"]).expect_code(0);
        let never = vec!["accepted never".to_owned()];
        assert_eq!((environment.count(), verified(&environment)), (0, never), "{damaged}");
    }
}

#[test]
fn a_ledger_of_the_first_version_works_and_is_upgraded_by_send_and_migrate() {
    if is_on_server() {
        return;
    }
    let environment = environment(&["accepted"], false);
    environment.execute(&FIRST_VERSION);
    let columns = || environment.column("SELECT name FROM pragma_table_info('sms_delivery')");
    for (command, code) in [
        (&["list", "--wide"][..], 0),
        (&["status", NUMBER], 0),
        (&VERIFY, 0),
        (&["send", "--dry-run", NUMBER], 0),
        (&["purge", "--older-than", "1s", "--force"], 0),
    ] {
        let run = environment.run(command).expect_code(code);
        assert!(!columns().contains(&"language".to_owned()), "{command:?}");
        assert!(command[0] != "status" || run.stdout.contains("accepted"), "{run:#?}");
    }
    let run = environment.run(&["--format", "json", "doctor", "--offline"]);
    let older = "\"warning\",\"message\":\"the table sms_delivery is of an older version\"";
    assert!(
        run.stdout.contains(older) && run.stdout.contains("1 delivery can be read"),
        "{run:#?}"
    );
    let run = environment.run(&["migrate"]).expect_code(0);
    assert!(run.stdout.ends_with("Upgraded the ledger sms_delivery.\n"), "{run:#?}");
    assert_eq!(verified(&environment), ["accepted never"]);

    environment.execute(&FIRST_VERSION);
    environment.send(OTHER_NUMBER);
    assert!(columns().contains(&"verified_at".to_owned()));
}

#[test]
fn the_ledger_knows_the_language_of_the_message() {
    let environment = Environment::console("[messages]\nde = \"Ihr Code: {security_code}\"\n");
    environment.run(&["send", NUMBER, "--language", "de_AT"]).expect_code(0);
    environment.run(&["send", OTHER_NUMBER, "--language", "fr"]).expect_code(0);
    let languages = environment
        .column("SELECT coalesce(language, 'the default') FROM sms_delivery ORDER BY id");
    assert_eq!(languages, ["de", "the default"]);
}

#[test]
fn further_columns_of_others_do_no_harm_whatever_their_names_and_types() {
    let environment = environment(&["accepted"], false);
    environment.execute(&[
        "ALTER TABLE sms_verification ADD COLUMN state integer",
        "ALTER TABLE sms_verification ADD COLUMN verified_at text",
        "ALTER TABLE sms_verification ADD COLUMN place text",
    ]);
    let send = ["send", OTHER_NUMBER];
    let purge = ["purge", "--phone-number", NUMBER];
    for command in [&["migrate"][..], &["list"], &send, &VERIFY, &["purge"], &purge] {
        environment.run(command).expect_code(0);
    }
}
