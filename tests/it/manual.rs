//! `man`: the manual pages.

use clap::ValueEnum;
use phone_verify::exit::Exit;

use crate::support::{Environment, NUMBER, read_from_repository, run_command};

/// Returns a page as its reader sees it: without roff's escapes and fonts.
fn page(arguments: &[&str]) -> String {
    let environment = Environment::with_settings("");
    let run = environment.run(&[&["man"], arguments].concat()).expect_code(0);
    assert_eq!(run.stderr, "");
    run.stdout.replace("\\fB", "").replace("\\fR", "").replace("\\fI", "").replace('\\', "")
}

/// Returns the lines of a section of `page`.
#[track_caller]
fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = page.lines().skip_while(|line| {
        line.strip_prefix(".SH ").map(|name| name.trim_matches('"')) != Some(heading)
    });
    let section: Vec<_> = lines.skip(1).take_while(|line| !line.starts_with(".SH ")).collect();
    assert!(!section.is_empty(), "{heading} is missing: {page}");
    section
}

/// Returns the commands that the program's page refers to.
fn commands() -> Vec<String> {
    let page = page(&[]);
    let see_also = section(&page, "SEE ALSO").concat();
    see_also
        .split(", ")
        .filter(|name| *name != "phone-verify.toml(5)")
        .map(|name| name.strip_prefix("phone-verify-").and_then(|name| name.strip_suffix("(1)")))
        .map(|name| name.expect("a page of a command").to_owned())
        .collect()
}

#[test]
fn the_programs_page_has_the_sections_of_a_manual_page() {
    let page = page(&[]);
    assert!(page.lines().any(|line| line.starts_with(".TH phone-verify 1 ")), "{page}");
    assert!(section(&page, "NAME")[0].starts_with("phone-verify - "), "{page}");
    assert!(section(&page, "SYNOPSIS")[0].contains("--database"), "{page}");
    let settings = "/etc/phone-verify/phone-verify.toml";
    assert!(section(&page, "FILES").contains(&settings), "{page}");
    assert!(section(&page, "ENVIRONMENT").contains(&"NO_COLOR"), "{page}");
    for name in ["PHONE_VERIFY_CONFIG", "PHONE_VERIFY_DATABASE", "PHONE_VERIFY_FORMAT"] {
        assert!(page.contains(name), "{name} is missing: {page}");
    }
}

#[test]
fn doctor_tells_that_it_changes_nothing_and_what_its_exit_codes_say() {
    let environment = Environment::with_settings("");
    let help = environment.run(&["doctor", "--help"]).expect_code(0).stdout;
    for text in [help, page(&["doctor"])] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["Nothing is sent and nothing is changed", "1 if a check fails"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn every_command_has_a_page_that_names_it_and_its_options() {
    let commands = commands();
    for (command, option) in [
        ("send", "--dry-run"),
        ("verify", "PHONE_VERIFY_SESSION_TOKEN"),
        ("list", "--since"),
        ("stats", "--by"),
        ("purge", "--older-than"),
        ("migrate", "--database"),
        ("completions", "zsh"),
        ("man", "PAGE"),
    ] {
        assert!(commands.iter().any(|name| name == command), "{command} is not in {commands:?}");
        assert!(page(&[command]).contains(option), "{option} is not in {command}'s page");
    }
    for command in &commands {
        let page = page(&[command]);
        let title = format!(".TH phone-verify-{command} 1  ");
        assert!(page.lines().any(|line| line.starts_with(&title)), "{page}");
        assert!(section(&page, "EXAMPLES").concat().contains(command.as_str()), "{page}");
        let name = section(&page, "NAME")[0];
        assert!(name.starts_with(&format!("phone-verify-{command} - ")), "{name}");
        assert!(section(&page, "SEE ALSO").concat().starts_with("phone-verify(1), "), "{page}");
    }
}

#[test]
fn a_page_names_the_exit_codes_of_its_command_and_no_others() {
    let codes = |arguments: &[&str]| -> Vec<u8> {
        let page = page(arguments);
        section(&page, "EXIT STATUS").iter().filter_map(|line| line.parse().ok()).collect()
    };
    let all = Exit::value_variants().iter().map(|exit| exit.code());
    assert_eq!(codes(&[]), all.collect::<Vec<_>>());
    assert_eq!(codes(&["verify"])[..3], [0, 1, 2]);
    assert!([11, 12, 13, 14, 15].iter().all(|code| codes(&["verify"]).contains(code)));
    assert!(codes(&["send"]).contains(&3) && !codes(&["send"]).contains(&11));
    assert_eq!(codes(&["purge"]), [0, 1, 2]);
}

#[test]
fn a_page_that_there_is_not_is_a_usage_error_that_names_the_others() {
    let environment = Environment::with_settings("");
    for name in ["surplus", "help", ""] {
        let run = environment.run(&["man", name]).expect_code(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("possible values: send, verify, "), "{run:#?}");
    }
}

#[test]
fn the_settings_have_a_page_with_every_key_of_the_example() {
    let page = page(&["phone-verify.toml"]);
    assert!(page.lines().any(|line| line.starts_with(".TH phone-verify.toml 5 ")), "{page}");
    for heading in ["DESCRIPTION", "EXAMPLE", "THE FILE", "[options]", "[hooks]", "SEE ALSO"] {
        section(&page, heading);
    }
    // Entries of the page: the line after the macro of a definition.
    let lines: Vec<_> = page.lines().collect();
    let entries = lines.windows(2).filter(|pair| pair[0] == ".TP").map(|pair| pair[1]);
    let entries: Vec<_> = entries.flat_map(|names| names.split(", ")).collect();
    for line in read_from_repository("phone-verify.toml.example").lines() {
        let assignment = line.trim_start_matches("# ").split_once(" = ");
        let key = assignment.map(|(key, _)| key).filter(|key| !key.contains(' '));
        if let Some(key) = key.filter(|key| *key != "de") {
            assert!(entries.contains(&key), "{key} is missing in {entries:?}");
        }
    }
    // What Markdown marks is text here.
    for mark in ["**", "](", "| ", "`]", "```"] {
        assert!(!page.contains(mark), "{mark} in {page}");
    }
}

#[test]
fn the_example_of_the_settings_page_is_valid() {
    let page = page(&["phone-verify.toml"]);
    let example: Vec<_> =
        section(&page, "EXAMPLE").into_iter().filter(|line| !line.starts_with('.')).collect();
    let environment = Environment::with_settings(&example.join("\n"));
    environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
}

#[test]
fn at_a_terminal_man_shows_the_page_and_without_it_there_is_roff() {
    let environment = Environment::with_settings("");
    let at_terminal = |line: &str| {
        let path = environment.path("");
        let mut terminal =
            environment.at_terminal(80, &format!("PATH={}:$PATH; {line}", path.display()));
        terminal.env("MANPAGER", "cat");
        run_command(terminal).expect_code(0).stdout
    };
    environment.write_program("man", "#!/bin/sh\necho \"man $*, pager $MANPAGER\"; cat >page");
    assert_eq!(at_terminal("phone-verify man send"), "man -l -, pager cat\r\n");
    let roff = environment.run(&["man", "send"]).expect_code(0).stdout;
    assert_eq!(environment.read("page"), roff);
    // A man that doesn't read roff from stdin.
    environment.write_program("man", "#!/bin/sh\nexit 1");
    assert_eq!(at_terminal("phone-verify man send").replace("\r\n", "\n"), roff);
}
