//! `send --file` with what spreadsheets export: how the columns are found, and what is understood of them.

use crate::support::{Environment, FIRST, FakeProvider, Run, SECOND, SEND_FILE};

/// Shows what would be sent to the numbers of `text`, as JSON.
#[track_caller]
fn dry_run(text: &str, options: &[&str]) -> Run {
    let environment = Environment::sandbox("");
    let run = environment.send_text(text, &[&["--dry-run"], options].concat());
    environment.expect_no_database();
    run
}

/// Asserts that `text` has exactly these numbers, on these lines.
#[track_caller]
fn expect_numbers(text: &str, options: &[&str], numbers: &[(u64, &str)]) {
    let run = dry_run(text, options).expect_code(0);
    let by_line = run.by_line();
    let found: Vec<_> = by_line
        .iter()
        .map(|(line, result)| (*line, result["phone_number"].as_str().expect("a number")))
        .collect();
    assert_eq!(found, numbers, "{text:?}");
}

#[test]
fn the_delimiter_is_found() {
    for delimiter in [",", ";", "\t", "|"] {
        for name in ["name", "\"Name, first; last|\tall\""] {
            let line = |fields: [&str; 3]| fields.join(delimiter) + "\n";
            let text = line([name, "phone_number", "x"])
                + &line(["\"a;,|\tb\"", FIRST, ""])
                + &line(["", SECOND, "y"]);
            expect_numbers(&text, &[], &[(2, FIRST), (3, SECOND)]);
        }
    }
    // The heading has a delimiter of another file in its names.
    let text = format!("Name, first, last;Telefon\nAda, B, C;{FIRST}\n");
    expect_numbers(&text, &[], &[(2, FIRST)]);
    let text = format!("\nsep=|\r\nName;x|Telefon\r\nAda|{FIRST}\r\n");
    expect_numbers(&text, &[], &[(4, FIRST)]);
    let text = format!("\u{feff}SEP=:\nTelefon:Name\n{FIRST}:Ada\n");
    expect_numbers(&text, &[], &[(3, FIRST)]);
    // One column has none.
    let text = format!("Telefon\n{FIRST},\n\"+1 202 555,0102\"\n");
    let by_line = dry_run(&text, &[]).expect_code(3).by_line();
    assert_eq!(by_line[&2]["status"], "dry_run");
    assert_eq!(by_line[&3]["phone_number"], "+1 202 555,0102");
}

#[test]
fn the_column_of_the_phone_numbers_is_found() {
    for heading in [
        "Name;phone_number",
        "Name;PHONE-NUMBER",
        "Name; Mobile phone ",
        "Name;Tel.-Nr.",
        "Name;Numéro de téléphone",
        "Name;nu\u{301}mero de telemo\u{301}vel",
        "Name;\"Telefon\r\n(mobil)\"",
        "phone;phone_number",
    ] {
        let lines = heading.lines().count() as u64;
        let text = format!("{heading}\r\nAda;{FIRST}\r\n");
        expect_numbers(&text, &[], &[(lines + 1, FIRST)]);
    }
    let text = format!("Phone;Mobile\n1;{FIRST}\n");
    for column in ["Mobile", "mobile", "MOBILE "] {
        expect_numbers(&text, &["--column", column], &[(2, FIRST)]);
    }
    let text = format!("phone_number;Kontakt 2\n1;{FIRST}\n");
    expect_numbers(&text, &["--column=kontakt-2"], &[(2, FIRST)]);
}

#[test]
fn what_excel_writes_is_read() {
    let provider = FakeProvider::twilio();
    let environment =
        provider.environment_with("message = \"{security_code} {first_name}, {note}\"", "");
    let text = format!(
        "\u{feff}First Name;Telefon;Note;;\r\n\
         Ada;'{FIRST};\"a \"\"b\"\"\n\nc;d\";;\r\n\
         ;;;;\r\n\
         Bo;4,42079E+11;;;\r\n\
         Cy;\"+12025550102\";e\r\n"
    );
    let run = environment.send_text(&text, &[]).expect_code(3);
    let by_line = run.by_line();
    let lines: Vec<_> = by_line.iter().map(|(line, result)| (*line, &result["status"])).collect();
    assert_eq!(lines, [(2, &"sent".into()), (6, &"failed".into()), (7, &"sent".into())]);
    let message = by_line[&6]["error"]["message"].as_str().expect("words");
    assert!(message.contains("rounded by a spreadsheet"), "{message}");
    let mut texts = provider.accepted().into_iter().map(|sent| sent.text).collect::<Vec<_>>();
    texts.sort_by_key(|text| text.len());
    assert!(texts[0].ends_with(" Cy, e"), "{texts:?}");
    assert!(texts[1].ends_with(" Ada, a \"b\"\n\nc;d"), "{texts:?}");
}

#[test]
fn a_column_that_no_message_uses_may_have_any_name_and_the_programs_own_values_are_its_own() {
    let provider = FakeProvider::twilio();
    let environment = provider
        .environment_with("message = \"{app}: {security_code} {name}\"\napp_name = \"Shop\"", "");
    let text = format!(
        "app,security_code,x,x,{{a b}},,NAME,name,phone_number\n\
         evil,000000,1,2,3,4,5,Ada,{FIRST}\n"
    );
    let run = environment.send_text(&text, &["--context", "name=no"]).expect_code(0);
    assert_eq!(run.stderr, "");
    let text = &provider.accepted()[0].text;
    assert!(text.starts_with("Shop: ") && text.ends_with(" Ada"), "{text}");
    assert!(!text.contains("000000"), "{text}");
}

#[test]
fn a_dry_run_begins_with_what_was_understood_of_the_file() {
    let environment = Environment::sandbox("message = \"{security_code} {first_name}\"");
    let text = format!(
        "First Name;Telefon;Sprache;Language;;\n\
         Ada;{FIRST};x;de;;\n\n\
         \"B\n\u{1b}[Jo\";{SECOND}\n\
         Cy;nobody;;;;\n\
         Di;+12025550103;;;;\n"
    );
    let notes = "\
        note: --file numbers.txt: CSV, 4 columns, separated by `;`\n\
        note: phone numbers from `Telefon`, languages from `Language`, {first_name} from `First Name`; not used: `Sprache`\n\
        note: line 2: Ada | +12025550101 | x | de\n\
        note: line 4: B �[Jo | +12025550102\n\
        note: line 6: Cy | nobody\n";
    let run = environment.send_text(&text, &["--dry-run"]).expect_code(3);
    assert!(run.stderr.starts_with(notes), "{run:#?}");
    assert_eq!(run.stderr.matches("note: line ").count(), 3, "{run:#?}");
    assert_eq!(run.by_line().len(), 4);
    let quiet = [&["--quiet"], &SEND_FILE[..], &["--dry-run"]].concat();
    let quiet = environment.run(&quiet).expect_code(3);
    assert_eq!(quiet.stderr.lines().count(), 1, "{quiet:#?}");
    assert_eq!(quiet.stdout, run.stdout);
    let run = environment.send_text(&format!("{FIRST}\n"), &["--dry-run", "--context=first_name="]);
    let notes = format!("note: --file numbers.txt: one number a line\nnote: line 1: {FIRST}\n");
    assert_eq!(run.expect_code(0).stderr, notes);
    for (text, division) in [
        (format!("Telefon\n{FIRST}\n"), "CSV, 1 column\n"),
        (format!("Telefon\tx\n{FIRST}\n"), "CSV, 2 columns, separated by tabs\n"),
    ] {
        let run = environment.send_text(&text, &["--dry-run", "--context=first_name="]);
        assert!(run.stderr.contains(division), "{run:#?}");
    }
    // Only a dry run has time for that.
    let run = environment.send_text(&format!("{FIRST}\n"), &["--context=first_name="]);
    assert!(!run.expect_code(0).stderr.contains("note: "), "nothing is explained");
}
