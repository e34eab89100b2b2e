//! The files of the repository that tests compare the program with.

use std::fs;
use std::path::Path;

/// Reads the file `name` of the repository.
#[track_caller]
pub(crate) fn read_from_repository(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Reads the first block of this language below a heading of `docs/providers.md`.
#[track_caller]
pub(crate) fn read_block(heading: &str, language: &str) -> String {
    let page = read_from_repository("docs/providers.md");
    let section = page.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    let block = section.split(&format!("```{language}\n")).nth(1).expect("the block is there");
    block.split("```\n").next().expect("its end").to_owned()
}
