//! `copy`: what gets from one database to another, what it refuses, and how it goes on after it was killed.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Child;

use regex::Regex;

use crate::support::postgres::{Database, Kind};
use crate::support::{
    CODE, DAY, Environment, NUMBER, OTHER_NUMBER, PastDelivery, Record, Run, STATES, Time,
    add_dashes, finish, wait_until,
};

const SOURCE: &str = "phone-verify.sqlite3";
const TARGET: &str = "copy.sqlite3";
const MANY: u32 = 7500;

/// A database with records, deliveries and wrong codes of every sort. The ids of the deliveries have a gap.
fn environment() -> Environment {
    let environment = Environment::with_database("");
    for (session_token, is_verified, failed_attempts, created_at) in [
        ("1-old", false, 3, Time::At("2020-02-02 02:02:02")),
        ("2-é\u{1f600}", true, 0, Time::Ago(40 * DAY)),
        ("3-expired", false, 0, Time::Ago(DAY)),
    ] {
        let record =
            Record { session_token, is_verified, failed_attempts, created_at, ..Record::default() };
        environment.insert(&record);
    }
    for (index, state) in STATES.into_iter().enumerate() {
        let (message_id, age) = ((index % 2 == 0).then_some("SM1"), 60 + index as i64);
        environment.insert_delivery(&PastDelivery {
            state,
            message_id,
            age,
            phone_number: OTHER_NUMBER,
            ..PastDelivery::default()
        });
    }
    environment.execute(&[
        "DELETE FROM sms_delivery WHERE id = 3",
        "UPDATE sms_delivery SET error_code = '30007', error_message = 'it isn''t \"valid\"',
             language = 'pt-BR', verified_at = '2026-02-02 02:02:02.500001' WHERE id = 2",
        "CREATE TABLE sms_wrong_code (id integer NOT NULL PRIMARY KEY,
             phone_number varchar(128) NOT NULL, created_at datetime NOT NULL)",
        "INSERT INTO sms_wrong_code (phone_number, created_at)
             VALUES ('+14155552671', strftime('%Y-%m-%d %H:%M:%S', 'now') || '.000001'),
                 ('+14155552671', strftime('%Y-%m-%d %H:%M:%S', 'now'))",
    ]);
    environment
}

fn copy(environment: &Environment, from: &str, to: &str) -> Run {
    environment.run(&["--format", "json", "copy", "--from", from, "--to", to])
}

/// Asserts how many records and deliveries a run copied, and how many were there.
#[track_caller]
fn expect_counts(run: Run, copied: [usize; 2], already_there: [usize; 2]) {
    let run = run.expect_code(0);
    let expected = serde_json::json!({
        "copied": copied[0],
        "copied_deliveries": copied[1],
        "already_there": already_there[0],
        "already_there_deliveries": already_there[1],
        "damaged": 0,
    });
    assert_eq!(run.json(), expected, "{run:#?}");
}

/// Returns everything that the program reads in a database, in an order of its own.
fn contents(environment: &Environment, database: &str) -> Vec<String> {
    let read = |arguments: &[&str]| {
        let run = environment.run(&[&["--database", database], arguments].concat());
        run.expect_code(0).stdout
    };
    let columns = "--columns=id,phone_number,security_code,session_token,is_verified,\
        failed_attempts,created_at,modified_at";
    let records = read(&["--format", "csv", "list", "--all", columns]);
    let deliveries = read(&["--format", "json", "deliveries", "--all"]);
    let mut lines: Vec<_> = records.lines().chain(deliveries.lines()).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Ends the program as `kill -9` does.
#[track_caller]
fn kill(mut program: Child) {
    program.kill().expect("it still runs");
    let run = finish(program);
    assert_eq!(run.code, None, "it had ended before it was killed: {run:#?}");
}

/// Lets copies to `database` stop at the row of `table` with this `condition`, until [`release`].
fn stop_at(database: &Database, table: &str, condition: &str) {
    database.query(&format!(
        "CREATE SEQUENCE reached; CREATE TABLE stop AS SELECT 1;
         CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM nextval('reached');
             WHILE EXISTS (SELECT 1 FROM stop) LOOP PERFORM pg_sleep(0.01); END LOOP;
             RETURN NEW;
         END $$;
         CREATE TRIGGER stop BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition})
             EXECUTE FUNCTION stop();"
    ));
}

fn wait_for_stop(database: &Database) {
    wait_until("the copy reaches the row", || {
        database.query("SELECT is_called FROM reached")[0][0].as_deref() == Some("t")
    });
}

fn release(database: &Database) {
    database.query("DELETE FROM stop");
}

/// Returns how many rows of the tables there are.
fn counts(database: &Database) -> [usize; 2] {
    ["sms_verification", "sms_delivery"].map(|table| {
        let rows = database.query(&format!("SELECT count(*) FROM {table}"));
        rows[0][0].as_deref().expect("a count").parse().expect("a number")
    })
}

#[test]
fn everything_gets_from_a_file_to_a_server_and_back_and_is_there_once() {
    for kind in Kind::ALL {
        let (Some(first), Some(second)) = (kind.database(), kind.database()) else { continue };
        let environment = environment();
        let before = environment.rows("sms_delivery");
        for (from, to) in
            [(SOURCE, &*first.url()), (&first.url(), &second.url()), (&second.url(), TARGET)]
        {
            expect_counts(copy(&environment, from, to), [3, 6], [0, 0]);
            assert_eq!(contents(&environment, to), contents(&environment, SOURCE), "{kind:?}");
            expect_counts(copy(&environment, from, to), [0, 0], [3, 6]);
        }
        let wrong_codes = "SELECT phone_number, created_at FROM sms_wrong_code ORDER BY created_at";
        environment.execute(&[
            &format!("CREATE TABLE before AS {wrong_codes}"),
            &format!("ATTACH '{}' AS copy", environment.path(TARGET).display()),
            &format!("CREATE TABLE after AS {}", wrong_codes.replace("sms", "copy.sms")),
            "CREATE TABLE ledger AS SELECT * FROM copy.sms_delivery ORDER BY id",
        ]);
        assert_eq!(environment.rows("after"), environment.rows("before"), "{kind:?}");
        assert_eq!(environment.rows("ledger"), before, "the ids are those of the source");
    }
}

#[test]
fn a_file_is_copied_to_a_file_and_not_changed() {
    let environment = environment();
    let before = std::fs::read(environment.path(SOURCE)).expect("a database");
    let run = environment.run(&["copy", "--from", SOURCE, "--to", TARGET]).expect_code(0);
    assert_eq!(run.stdout, "Copied 3 records and 6 deliveries.\n");
    let run = environment.run(&["copy", "--from", SOURCE, "--to", TARGET]).expect_code(0);
    assert_eq!(
        run.stdout,
        "Copied 0 records and 0 deliveries. The target had 3 records and 6 deliveries already.\n"
    );
    assert_eq!(contents(&environment, TARGET), contents(&environment, SOURCE));
    assert_eq!(std::fs::read(environment.path(SOURCE)).expect("a database"), before);
    assert_eq!(environment.mode(TARGET), 0o600);
}

#[test]
fn columns_that_others_added_are_named_and_not_copied() {
    const ADD: &str = "ALTER TABLE sms_verification ADD COLUMN user_id integer;
         ALTER TABLE sms_delivery ADD COLUMN place text";
    let words =
        "columns that others added aren't copied: sms_verification.user_id, sms_delivery.place";
    let environment = environment();
    let expect_warning = |from: &str, to: &str| {
        let run = environment.run(&["copy", "--from", from, "--to", to]).expect_code(0);
        assert!(run.stderr.contains(&format!(": {words}\n")), "{run:#?}");
    };
    let database = Kind::Plain.database();
    if let Some(database) = &database {
        copy(&environment, SOURCE, &database.url()).expect_code(0);
        database.query(ADD);
        expect_warning(&database.url(), TARGET);
    }
    environment.execute(&[ADD]);
    expect_warning(SOURCE, TARGET);
    // What the target has besides is nobody's loss.
    let run = environment.run(&["-v", "copy", "--from", TARGET, "--to", SOURCE]).expect_code(0);
    assert!(!run.stderr.contains(words), "{run:#?}");
}

#[test]
fn sends_go_on_in_the_copy_with_ids_of_their_own() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = environment();
        copy(&environment, SOURCE, &database.url()).expect_code(0);
        environment.run(&["--database", &database.url(), "send", NUMBER]).expect_code(0);
        let ids = database.query("SELECT max(id), count(*) FROM sms_delivery");
        assert_eq!(ids, [["8", "7"].map(|text| Some(text.to_owned()))], "{kind:?}");
    }
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    for (table, condition, merges) in [
        ("sms_verification", "NEW.session_token = 'token-700-300'", false),
        ("sms_verification", "NEW.session_token = 'token-700-300'", true),
        ("sms_delivery", "NEW.verification_id::text LIKE '%2000'", false),
        ("sms_delivery", "NEW.verification_id::text LIKE '%2000'", true),
    ] {
        let Some(database) = Kind::Plain.database() else { return };
        let environment = Environment::with_database("");
        environment.insert_many(MANY, 700);
        environment.execute(&[&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
             INSERT INTO sms_delivery (id, verification_id, phone_number, backend, state, segments,
                 tries, created_at, updated_at)
             SELECT 5 * i, printf('%032d', i), printf('+1202%07d', i), 'twilio', 'accepted', 1, 1,
                 printf('2026-01-01 00:00:00.%06d', i / 4), '2026-01-02 00:00:00' FROM n"
        )]);
        let url = database.url();
        environment.run(&["--database", &url, "migrate"]).expect_code(0);
        if merges {
            environment.run(&["--database", &url, "send", OTHER_NUMBER]).expect_code(0);
        }
        let own = contents(&environment, &url);
        let own_count = usize::from(merges);
        stop_at(&database, table, condition);
        let mut arguments = vec!["--format", "json", "copy", "--from", SOURCE, "--to", &url];
        arguments.extend(merges.then_some("--merge"));
        let program = environment.start(&arguments);
        wait_for_stop(&database);
        kill(program);
        // The server may well store the rows that it has received.
        release(&database);
        let others = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'phone-verify'";
        wait_until("the server ends the session", || {
            database.query(others)[0][0].as_deref() == Some("0")
        });
        let there = counts(&database).map(|count| count - own_count);
        assert!(there != [0, 0] && there != [MANY as usize; 2], "{there:?}");
        let left = there.map(|count| MANY as usize - count);
        expect_counts(environment.run(&arguments), left, there);
        expect_counts(environment.run(&arguments), [0, 0], [MANY as usize; 2]);
        assert_eq!(counts(&database), [MANY as usize + own_count; 2]);
        // New ids are the only difference.
        let ids = Regex::new(if merges { r#""id":\d+"# } else { "^$" }).expect("a pattern");
        let lines = |lines: Vec<String>| -> BTreeSet<String> {
            lines.iter().map(|line| ids.replace(line, "").into_owned()).collect()
        };
        let expected = [own, contents(&environment, SOURCE)].concat();
        assert_eq!(lines(contents(&environment, &url)), lines(expected));
    }
}

#[test]
fn of_two_copies_at_a_time_each_counts_what_it_has_stored() {
    let Some(database) = Kind::Plain.database() else { return };
    let environment = Environment::with_database("");
    environment.insert_many(3, 700);
    let url = database.url();
    environment.run(&["--database", &url, "migrate"]).expect_code(0);
    stop_at(&database, "sms_verification", "TRUE");
    let arguments = ["--format", "json", "copy", "--from", SOURCE, "--to", &url];
    let first = environment.start(&arguments);
    wait_for_stop(&database);
    // It doesn't see yet what the first one stores.
    let second = environment.start(&arguments);
    wait_until("the second copy waits for the first one", || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        database.query(waiting)[0][0].as_deref() == Some("1")
    });
    release(&database);
    expect_counts(finish(first), [3, 0], [0, 0]);
    expect_counts(finish(second), [0, 0], [3, 0]);
}

#[test]
fn killed_again_and_again_a_copy_to_a_file_is_whole_in_the_end() {
    let environment = Environment::with_database("");
    environment.insert_many(MANY, 700);
    let arguments = ["--format", "json", "copy", "--from", SOURCE, "--to", TARGET];
    let target = environment.path(TARGET);
    for held in 0..4 {
        let mut program = environment.start(&arguments);
        // Another one's lock lets it stop wherever it is.
        wait_until("the target is there", || target.exists());
        let connection = rusqlite::Connection::open(&target).expect("a database");
        let is_locked = connection.execute_batch("BEGIN IMMEDIATE").is_ok();
        if held % 2 == 0 && is_locked {
            connection.execute_batch("ROLLBACK").expect("the lock is ours");
        }
        let _ = program.kill();
        finish(program);
    }
    let run = environment.run(&arguments).expect_code(0);
    let count = |name: &str| run.json()[name].as_u64().expect("a count");
    assert_eq!(count("copied") + count("already_there"), u64::from(MANY));
    assert_eq!(contents(&environment, TARGET), contents(&environment, SOURCE));
}

#[test]
fn a_target_with_other_rows_is_refused_unless_they_are_merged() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = environment();
        let url = database.url();
        environment.run(&["--database", &url, "migrate"]).expect_code(0);
        environment.run(&["--database", &url, "send", OTHER_NUMBER]).expect_code(0);
        let own = contents(&environment, &url);
        let run = copy(&environment, SOURCE, &url).expect_code(1);
        assert!(run.stderr.contains("--merge") && run.stdout.is_empty(), "{run:#?}");
        // A delivery alone is another row too.
        database.query("DELETE FROM sms_verification");
        let run = copy(&environment, SOURCE, &url).expect_code(1);
        assert!(
            run.stderr.contains("a delivery that is not in phone-verify.sqlite3: 1\n"),
            "{run:#?}"
        );
        assert_eq!(counts(&database), [0, 1], "{kind:?}");
        let merge = ["--format", "json", "copy", "--from", SOURCE, "--to", &url, "--merge"];
        expect_counts(environment.run(&merge), [3, 6], [0, 0]);
        expect_counts(environment.run(&merge), [0, 0], [3, 6]);
        assert_eq!(counts(&database), [3, 7], "{kind:?}");
        let delivery = own.iter().find(|line| line.starts_with('{')).expect("a delivery");
        assert!(contents(&environment, &url).contains(delivery), "it keeps its id");
        let ids = database.query("SELECT id FROM sms_delivery ORDER BY id");
        let ids: Vec<_> = ids.into_iter().flatten().flatten().collect();
        assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7"], "{kind:?}");
        // Merged, they aren't what the source holds.
        copy(&environment, SOURCE, &url).expect_code(1);
    }
}

#[test]
fn damaged_rows_are_named_and_left_out() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = environment();
        environment.execute(&[
            "UPDATE sms_verification SET failed_attempts = 'many' WHERE session_token = '1-old'",
            "UPDATE sms_delivery SET created_at = 'never' WHERE id = 2",
        ]);
        for (copied, already_there) in [(2, 0), (0, 2)] {
            let run = copy(&environment, SOURCE, &database.url()).expect_code(1);
            let report = run.json();
            assert_eq!(report["damaged"], 2, "{run:#?}");
            assert_eq!(report["copied"], copied, "{run:#?}");
            assert_eq!(report["already_there"], already_there, "{run:#?}");
            for words in
                ["failed_attempts", "sms_delivery, row rowid 2, column created_at", "left out"]
            {
                assert!(run.stderr.contains(words), "{words}: {run:#?}");
            }
            assert!(!run.stderr.contains(CODE), "{run:#?}");
        }
        assert_eq!(counts(&database), [2, 5], "{kind:?}");
        // A page may hold nothing else.
        environment.execute(&["UPDATE sms_verification SET failed_attempts = 'many'"]);
        let run = copy(&environment, SOURCE, TARGET).expect_code(1);
        assert_eq!(run.json()["damaged"], 4, "{run:#?}");
    }
}

#[test]
fn a_row_that_a_server_can_not_hold_is_named() {
    let Some(database) = Kind::Plain.database() else { return };
    for (column, value) in [
        ("session_token", "printf('%0501d', 7)"),
        ("security_code", "'91827' || char(0)"),
        ("phone_number", "printf('%0129d', 7)"),
    ] {
        let environment = Environment::with_database("");
        let id = environment.insert(&Record::default());
        environment.execute(&[&format!("UPDATE sms_verification SET {column} = {value}")]);
        let run = copy(&environment, SOURCE, &database.url()).expect_code(1);
        for words in [column, &add_dashes(&id)] {
            assert!(run.stderr.contains(words), "{words}: {run:#?}");
        }
        assert!(!run.stderr.contains("91827") && !run.stderr.contains("00000007"), "{run:#?}");
        assert_eq!(counts(&database), [0, 0]);
    }
}

#[test]
fn a_source_that_changes_meanwhile_is_noticed() {
    let Some(database) = Kind::Plain.database() else { return };
    let environment = environment();
    let url = database.url();
    environment.run(&["--database", &url, "migrate"]).expect_code(0);
    stop_at(&database, "sms_verification", "NEW.session_token = '1-old'");
    let program = environment.start(&["copy", "--from", SOURCE, "--to", &url]);
    wait_for_stop(&database);
    environment.insert(&Record { session_token: "4-new", ..Record::default() });
    release(&database);
    let run = finish(program).expect_code(1);
    assert!(run.stderr.contains("has changed while it was copied"), "{run:#?}");
    assert!(run.stderr.contains("run it again") && run.stdout.is_empty(), "{run:#?}");
    expect_counts(copy(&environment, SOURCE, &url), [1, 0], [3, 6]);

    // A row that was copied and then changed is never overwritten.
    let id = add_dashes(&environment.column("SELECT id FROM sms_verification")[0]);
    database.query(&format!("UPDATE sms_verification SET failed_attempts = 9 WHERE id = '{id}'"));
    let run = copy(&environment, SOURCE, &url).expect_code(1);
    assert!(run.stderr.contains(&id) && !run.stderr.contains(CODE), "{run:#?}");
    let other = database.query("SELECT max(failed_attempts) FROM sms_verification");
    assert_eq!(other[0][0].as_deref(), Some("9"));
}

#[test]
fn what_a_trigger_keeps_out_of_the_target_is_noticed() {
    let Some(database) = Kind::Plain.database() else { return };
    let environment = environment();
    let url = database.url();
    environment.run(&["--database", &url, "migrate"]).expect_code(0);
    database.query(
        "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.error_code := 'none'; RETURN NEW; END $$;
         CREATE TRIGGER change BEFORE INSERT ON sms_delivery FOR EACH ROW EXECUTE FUNCTION change()",
    );
    let run = copy(&environment, SOURCE, &url).expect_code(1);
    assert!(run.stderr.contains("does not hold the same"), "{run:#?}");
}

#[test]
fn what_only_the_target_has_learned_does_not_matter() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = environment();
        let id = environment.column("SELECT id FROM sms_verification WHERE is_verified")[0].clone();
        environment.insert_delivery(&PastDelivery { verification_id: &id, ..Default::default() });
        for counts in [([3, 7], [0, 0]), ([0, 0], [3, 7])] {
            // The second time, the ledger has learned from the record that its code was verified.
            expect_counts(copy(&environment, SOURCE, &database.url()), counts.0, counts.1);
            environment.run(&["--database", &database.url(), "migrate"]).expect_code(0);
        }
    }
}

#[test]
fn a_database_is_never_copied_to_itself() {
    let environment = environment();
    let before = std::fs::read(environment.path(SOURCE)).expect("a database");
    std::os::unix::fs::symlink(SOURCE, environment.path("link")).expect("a link");
    std::fs::hard_link(environment.path(SOURCE), environment.path("hard")).expect("a link");
    for name in [SOURCE, "./phone-verify.sqlite3", "link", "hard"] {
        let run = copy(&environment, SOURCE, name).expect_code(2);
        assert!(run.stderr.contains("the same database"), "{run:#?}");
    }
    assert_eq!(std::fs::read(environment.path(SOURCE)).expect("a database"), before);
    let run = copy(&environment, "missing", "./missing").expect_code(2);
    assert!(run.stderr.contains("the same database"), "{run:#?}");
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        copy(&environment, SOURCE, &database.url()).expect_code(0);
        if kind != Kind::OtherVersion {
            let run = copy(&environment, &database.url(), &database.tcp_url()).expect_code(2);
            assert!(run.stderr.contains("the same database"), "{kind:?}: {run:#?}");
        }
    }
}

#[test]
fn a_source_that_is_not_there_makes_no_target() {
    let environment = environment();
    let run = copy(&environment, "missing.sqlite3", TARGET).expect_code(1);
    assert!(run.stderr.contains("missing.sqlite3: it does not exist"), "{run:#?}");
    if let Some(database) = Kind::Plain.database() {
        let run = copy(&environment, &database.url(), TARGET).expect_code(1);
        assert!(run.stderr.contains("there is no table sms_verification"), "{run:#?}");
    }
    assert!(!environment.path(TARGET).exists());
}

#[test]
fn a_password_is_never_shown() {
    let environment = environment();
    let address = "postgresql://postgres:verysecret@127.0.0.1:1/db";
    for arguments in [
        &["copy", "--from", SOURCE, "--to", address][..],
        &["copy", "--from", address, "--to", TARGET],
        &["copy", "--from", "postgresql://verysecret@[", "--to", TARGET],
        &["copy", "--from", SOURCE, "--to", address, "--to", address],
        &["copy", "postgresql://app:verysecret@localhost/db", TARGET],
        &["copy", "host=localhost password=verysecret", TARGET],
        &["postgresql://app:verysecret@localhost/db"],
    ] {
        let run = environment.run(&[&["-vv"], arguments].concat());
        assert!(run.code != Some(0), "{run:#?}");
        let shown = [&*run.stdout, &run.stderr].concat();
        assert!(!shown.contains("verysecret"), "{shown}");
    }
}

#[test]
fn no_settings_are_needed() {
    let environment = environment();
    std::fs::remove_file(environment.path("phone-verify.toml")).expect("a file");
    expect_counts(copy(&environment, SOURCE, TARGET), [3, 6], [0, 0]);
}

#[test]
fn at_a_terminal_a_bar_shows_how_far_the_copy_is() {
    let Some(database) = Kind::Plain.database() else { return };
    let environment = Environment::with_database("");
    environment.insert_many(MANY, 700);
    let url = database.url();
    environment.run(&["--database", &url, "migrate"]).expect_code(0);
    stop_at(&database, "sms_verification", "NEW.session_token = 'token-700-300'");
    let line = format!("phone-verify copy --from {SOURCE} --to '{url}'");
    let mut terminal = environment.at_terminal(100, &line).spawn().expect("a terminal");
    wait_for_stop(&database);
    let mut output = terminal.stdout.take().expect("stdout is piped");
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("6,000/7,500 (copying)") {
        let mut bytes = [0; 4096];
        let count = output.read(&mut bytes).expect("it is readable");
        let is_alive = count > 0 && shown.len() < 50_000;
        assert!(is_alive, "{}", String::from_utf8_lossy(&shown));
        shown.extend(&bytes[..count]);
    }
    release(&database);
    output.read_to_end(&mut shown).expect("it is readable");
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.ends_with("Copied 7,500 records and 0 deliveries.\r\n"), "{shown}");
    finish(terminal).expect_code(0);
}
