//! Phone numbers as people write them: every command reads them in the same way.

use crate::support::{CODE, Environment, NUMBER, Record, Run, TOKEN};

/// Returns an environment whose database has a record of [`NUMBER`].
fn with_record(extra: &str) -> Environment {
    let environment = Environment::with_database(extra);
    environment.insert(&Record::default());
    environment
}

/// Runs each command that takes a number, `verify` and `purge` last.
fn run_all(environment: &Environment, number: &str) -> [(&'static str, Run); 5] {
    let verify = ["verify", number, CODE, "--session-token", TOKEN];
    [
        ("send", environment.run(&["send", "--dry-run", number])),
        ("list", environment.run(&["list", "--phone-number", number])),
        ("status", environment.run(&["status", number])),
        ("verify", environment.run(&verify)),
        ("purge", environment.run(&["purge", "--phone-number", number])),
    ]
}

#[test]
fn what_no_number_is_written_like_is_refused_by_every_command() {
    for (number, reason) in [
        ("+1 415 555 2671 Tom", "it contains letters; write the number alone, in digits"),
        ("1-800-FLOWERS", "it contains letters; write the number alone, in digits"),
        ("Mobile: +14155552671", "it contains letters; write the number alone, in digits"),
        (
            "1.41556E+10",
            "it was rounded by a spreadsheet; format the column as text and export it again",
        ),
        (
            "4,42079 E+11;",
            "it was rounded by a spreadsheet; format the column as text and export it again",
        ),
        ("*14155552671", "it contains `*`, which no phone number has"),
        ("+1415\u{301}5552671", "it contains U+0301, which no phone number has"),
    ] {
        let environment = with_record("default_region = \"US\"");
        let before = environment.state(TOKEN);
        for (command, run) in run_all(&environment, number) {
            let run = run.expect_code(2);
            let shown = if command == "verify" { String::new() } else { format!(" {number}") };
            assert_eq!(run.stderr, format!("error: phone number{shown}: {reason}\n"), "{command}");
        }
        assert_eq!(environment.count(), 1, "{number}");
        assert_eq!(environment.state(TOKEN), before, "{number}");
    }
}

#[test]
fn a_number_that_may_be_national_or_international_is_refused_by_every_command() {
    let environment = Environment::with_database("default_region = \"DE\"");
    let reason = "it is valid both with and without a country code";
    for (command, run) in run_all(&environment, "491701234567") {
        if command == "status" {
            // It shows whatever ends so.
            let meant = "write +491701234567 or +49491701234567";
            assert_eq!(run.stderr, format!("note: no number ends in 491701234567; {meant}\n"));
            continue;
        }
        let run = run.expect_code(2);
        // In place of the number the code may have been typed.
        let expected = if command == "verify" {
            format!("error: phone number: {reason}\n")
        } else {
            format!(
                "error: phone number 491701234567: {reason}; \
                 write +491701234567 or +49491701234567\n"
            )
        };
        assert_eq!(run.stderr, expected, "{command}");
    }
}

#[test]
fn a_suggestion_is_in_text_and_json_and_never_in_place_of_a_code() {
    let environment = Environment::with_database("");
    let message = "it has no country code; write it as + and country code, or set default_region; \
                   did you mean +14155552671?";
    for number in ["14155552671", "0014155552671"] {
        let json = environment.run(&["--format", "json", "send", number]).expect_code(2).json();
        assert_eq!(json["phone_number"], number);
        assert_eq!(json["error"]["message"], message);
        for (command, run) in run_all(&environment, number) {
            if command == "status" {
                let note = format!("note: no number ends in {number}; did you mean {NUMBER}?\n");
                assert_eq!(run.stderr, note);
                continue;
            }
            let run = run.expect_code(2);
            assert_eq!(run.stderr.contains(NUMBER), command != "verify", "{command}: {run:#?}");
        }
    }
    // Digits that would be a number, also in Mexico's old form.
    for code in ["442079460018", "0052 1 55 1234 5678"] {
        let verify = ["verify", code, NUMBER, "--any-session"];
        let run = environment.run(&verify).expect_code(2);
        assert!(run.stderr.starts_with("error: phone number: it "), "{run:#?}");
        assert!(!run.stderr.contains(|c: char| c.is_ascii_digit()), "{run:#?}");
    }
}

#[test]
fn an_extension_is_dropped_with_a_warning_by_every_command() {
    for number in [
        "+14155552671 ext. 5",
        "tel:+1-415-555-2671;ext=5",
        "(415) 555-2671 #5",
        "+14155552671.0 ext 5",
        "tel:+14155552671,0;ext=5",
        "+14155552671.00#5",
    ] {
        let environment = with_record("default_region = \"US\"");
        let warning = "warning: phone number +14155552671: the extension after it is dropped\n";
        for (command, run) in run_all(&environment, number) {
            let run = run.expect_code(0);
            assert!(run.stderr.contains(warning), "{command}: {run:#?}");
        }
        assert_eq!(environment.count(), 0, "purge found the record");
        let run = environment.run(&["--quiet", "send", "--dry-run", number]).expect_code(0);
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn the_lines_of_a_file_are_read_like_arguments() {
    let environment = Environment::sandbox("");
    environment.write(
        "plain",
        "+491701234567.0\n4.42079E+11\n+1 202 555 0143 x5\n+12025550143 Tom\n'+447400123456;\n",
    );
    environment.write("csv", "name,phone_number\nAda,\"+491701234567,0\"\nTom,+12025550143x5\n");
    let run = environment.run(&["send", "--dry-run", "--file", "plain"]).expect_code(3);
    for part in [
        "line 1: +491701234567 GSM-7, ",
        "line 2: 4.42079E+11 not sent\n",
        "line 3: +12025550143 GSM-7, 1 segment, fixed line or mobile: Welcome",
        "to proceed.\n",
        "line 4: +12025550143 Tom not sent\n",
        "line 5: +447400123456 GSM-7, ",
    ] {
        assert!(run.stdout.contains(part), "{part} is missing: {run:#?}");
    }
    for part in [
        "error: line 2: phone number 4.42079E+11: it was rounded",
        "warning: line 3: phone number +12025550143: the extension after it is dropped\n",
        "error: line 4: phone number +12025550143 Tom: it contains letters",
    ] {
        assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    }
    let run = environment.run(&["send", "--file", "csv"]).expect_code(0);
    let warning = "warning: line 3: phone number +12025550143: the extension after it is dropped\n";
    assert!(run.stderr.contains(warning), "{run:#?}");
    let mut sent: Vec<_> = environment.records().into_iter().map(|it| it.phone_number).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["+12025550143", "+491701234567"]);
}

#[test]
fn digits_of_any_script_and_what_shows_nothing_are_read_by_every_command() {
    for number in [
        "+١٤١٥٥٥٥٢٦٧١",
        "＋１（４１５）５５５－２６７１",
        "\u{feff}\u{202a}+1\u{a0}415\u{202f}555\u{2011}2671\u{202c}",
        "+1\u{fe0f}\u{20e3}4155552671\u{3164}",
        "'+14155552671",
        "\"+14155552671\"",
        "+14155552671,",
    ] {
        let environment = with_record("");
        for (command, run) in run_all(&environment, number) {
            let run = run.expect_code(0);
            assert!(run.stderr.is_empty() || command == "send", "{command}: {run:#?}");
        }
        assert_eq!(environment.count(), 0, "purge found the record");
    }
}
