//! `stats`: the ledger in figures.

use std::io::{BufRead, BufReader};

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    CODE, DAY, Environment, NUMBER, OTHER_NUMBER, PastDelivery, Record, Time, VERIFY, is_on_server,
    now, peak_memory, run_command,
};

const JSON: [&str; 3] = ["--format", "json", "stats"];

/// The fields of a group in JSON and CSV.
const FIELDS: [&str; 18] = [
    "by",
    "group",
    "sent",
    "delivered",
    "undelivered",
    "delivery_rate",
    "verified",
    "conversion",
    "failed",
    "failed_number",
    "failed_account",
    "failed_sender",
    "failed_content",
    "failed_carrier",
    "failed_temporary",
    "failed_unexplained",
    "unknown",
    "segments",
];

/// Inserts deliveries with these values of `phone_number`, `backend`, `state`, `error_code`, `segments`, `language`, how many
/// seconds ago they began, and whether their codes were verified.
fn insert(environment: &Environment, deliveries: &[&str]) {
    environment.execute(&[&format!(
        "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, error_code, segments,
            language, tries, created_at, updated_at, verified_at)
         WITH rows (phone_number, backend, state, error_code, segments, language, age, is_verified)
             AS (VALUES {}),
         times AS (SELECT *, {} AS time FROM rows)
         SELECT '3f2504e04f8941d39a0c0305e82c3301', phone_number, backend, state, error_code, segments,
             language, 1, time, time, CASE WHEN is_verified = 1 THEN time END FROM times",
        deliveries.join(","),
        environment.time_ago("age")
    )]);
}

/// Returns an environment with deliveries of every kind, all of them today unless it is soon after midnight.
fn environment() -> Environment {
    let environment = Environment::with_database("");
    insert(
        &environment,
        &[
            "('+14155552671', 'twilio', 'delivered', NULL, 1, NULL, 1, 1)",
            "('+12025550143', 'twilio', 'delivered', NULL, 1, NULL, 1, 0)",
            "('+12025550143', 'twilio', 'accepted', NULL, 2, 'de', 1, 1)",
            "('+442079460018', 'twilio', 'undelivered', '30006', 1, 'de', 1, 0)",
            "('+442079460018', 'twilio', 'undelivered', '30008', 1, 'de', 1, 0)",
            "('+442079460018', 'twilio', 'rejected', '20003', 7, 'de', 1, 0)",
            "('+442079460018', 'nexmo', 'unknown', NULL, 3, 'de', 1, 1)",
            "('+442079460018', 'nexmo', 'unknown', NULL, 7, 'de', 1, 0)",
            "('not a number', 'nexmo', 'sending', NULL, 7, NULL, 1, 0)",
            "('not a number', 'nexmo', 'unavailable', 'words', 7, NULL, 1, 0)",
        ],
    );
    environment
}

/// Returns the JSON lines of `stats` with `options`.
#[track_caller]
fn stats(environment: &Environment, options: &[&str]) -> Vec<Value> {
    let run = environment.run(&[&JSON[..], options].concat()).expect_code(0);
    assert_eq!(run.stderr, "", "{options:?}");
    run.json_lines()
}

/// Returns the values of `fields` in each JSON line of `stats`, between spaces.
#[track_caller]
fn values(environment: &Environment, options: &[&str], fields: &[&str]) -> Vec<String> {
    let line = |line: &Value| {
        let values = fields.iter().map(|field| line[field].to_string().replace('"', ""));
        values.collect::<Vec<_>>().join(" ")
    };
    stats(environment, options).iter().map(line).collect()
}

#[test]
fn a_group_has_its_counts_and_shares() {
    let groups = stats(&environment(), &["--by", "backend"]);
    let expected = [
        json!({
            "by": "backend", "group": "twilio", "sent": 5, "delivered": 2, "undelivered": 2,
            "delivery_rate": 0.5, "verified": 2, "conversion": 0.4, "failed": 3,
            "failed_number": 1, "failed_account": 1, "failed_sender": 0, "failed_content": 0,
            "failed_carrier": 1, "failed_temporary": 0, "failed_unexplained": 0, "unknown": 0,
            "segments": 6,
        }),
        json!({
            "by": "backend", "group": "nexmo", "sent": 1, "delivered": 0, "undelivered": 0,
            "delivery_rate": null, "verified": 1, "conversion": 1, "failed": 1,
            "failed_number": 0, "failed_account": 0, "failed_sender": 0, "failed_content": 0,
            "failed_carrier": 0, "failed_temporary": 0, "failed_unexplained": 1, "unknown": 2,
            "segments": 3,
        }),
    ];
    assert_eq!(groups, expected);
}

#[test]
fn deliveries_are_grouped_by_region_language_and_day() {
    let environment = environment();
    let fields = ["by", "group", "sent", "failed"];
    let by = |by| values(&environment, &["--by", by], &fields);
    assert_eq!(by("region"), ["region GB 3 3", "region US 3 0", "region null 0 1"]);
    assert_eq!(by("language"), ["language de 4 3", "language null 2 1"]);

    // A day begins at midnight in UTC, whatever the time zone.
    environment.execute(&[
        "UPDATE sms_delivery SET created_at = '2026-01-15 23:59:59.999999' WHERE id < 4",
        "UPDATE sms_delivery SET created_at = '2026-01-16 00:00:00' WHERE id >= 4",
    ]);
    let mut command = environment.command(&[&JSON[..], &["--since", "2026-01-01"]].concat());
    command.env("TZ", "JST-9");
    let lines = run_command(command).expect_code(0).json_lines();
    let days: Vec<_> = lines.iter().map(|line| (&line["group"], &line["sent"])).collect();
    assert_eq!(days, [(&json!("2026-01-15"), &json!(3)), (&json!("2026-01-16"), &json!(3))]);
}

#[test]
fn csv_has_a_heading_line_and_the_same_fields() {
    let environment = environment();
    let run = environment.run(&["--format", "csv", "stats", "--by", "region"]).expect_code(0);
    let expected = format!(
        "{}\n\
         region,GB,3,0,2,0,1,0.3333,3,1,1,0,0,1,0,0,1,5\n\
         region,US,3,2,0,1,2,0.6667,0,0,0,0,0,0,0,0,0,4\n\
         region,,0,0,0,,0,,1,0,0,0,0,0,0,1,1,0\n",
        FIELDS.join(",")
    );
    assert_eq!((run.stdout, run.stderr.as_str()), (expected, ""));
}

#[test]
fn text_is_a_table_with_bars_and_a_total_and_notes_say_the_rest() {
    let environment = environment();
    let run = environment.run(&["stats", "--by", "region"]).expect_code(0);
    let table = "\
group   sent  bar         delivery_rate  verified  conversion  failed  segments
GB         3  ██████████            0 %         1        33 %       3         5
US         3  ██████████          100 %         2        67 %       0         4
(none)     0                                    0                   1         0
total      6                       50 %         3        50 %       4         9
";
    let notes = "\
note: 4 failed (1 number, 1 account, 1 carrier, 1 unexplained); `phone-verify deliveries --failed` says why
note: 2 more may or may not have been sent
";
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (table, notes));
    let run = environment.run(&["--quiet", "stats", "--by", "language"]).expect_code(0);
    assert!(run.stdout.contains("\n(default)     2  █████       "), "{run:#?}");
    assert_eq!(run.stderr, "");
    let run = environment.run(&["stats", "--by", "backend", "--backend", "nexmo"]).expect_code(0);
    assert!(!run.stdout.contains("total"), "{run:#?}");
    environment.execute(&["UPDATE sms_delivery SET id = 1234567, segments = 200000 WHERE id = 1"]);
    let run = environment.run(&["stats", "--by", "region"]).expect_code(0);
    assert!(run.stdout.contains(" 200,003\n"), "{run:#?}");
    let run = environment.run(&["--format", "csv", "stats", "--by", "region"]).expect_code(0);
    assert!(run.stdout.contains(",200003\n"), "{run:#?}");
    let run = environment.run(&["deliveries", "--columns", "segments,id"]).expect_code(0);
    assert!(run.stdout.contains(" 200,000  1234567\n"), "{run:#?}");
}

#[test]
fn the_table_fits_80_columns_in_a_line_a_group() {
    let environment = environment();
    environment.execute(&["UPDATE sms_delivery SET backend = 'twilio-sandbox'"]);
    for by in ["day", "region", "backend", "language"] {
        let line = format!("phone-verify --color never --quiet stats --by {by}");
        let screen = run_command(environment.at_terminal(80, &line)).expect_code(0).stdout;
        let lines: Vec<_> = screen.lines().collect();
        assert!(lines.iter().any(|line| line.starts_with("group  ")), "{screen}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{screen}");
    }
}

#[test]
fn columns_are_shown_as_they_are_chosen() {
    let environment = environment();
    let options = ["--by", "backend", "--columns", "bar,group,failed_carrier"];
    let run = environment.run(&[&JSON[..], &options].concat()).expect_code(0);
    let expected = "{\"bar\":1,\"group\":\"twilio\",\"failed_carrier\":1}\n\
                    {\"bar\":0.2,\"group\":\"nexmo\",\"failed_carrier\":0}\n";
    assert_eq!(run.stdout, expected);
    environment.run(&["stats", "--columns", "sent,sent"]).expect_code(2);
    environment.run(&["stats", "--by", "number"]).expect_code(2);
}

#[test]
fn the_last_30_days_are_counted_unless_told_otherwise() {
    let environment = Environment::with_database("");
    for age in [60, DAY * 2, DAY * 31] {
        environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
    }
    environment.insert_delivery(&PastDelivery { backend: "nexmo", ..PastDelivery::default() });
    // The first of the 30 days counts from its beginning.
    let first = (now() - TimeDelta::days(29)).format("%Y-%m-%d 00:00:00");
    environment.execute(&[&format!("UPDATE sms_delivery SET created_at = '{first}' WHERE id = 2")]);
    let sent = |options: &[&str]| {
        let options = [options, &["--by", "backend"]].concat();
        values(&environment, &options, &["group", "sent"])
    };
    assert_eq!(sent(&[]), ["twilio 2", "nexmo 1"]);
    assert_eq!(sent(&["--since", "32d"]), ["twilio 3", "nexmo 1"]);
    assert_eq!(sent(&["--since", "1h"]), ["nexmo 1", "twilio 1"]);
    assert_eq!(sent(&["--backend", "vonage"]), ["nexmo 1"]);
    environment.run(&["stats", "--since", "yesterday"]).expect_code(2);
}

#[test]
fn a_purge_changes_nothing() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let id = "3f2504e04f8941d39a0c0305e82c3301";
    environment.execute(&[&format!("UPDATE sms_verification SET id = '{id}'")]);
    environment.insert_delivery(&PastDelivery::default());
    let expected = |verified| [format!("1 {verified}")];
    let fields = ["sent", "verified"];
    assert_eq!(values(&environment, &[], &fields), expected(0));
    environment.run(&VERIFY).expect_code(0);
    assert_eq!(values(&environment, &[], &fields), expected(1));
    let before = stats(&environment, &[]);
    environment.run(&["purge", "--older-than", "1s", "--force"]).expect_code(0);
    assert_eq!((environment.count(), stats(&environment, &[])), (0, before));

    // What a site has verified is known from then on.
    environment.insert(&Record {
        is_verified: true,
        created_at: Time::Ago(700),
        ..Record::default()
    });
    let id = "00000000000040008000000000000001";
    environment.execute(&[&format!("UPDATE sms_verification SET id = '{id}'")]);
    environment.insert_delivery(&PastDelivery { verification_id: id, ..PastDelivery::default() });
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(values(&environment, &[], &fields), ["2 2"]);
}

#[test]
fn what_is_from_the_future_does_not_count() {
    let environment = Environment::with_database("");
    for age in [60, -30, -200, -DAY * 400] {
        environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
    }
    assert_eq!(values(&environment, &["--by", "backend"], &["sent"]), ["2"]);
}

#[test]
fn a_damaged_row_is_named_and_the_others_are_counted() {
    if is_on_server() {
        return;
    }
    for (column, value) in [
        ("state", "'lost'"),
        ("segments", "'many'"),
        ("segments", "-1"),
        ("backend", "X'ff'"),
        ("phone_number", "CAST(X'ff' AS TEXT)"),
        ("verified_at", "'once'"),
        ("created_at", "created_at || ' or so'"),
        ("created_at", "'yesterday'"),
    ] {
        let environment = Environment::with_database("");
        environment.insert_delivery(&PastDelivery::default());
        environment.insert_delivery(&PastDelivery::default());
        environment.execute(&[&format!("UPDATE sms_delivery SET {column} = {value} WHERE id = 2")]);
        let run = environment.run(&JSON).expect_code(1);
        let named = format!("error: table sms_delivery, row rowid 2, column {column}: ");
        assert!(run.stderr.starts_with(&named), "{value}: {run:#?}");
        assert!(run.stderr.ends_with("; the row is left out\n"), "{value}: {run:#?}");
        assert_eq!(run.json()["sent"], 1, "{column} = {value}");
    }
}

#[test]
fn an_older_ledger_is_counted_and_without_one_there_is_nothing_to_count() {
    if is_on_server() {
        return;
    }
    let environment = environment();
    environment.execute(&[
        "ALTER TABLE sms_delivery DROP COLUMN language",
        "ALTER TABLE sms_delivery DROP COLUMN verified_at",
    ]);
    let fields = ["group", "sent", "verified"];
    assert_eq!(values(&environment, &["--by", "language"], &fields), ["null 5 0"]);
    environment.execute(&["DELETE FROM sms_delivery"]);
    let expect_nothing = |note: &str| {
        let run = environment.run(&["stats"]).expect_code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", note));
        let run = environment.run(&["--format", "csv", "--quiet", "stats"]).expect_code(0);
        assert_eq!(run.stdout, FIELDS.join(",") + "\n");
    };
    expect_nothing("note: no deliveries\n");
    environment.execute(&["DROP TABLE sms_delivery"]);
    expect_nothing("note: no deliveries\n");
    environment.execute(&["CREATE TABLE sms_delivery (parcel)"]);
    expect_nothing(
        "warning: the table sms_delivery has columns that no version of phone-verify gave it: nothing is counted\n\
         note: no deliveries\n",
    );
    let run = Environment::with_settings("backend = \"console\"\n").run(&["stats"]).expect_code(1);
    assert!(run.stderr.contains("it does not exist"), "{run:#?}");
}

#[test]
fn what_send_and_verify_do_is_counted() {
    let environment = Environment::sandbox("");
    environment.send(NUMBER);
    environment.send(OTHER_NUMBER);
    environment.run(&["verify", NUMBER, "123456", "--any-session"]).expect_code(0);
    let fields = ["group", "sent", "verified", "conversion", "segments"];
    let groups = values(&environment, &["--by", "backend"], &fields);
    assert_eq!(groups, ["twilio-sandbox 2 1 0.5 2"]);
    let text = environment.run(&["stats"]).stdout;
    assert!(!text.contains(CODE) && !text.contains(NUMBER), "{text}");
}

/// Inserts deliveries on each of 400 days, so that the groups don't fit into a pipe, each to a prefix of its own.
fn insert_many(environment: &Environment, first: usize, count: usize) {
    environment.execute(&[&format!(
        "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
            created_at, updated_at)
         WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {first} + {count})
         SELECT '3f2504e04f8941d39a0c0305e82c3301', '+' || substr(CAST(10000000 + i AS text), 2) || '000',
             'twilio', 'accepted', 1, 1, {}, {}
         FROM n",
        environment.time_ago("(i % 400) * 86400"),
        environment.time_ago(0)
    )]);
}

/// Returns the most memory in KiB that `stats` had taken when it had counted everything.
fn peak_memory_of_stats(environment: &Environment) -> u64 {
    let mut child = environment.start(&[&JSON[..], &["--since", "500d"]].concat());
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
    lines.read_line(&mut String::new()).expect("a line");
    let peak = peak_memory(&child);
    drop(lines);
    child.wait().expect("the program ends");
    peak
}

#[test]
fn memory_does_not_grow_with_the_number_of_deliveries() {
    let environment = Environment::with_database("");
    insert_many(&environment, 0, 5_000);
    let few = peak_memory_of_stats(&environment);
    insert_many(&environment, 5_000, 100_000);
    let many = peak_memory_of_stats(&environment);
    // Twenty times as many rows, each of some 200 bytes, would take 20 MiB more.
    assert!(many < few + 8 * 1024, "{few} KiB for 5,000 rows, {many} for 105,000");
}
