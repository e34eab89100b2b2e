//! What belongs together in the repository stays together.

use std::fs;
use std::path::Path;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .expect("a file of the root")
}

#[test]
fn the_changelog_begins_with_the_version() {
    let changelog = read("CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("a heading");
    assert_eq!(newest, env!("CARGO_PKG_VERSION"));
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
    for code in [0, 1, 2, 3, 11, 12, 13, 14, 15] {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code} is missing");
    }
}
