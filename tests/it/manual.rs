//! `man`: the manual pages.

use clap::ValueEnum;
use phone_verify::exit::Exit;

use crate::support::Environment;

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
        ("man", "COMMAND"),
    ] {
        assert!(commands.iter().any(|name| name == command), "{command} is not in {commands:?}");
        assert!(page(&[command]).contains(option), "{option} is not in {command}'s page");
    }
    for command in &commands {
        let page = page(&[command]);
        let title = format!(".TH phone-verify-{command} 1  ");
        assert!(page.lines().any(|line| line.starts_with(&title)), "{page}");
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
fn a_page_of_no_command_is_a_usage_error() {
    let environment = Environment::with_settings("");
    for name in ["surplus", "help", ""] {
        let run = environment.run(&["man", name]).expect_code(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("no such command\nhint: `phone-verify --help`"), "{run:#?}");
    }
}
