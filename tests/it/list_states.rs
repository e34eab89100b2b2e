//! What `list` says has become of each record, how it finds numbers by their end, and what it hides from others.

use std::fs;
use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use crate::support::{
    CODE, DATABASE, Environment, NUMBER, OTHER_NUMBER, PastDelivery, Record, TOKEN, Time, finish,
    is_on_server, run_command, send_signal,
};

#[test]
fn the_state_is_the_first_that_fits() {
    let environment = Environment::with_database("max_failed_attempts = 3");
    let record = |token, age, failed_attempts, is_verified| Record {
        session_token: token,
        created_at: Time::Ago(age),
        failed_attempts,
        is_verified,
        ..Record::default()
    };
    // Oldest first. The last one supersedes those before it that are neither locked nor expired nor used.
    for record in [
        record("locked", 5000, 3, true),
        record("expired", 4000, 2, true),
        record("used", 500, 0, true),
        record("superseded", 400, 0, false),
        record("live", 300, 2, false),
    ] {
        environment.insert(&record);
    }
    let undelivered = Record { phone_number: OTHER_NUMBER, ..record("undelivered", 200, 0, false) };
    let id = environment.insert(&undelivered);
    environment.insert_delivery(&PastDelivery {
        verification_id: &id,
        phone_number: OTHER_NUMBER,
        state: "undelivered",
        ..PastDelivery::default()
    });
    let lines = environment.run(&["--format", "json", "list"]).expect_code(0).json_lines();
    assert_eq!(lines.len(), 6);
    for line in &lines {
        assert_eq!(line["state"], line["session_token"], "{line:#}");
    }
    let table = environment.run(&["list"]).expect_code(0).stdout;
    assert!(table.starts_with("state        phone_number"), "{table}");
    let again = Environment::with_database("verify_security_code_only_once = false");
    again.insert(&Record { is_verified: true, ..Record::default() });
    assert_eq!(again.run(&["--format", "json", "list"]).json()["state"], "live");
}

#[test]
fn a_record_from_the_future_supersedes_none() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let created_at = Time::At("2199-01-01 00:00:00");
    environment.insert(&Record { session_token: "future", created_at, ..Record::default() });
    let lines = environment.run(&["--format", "json", "list"]).expect_code(0).json_lines();
    assert_eq!([&lines[0]["state"], &lines[1]["state"]], ["expired", "live"]);
}

#[test]
fn numbers_may_be_given_whole_or_by_their_last_digits() {
    let environment = Environment::with_database("default_region = \"US\"");
    for phone_number in [NUMBER, OTHER_NUMBER, "+442079460143"] {
        environment.insert(&Record { phone_number, ..Record::default() });
    }
    let numbers = |options: &[&str]| {
        let arguments = [&["--format", "csv", "list", "--columns", "phone_number"], options];
        let run = environment.run(&arguments.concat()).expect_code(0);
        let mut numbers: Vec<_> = run.stdout.lines().skip(1).map(str::to_owned).collect();
        numbers.sort();
        numbers
    };
    let [us, gb] = [OTHER_NUMBER, "+442079460143"];
    assert_eq!(numbers(&["0143"]), [us, gb]);
    assert_eq!(numbers(&["--ending", "43"]), [us, gb]);
    assert_eq!(numbers(&["٠١٤٣"]), [us, gb]);
    assert_eq!(numbers(&["--ending", "\u{202a}６０１４３ "]), [gb]);
    assert_eq!(numbers(&["(202) 555-0143"]), [us]);
    assert_eq!(numbers(&[NUMBER, "60143"]), [NUMBER, gb]);
    assert_eq!(numbers(&["--phone-number", NUMBER, gb]), [NUMBER, gb]);
    assert_eq!(numbers(&["9999"]), [""; 0]);
    let run = environment.run(&["list", "abcd"]).expect_code(2);
    assert!(run.stderr.contains("abcd"), "{run:#?}");
    environment.run(&["list", "--ending", "4a"]).expect_code(2);
}

#[test]
fn purge_erases_the_numbers_that_are_given_and_takes_no_part_of_one() {
    let environment = Environment::with_database("");
    let numbers = [NUMBER, OTHER_NUMBER, "+442079460143"];
    for phone_number in numbers {
        environment.insert(&Record { phone_number, ..Record::default() });
    }
    let run = environment.run(&["purge", "0143"]).expect_code(2);
    assert!(run.stderr.contains("it isn't a whole number"), "{run:#?}");
    assert!(run.stderr.contains("`phone-verify status 0143`"), "{run:#?}");
    environment.run(&["purge", NUMBER, "--older-than", "30d"]).expect_code(2);
    environment.run(&["purge", "--older-than", "1s", "--force", NUMBER]).expect_code(2);
    assert_eq!(environment.count(), 3);
    let run = environment.run(&["purge", NUMBER, OTHER_NUMBER]).expect_code(0);
    assert_eq!((run.stdout.as_str(), environment.count()), ("Deleted 2 records.\n", 1));
}

#[test]
fn columns_are_chosen_in_every_format() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let run = |format| {
        let columns = ["--columns", "state,phone_number,failed_attempts"];
        environment
            .run(&[&["--format", format, "list"][..], &columns].concat())
            .expect_code(0)
            .stdout
    };
    assert_eq!(run("csv"), format!("state,phone_number,failed_attempts\nlive,{NUMBER},0\n"));
    let json =
        format!("{{\"state\":\"live\",\"phone_number\":\"{NUMBER}\",\"failed_attempts\":0}}\n");
    assert_eq!(run("json"), json);
    assert_eq!(
        run("text"),
        format!("state  phone_number  failed_attempts\nlive   {NUMBER}                0\n")
    );
    for columns in ["id,id", "id,nothing", "", "id --wide"] {
        let arguments: Vec<_> =
            ["list", "--columns"].into_iter().chain(columns.split(' ')).collect();
        environment.run(&arguments).expect_code(2);
    }
}

#[test]
fn a_masked_list_shows_two_digits_and_no_secret_in_any_format() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    for options in [
        &["list"][..],
        &["list", "--wide"],
        &["--format", "json", "list"],
        &["--format", "csv", "list"],
    ] {
        let arguments = [options, &["--mask"]].concat();
        let run = environment.run(&arguments).expect_code(0);
        assert!(run.stdout.contains("+*********71"), "{run:#?}");
        for secret in [&NUMBER[1..], "415", CODE, TOKEN, "security_code", "session_token"] {
            assert!(!run.stdout.contains(secret), "{secret}: {run:#?}");
        }
    }
    let run = environment.run(&["list", "--mask", "--columns", "id,security_code"]).expect_code(2);
    assert!(run.stderr.contains("--mask hides the column security_code"), "{run:#?}");
}

#[test]
fn a_terminal_is_told_what_the_limit_leaves_out() {
    let environment = Environment::console("");
    environment.insert_many(1234, 60);
    let screen = |options: &str| {
        let line = format!("phone-verify --color never list {options} 2>&1");
        run_command(environment.at_terminal(200, &line)).expect_code(0).stdout
    };
    assert!(screen("").ends_with("note: 20 of 1,234 records; --all shows all\r\n"));
    assert!(screen("--limit 3 --locked").ends_with("note: no records\r\n"));
    for complete in ["--all", "--limit 1234"] {
        assert!(!screen(complete).contains("note:"), "{complete}");
    }
    assert_eq!(environment.run(&["list"]).expect_code(0).stderr, "", "a pipe hears nothing");
    assert!(!screen("--format json").contains("note:"));
}

#[test]
fn watching_in_a_pipe_prints_each_new_record_once() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let mut program = environment.start(&[
        "list",
        "--watch=1",
        "--since",
        "1h",
        "--columns",
        "phone_number,created_at",
    ]);
    let mut lines = BufReader::new(program.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().starts_with("phone_number "));
    assert!(next().starts_with(NUMBER));
    // The row is from the time after the first look, and well before the look that finds it.
    thread::sleep(Duration::from_secs(2));
    environment.insert(&Record {
        phone_number: OTHER_NUMBER,
        created_at: Time::Ago(1),
        ..Record::default()
    });
    let line = next();
    assert!(line.starts_with(OTHER_NUMBER) && !line.contains("(in "), "{line}");
    drop(lines);
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}

#[test]
fn watching_at_a_terminal_draws_the_table_again_in_its_place() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let line = "phone-verify --color never list --watch=1";
    let mut program = environment.at_terminal(120, line).spawn().expect("the terminal starts");
    let mut screen = BufReader::new(program.stdout.take().expect("stdout is piped"));
    let mut until = |text: &str| {
        let mut seen = String::new();
        while !seen.contains(text) {
            assert_ne!(screen.read_line(&mut seen).expect("text"), 0, "{seen}");
        }
        seen
    };
    let first = until(NUMBER);
    assert!(first.starts_with("\u{1b}[Hevery 1 s; Ctrl-C ends it\u{1b}[K\r\n"), "{first:?}");
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..Record::default() });
    assert!(until(OTHER_NUMBER).contains("\u{1b}[J\u{1b}[H"));
    send_signal(&program, "TERM");
    program.wait().expect("it ends");
}

#[test]
fn watching_sees_a_ledger_that_is_created_meanwhile_and_ends_without_a_database() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_record();
    environment.execute(&["DROP TABLE sms_delivery"]);
    let columns = "phone_number,delivery";
    let arguments = ["--format", "csv", "list", "--watch=1", "--since", "1h", "--columns", columns];
    let mut program = environment.start(&arguments);
    let mut lines = BufReader::new(program.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!([next(), next()], [columns, &format!("{NUMBER},")]);
    environment.run(&["migrate"]).expect_code(0);
    let verification_id = "00000000000040008000000000000001";
    environment.insert_delivery(&PastDelivery { verification_id, ..PastDelivery::default() });
    environment.execute(&[&format!(
        "INSERT INTO sms_verification
         SELECT '{verification_id}', strftime('%Y-%m-%d %H:%M:%f000', 'now'), modified_at,
             phone_number, security_code, 'another token', is_verified, failed_attempts
         FROM sms_verification"
    )]);
    assert_eq!(next(), format!("{NUMBER},accepted"));
    fs::remove_file(environment.path(DATABASE)).expect("the database is there");
    let run = finish(program).expect_code(1);
    assert!(run.stderr.contains("it does not exist"), "{run:?}");
}

#[test]
fn watching_judges_by_the_time_of_each_look() {
    let environment = Environment::with_database("");
    // It is from the future, and so not valid, until two seconds have passed.
    environment.insert(&Record { created_at: Time::Ago(-62), ..Record::default() });
    let arguments = ["list", "--valid", "--watch=1", "--since", "1h", "--columns", "phone_number"];
    let mut program = environment.start(&arguments);
    let mut lines = BufReader::new(program.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!([next(), next()], ["phone_number", NUMBER]);
    drop(lines);
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}

#[test]
fn watching_fills_the_terminal_as_it_is_now_and_no_more() {
    let environment = Environment::with_database("");
    environment.insert_many(30, 60);
    let wait = "while [ ! -e smaller ]; do sleep 0.1; done";
    for (columns, smallest) in [(40, 12), (120, 20)] {
        let _ = fs::remove_file(environment.path("smaller"));
        let line =
            format!("phone-verify --color never list --watch=1 & {wait}; stty rows 12; wait");
        let mut program = environment.at_terminal(columns, &line).spawn().expect("it starts");
        let mut screen = BufReader::new(program.stdout.take().expect("stdout is piped"));
        let mut height_of_next_frame = || {
            let mut frame = Vec::new();
            screen.read_until(b'J', &mut frame).expect("a frame");
            String::from_utf8(frame).expect("text").matches('\n').count()
        };
        height_of_next_frame();
        let height = height_of_next_frame();
        assert!((smallest..24).contains(&height), "{columns} columns: {height}");
        environment.write("smaller", "");
        while height_of_next_frame() >= 12 {}
        send_signal(&program, "TERM");
        program.wait().expect("it ends");
    }
}
