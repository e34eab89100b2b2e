//! `purge --phone-number` leaves no byte of a number, in whatever file.

use std::process::Command;

use crate::support::{
    DATABASE, Environment, NUMBER, OTHER_NUMBER, WRONG_CODE, finish, has_open, is_on_server,
    run_command, wait_until,
};

/// The rollback journal.
const JOURNAL: &str = "phone-verify.sqlite3-journal";
/// The write-ahead log.
const LOG: &str = "phone-verify.sqlite3-wal";

/// Returns which of `texts` are in a file of the database, with the name of the file.
fn found(environment: &Environment, texts: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for name in environment.files().into_iter().filter(|name| name.starts_with(DATABASE)) {
        // If this process closed the file, the locks of its own connections would be gone.
        let cat = Command::new("cat").arg(environment.path(&name)).output();
        let bytes = cat.expect("a file of the database").stdout;
        let holds = |text: &&String| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        found.extend(texts.iter().filter(holds).map(|text| format!("{name}: {text}")));
    }
    found
}

/// Sends two codes to the number and types wrong and right ones. Returns the number, the codes and the tokens.
fn use_number(environment: &Environment) -> Vec<String> {
    let mut texts = vec![NUMBER.to_owned()];
    for is_right in [false, true] {
        let record = environment.send(NUMBER);
        for _ in 0..3 {
            let wrong = ["verify", NUMBER, WRONG_CODE, "--any-session"];
            environment.run(&wrong).expect_code(11);
        }
        if is_right {
            environment.verify(&record).expect_code(0);
            environment.run(&["verify", NUMBER, WRONG_CODE, "--any-session"]).expect_code(11);
        }
        texts.extend([record.security_code, record.session_token]);
    }
    environment.send(OTHER_NUMBER);
    texts
}

#[test]
fn nothing_of_an_erased_number_is_left_in_any_file() {
    if is_on_server() {
        return;
    }
    for mode in ["delete", "persist", "wal"] {
        let environment = Environment::with_database("token_length = 12\n");
        environment.column(&format!("PRAGMA journal_mode = {mode}"));
        // Another process has the database open, so that the log isn't deleted.
        let other = environment.database();
        other.query_row("SELECT count(*) FROM sms_verification", [], |_| Ok(())).expect("rows");
        let texts = use_number(&environment);
        // In the mode persist, the journal stays, and still holds the pages of the last transaction.
        let change = "UPDATE sms_verification SET modified_at = '2020-02-02 02:02:02'";
        other.execute_batch(&format!("PRAGMA journal_mode = {mode}; {change}")).expect("a change");
        assert_eq!(environment.files().contains(&JOURNAL.to_owned()), mode == "persist");
        assert!(!found(&environment, &texts).is_empty());
        let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
        assert_eq!(run.stdout, "Deleted 1 record, 2 deliveries and 1 wrong code.\n");
        assert_eq!(found(&environment, &texts), [""; 0], "{mode}");
        assert_eq!(environment.files().contains(&LOG.to_owned()), mode == "wal");
        assert!(!environment.files().contains(&JOURNAL.to_owned()));
        assert_ne!(found(&environment, &[OTHER_NUMBER.to_owned()]), [""; 0]);
    }
}

#[test]
fn what_another_program_deleted_is_gone_after_an_erasure() {
    if is_on_server() {
        return;
    }
    for mode in ["delete", "persist", "wal"] {
        let environment = Environment::with_database("token_length = 12\n");
        environment.column(&format!("PRAGMA journal_mode = {mode}"));
        let texts = use_number(&environment);
        let other = environment.database();
        other
            .execute_batch(&format!(
                "PRAGMA journal_mode = {mode}; PRAGMA secure_delete = 0;
                 DELETE FROM sms_verification WHERE phone_number = '{NUMBER}';
                 DELETE FROM sms_delivery WHERE phone_number = '{NUMBER}';
                 DELETE FROM sms_wrong_code WHERE phone_number = '{NUMBER}'"
            ))
            .expect("a deletion");
        drop(other);
        assert_ne!(found(&environment, &texts), [""; 0], "{mode}");
        let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("Deleted 0 records.\n", ""));
        assert_eq!(found(&environment, &texts), [""; 0], "{mode}");
        assert_eq!(
            environment.column("PRAGMA journal_mode"),
            [if mode == "wal" { mode } else { "delete" }]
        );
    }
}

#[test]
fn what_is_superseded_or_purged_by_age_is_overwritten() {
    let environment = Environment::with_database("token_length = 12\n");
    let first = environment.send(NUMBER);
    let second = environment.send(NUMBER);
    assert_eq!(found(&environment, &[first.security_code, first.session_token]), [""; 0]);
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(found(&environment, &[second.security_code, second.session_token]), [""; 0]);
}

#[test]
fn a_log_that_others_use_is_waited_for_and_then_an_error() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("token_length = 12\n");
    let texts = use_number(&environment);
    let reader = || {
        let reader = environment.database();
        reader.execute_batch("BEGIN; SELECT * FROM sms_verification").expect("a reader");
        reader
    };
    let stays = reader();
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(1);
    assert_eq!(run.stdout, "Deleted 1 record, 2 deliveries and 1 wrong code.\n");
    for part in
        ["error: database ", "the log still contains what was deleted", "hint: run it again"]
    {
        assert!(run.stderr.contains(part), "{run:#?}");
    }
    assert_ne!(found(&environment, &texts), [""; 0]);
    // The same command completes it, even if it has to wait, and writers get their turn meanwhile.
    let purge = environment.command(&["purge", "--phone-number", NUMBER]);
    let mut purge = { purge }.spawn().expect("the program starts");
    wait_until("the purge has the log open", || has_open(&purge, &environment.path(LOG)));
    environment.send(OTHER_NUMBER);
    assert!(purge.try_wait().expect("a child").is_none());
    drop(stays);
    assert_eq!(finish(purge).expect_code(0).stdout, "Deleted 0 records.\n");
    assert_eq!(found(&environment, &texts), [""; 0]);
}

#[test]
fn an_erasure_counts_what_is_left_in_either_table() {
    let environment = Environment::with_database("");
    environment.send(NUMBER);
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    for (options, would) in [(&["--dry-run"][..], "Would delete"), (&[], "Deleted")] {
        let run = environment.run(&[&["purge", "--phone-number", NUMBER], options].concat());
        assert_eq!(run.expect_code(0).stdout, format!("{would} 0 records and 1 delivery.\n"));
    }
}

#[test]
fn a_database_that_is_too_large_to_be_rebuilt_says_how_to_do_it() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("token_length = 12\n");
    environment.execute(&[
        "CREATE TABLE of_others (content blob)",
        "INSERT INTO of_others VALUES (zeroblob(64 * 1024 * 1024))",
    ]);
    let texts = use_number(&environment);
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
    assert_eq!(run.stdout, "Deleted 1 record, 2 deliveries and 1 wrong code.\n");
    let warning = "warning: the database is too large to be rebuilt now, so parts of deleted rows may be left in it until `sqlite3 phone-verify.sqlite3 VACUUM`\n";
    assert_eq!(run.stderr, warning);
    // What was deleted is overwritten all the same.
    assert_eq!(found(&environment, &texts), [""; 0]);
}

#[test]
fn without_room_to_rebuild_the_database_the_log_is_emptied_all_the_same() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("token_length = 12\n");
    let texts = use_number(&environment);
    environment.execute(&[
        "CREATE TABLE of_others (content blob)",
        "INSERT INTO of_others VALUES (randomblob(1024 * 1024))",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ]);
    // Otherwise the log would be gone when the program closes the database.
    let stays = environment.database();
    stays.execute_batch("SELECT * FROM sms_verification").expect("a reader");
    // No file may grow beyond half a megabyte.
    let purge = environment.after_shell("ulimit -f 1024", &["purge", "--phone-number", NUMBER]);
    let run = run_command(purge).expect_code(1);
    assert_eq!(run.stdout, "Deleted 1 record, 2 deliveries and 1 wrong code.\n");
    assert!(run.stderr.starts_with("error: database "), "{run:#?}");
    assert_eq!(found(&environment, &texts), [""; 0]);
}
