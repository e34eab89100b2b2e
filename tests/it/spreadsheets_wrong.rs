//! `send --file` with a file that isn't what it should be: one error instead of one for each line, and nothing is sent.

use std::io::Write;
use std::process::Stdio;

use crate::support::{
    Environment, FIRST, FakeProvider, NUMBER, Results, Run, SECOND, finish, send_file_with,
};

/// Sends to `text` and to [`NUMBER`], as a file and as stdin, and asserts that there is one error with all of `words`, and that
/// nothing is sent.
#[track_caller]
fn expect_one_error(text: &str, options: &[&str], words: &[&str]) {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    let options = [options, &[NUMBER]].concat();
    let expect = |run: Run, name: &str| {
        let run = run.expect_code(2);
        assert_eq!(run.stdout, "", "{run:#?}");
        let [error, hint] = run.stderr.lines().collect::<Vec<_>>()[..] else {
            panic!("{run:#?}");
        };
        assert!(error.starts_with(&format!("error: --file {name}: ")), "{error}");
        assert!(hint.starts_with("hint: "), "{hint}");
        for word in words {
            assert!(run.stderr.contains(word), "{word}: {run:#?}");
        }
        environment.expect_no_database();
    };
    expect(environment.send_text(text, &options), "numbers.txt");
    let stdin = [&["send", "--file", "-"], &options[..]].concat();
    expect(environment.run_with_input(&stdin, text.as_bytes()), "stdin");
}

#[test]
fn a_file_without_one_column_of_phone_numbers_is_an_error_that_shows_the_columns() {
    let rows = format!("\n{FIRST};{SECOND};a\n{FIRST};{SECOND};b\n");
    for (heading, options, words) in [
        (
            "Phone;Mobile;x",
            &[][..],
            &["`Phone` and `Mobile`", "--column Phone or --column Mobile"][..],
        ),
        ("phone;\"Cell\nphone\";x", &[], &["`phone` and `Cell phone`", "--column 'Cell phone'"]),
        ("Phone;Phone;x", &[], &["`Phone` twice"]),
        ("Name;Kunde;Ort", &[], &["line 1", "`Name`, `Kunde` and `Ort`", "--column"]),
        ("Name;;", &[], &["line 1", ": `Name`\n", "--column"]),
        ("Name", &[], &["line 1", "`Name`", "--column"]),
        ("\n;;\nName;Kunde", &[], &["line 3", "`Name` and `Kunde`"]),
        ("sep=;\nName;Kunde", &[], &["line 2", "`Name` and `Kunde`"]),
        (
            "Telefon;Téléfon",
            &["--column", "TELEFON"],
            &["`Telefon` and `Téléfon`\n", "hint: --column Telefon or --column Téléfon\n"],
        ),
        ("Name;Telefon", &["--column", "Handy"], &["`Handy`", "`Name` and `Telefon`"]),
        ("+12025550101", &["--column", "phone"], &["`phone`", "`+12025550101`"]),
        ("Ada;+12025550101;x", &[], &["line 1", "`Ada`, `+12025550101` and `x`", "heading"]),
        ("mobile,+12025550101", &[], &["line 1", "`mobile` and `+12025550101`", "heading"]),
        ("\"+12025550101\"\t\"+12025550102\"", &[], &["`+12025550101` and `+12025550102`"]),
    ] {
        expect_one_error(&format!("{heading}{rows}"), options, words);
    }
    let many: Vec<_> = (1..=30).map(|n| format!("c{n}")).collect();
    expect_one_error(&many.join("|"), &[], &["`c19`, `c20` and 10 more\n"]);
}

#[test]
fn a_file_whose_first_twenty_records_all_fail_is_an_error_with_an_example() {
    let bad = |line: &str| format!("{line}\n").repeat(20);
    for (text, words) in [
        (bad("+1202") + FIRST, &["line 1: +1202: it is too short"][..]),
        (format!("Name;Telefon\n{}Ada;{FIRST}", bad("Bo;+1202")), &["line 2: +1202: ", "--column"]),
        (format!("Telefon;Name\n\n{}{FIRST};", bad("Bo;+1202")), &["line 3: Bo: ", "letters"]),
        (format!("phone_number;x\n{}", bad("+12025550101;1;2") + FIRST), &["it has 3 fields"]),
        (bad("4.42E+11") + FIRST, &["line 1: 4.42E+11: it was rounded by a spreadsheet"]),
    ] {
        expect_one_error(&text, &[], words);
    }
}

#[test]
fn twenty_failures_are_reported_each_if_nothing_follows_or_one_was_good() {
    let bad = |count: usize| -> String { (1..=count).map(|n| format!("+1202{n}\n")).collect() };
    let environment = Environment::sandbox("");
    let run = environment.send_text(&bad(20), &[]).expect_code(2);
    assert_eq!(run.by_line().len(), 20);
    environment.expect_no_database();
    let run = environment.send_text(&format!("{}{FIRST}\n{}", bad(19), bad(30)), &[]);
    assert_eq!(run.expect_code(3).by_line().len(), 50);
    assert_eq!(environment.numbers_of_records(), [FIRST]);
}

#[test]
fn what_was_held_back_is_sent_once_a_record_is_good_though_stdin_stays_open() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let mut program = environment
        .command(&["--format", "json", "send", "--file", "-", NUMBER])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = program.stdin.take().expect("stdin is piped");
    let results = Results::from_program(&mut program);
    write!(stdin, "+1202\n+1203\n{FIRST}\n").expect("the program reads");
    let mut first: Vec<_> = (0..4).map(|_| results.next()["line"].as_u64()).collect();
    first.sort_unstable();
    assert_eq!(first, [None, Some(1), Some(2), Some(3)]);
    writeln!(stdin, "{SECOND}").expect("the program reads");
    assert_eq!(results.next()["phone_number"], SECOND);
    drop(stdin);
    finish(program).expect_code(3);
    assert_eq!(provider.requested_numbers(), [FIRST, SECOND, NUMBER]);
}

#[test]
fn an_open_quotation_mark_fails_its_line_alone_whatever_follows() {
    let environment = Environment::sandbox("");
    for (rest, good) in [
        // Never closed, closed by a mark that begins no field, and closed with more fields than there should be.
        (format!("{FIRST},Ada\n").repeat(10_000), 3),
        (format!("{FIRST},\"Bo\n{SECOND},Cy\n"), 4),
        (format!("{FIRST},Ada\nx\",y,z\n"), 3),
    ] {
        let text = format!("phone_number,name\n+12025550103,\"Ada\n{rest}");
        let run = environment.send_text(&text, &["--dry-run"]).expect_code(3);
        let by_line = run.by_line();
        let message = by_line[&2]["error"]["message"].as_str().expect("words");
        assert!(message.contains("quotation mark"), "{message}");
        assert_eq!(by_line[&2]["phone_number"], "+12025550103");
        assert_eq!(by_line[&good]["status"], "dry_run", "{rest:.100}");
        assert_eq!(by_line.len(), rest.lines().count() + 1, "{rest:.100}");
    }
}

#[test]
fn a_column_needs_a_file() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["send", "--column", "phone", NUMBER]).expect_code(2);
    assert!(run.stderr.contains("--file"), "{run:#?}");
    let run = environment.run(&send_file_with(&["--column"])).expect_code(2);
    assert!(run.stderr.contains("--column"), "{run:#?}");
    environment.expect_no_database();
}
