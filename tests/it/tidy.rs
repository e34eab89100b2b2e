//! What belongs together in the repository stays together.

use std::fs;
use std::path::Path;

use phone_verify::exit::Exit;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .expect("a file of the repository")
}

#[test]
fn the_changelog_begins_with_the_version() {
    let changelog = read("CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("a heading");
    assert_eq!(newest, env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_debian_packages_newest_version_is_the_programs() {
    let changelog = read("packaging/debian/changelog");
    let newest = concat!("phone-verify (", env!("CARGO_PKG_VERSION"), "-");
    assert!(changelog.starts_with(newest), "{changelog}");
}

#[test]
fn the_readme_has_the_two_commands_and_every_exit_code() {
    let readme = read("README.md");
    for text in [
        "    cargo run --release --locked -- --config phone-verify.toml.example send +14155552671\n",
        "    cargo test --locked\n",
    ] {
        assert!(readme.contains(text), "{text}");
    }
    let cells = readme.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let shown: Vec<_> = cells.flat_map(|cell| cell.split(", ")).collect();
    for exit in Exit::ALL {
        let code = exit.code().to_string();
        assert!(shown.contains(&code.as_str()), "{code} is missing");
    }
}
