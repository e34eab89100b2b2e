//! What belongs together in the repository stays together.

use clap::ValueEnum;
use phone_verify::exit::Exit;

use crate::support::read_from_repository;

#[test]
fn the_changelog_begins_with_the_version() {
    let changelog = read_from_repository("CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("a heading");
    assert_eq!(newest, env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_debian_packages_newest_version_is_the_programs() {
    let changelog = read_from_repository("packaging/debian/changelog");
    let newest = concat!("phone-verify (", env!("CARGO_PKG_VERSION"), "-");
    assert!(changelog.starts_with(newest), "{changelog}");
}

#[test]
fn the_readme_has_the_two_commands_and_every_exit_code() {
    let readme = read_from_repository("README.md");
    for text in [
        "    cargo run --release --locked -- --config phone-verify.toml.example send +14155552671\n",
        "    cargo test --locked\n",
    ] {
        assert!(readme.contains(text), "{text}");
    }
    let cells = readme.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let shown: Vec<_> = cells.flat_map(|cell| cell.split(", ")).collect();
    for exit in Exit::value_variants() {
        let code = exit.code().to_string();
        assert!(shown.contains(&code.as_str()), "{code} is missing");
    }
}

#[test]
fn the_reference_has_every_exit_code_with_its_commands() {
    let reference = read_from_repository("docs/reference.md");
    for exit in Exit::value_variants() {
        let commands: Vec<_> = exit.commands().iter().map(|name| format!("`{name}`")).collect();
        let commands = if commands.is_empty() { "all".to_owned() } else { commands.join(", ") };
        let row = format!("| {} | {commands} | ", exit.code());
        assert!(reference.contains(&row), "{row} is missing");
    }
}
