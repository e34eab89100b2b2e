//! `docs/security.md` says how the program compares with two standards. Whatever it says to hold names a test, and each of
//! these exists.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::support::read_from_repository;

/// Returns the names of tests in a text, such as `wrong_codes::only_invalid_answers_count`.
fn tests_in(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect()
}

/// Returns whether a test has this name, in the file where cargo's name for it says that it is.
fn exists(name: &str) -> bool {
    let (module, function) = name.rsplit_once("::").expect("a module and a function");
    let path = module.replace("::", "/");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        root.join(format!("tests/it/{path}.rs")),
        root.join(format!("src/{path}.rs")),
        root.join(format!("src/{}.rs", path.trim_end_matches("/tests"))),
    ];
    let test =
        Regex::new(&format!(r"#\[test\]\s+(#\[.*\]\s+)*fn {function}\(")).expect("a pattern");
    files.iter().any(|file| fs::read_to_string(file).is_ok_and(|source| test.is_match(&source)))
}

#[test]
fn each_test_that_the_security_page_names_exists() {
    let page = read_from_repository("docs/security.md");
    let missing: Vec<_> = tests_in(&page).into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "these tests don't exist: {missing:#?}");
}

#[test]
fn whatever_the_security_page_says_to_hold_names_a_test() {
    let page = read_from_repository("docs/security.md");
    let standards = page.split("\n## ").skip_while(|section| !section.starts_with("NIST"));
    let mut rows = 0;
    for row in standards.flat_map(str::lines).filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<_> = row.split(" |").map(str::trim).collect();
        let [requirement, _, state, does, _, tests, _] = cells[..] else {
            panic!("a row of another form: {row}")
        };
        if requirement == "section" || requirement == "number" {
            continue;
        }
        rows += 1;
        let has_test = !tests_in(tests).is_empty();
        match state {
            "met" | "by default" | "partly" => assert!(has_test && !does.is_empty(), "{row}"),
            "no" | "operator" | "n/a" => assert!(!has_test, "{row}"),
            _ => panic!("{state} isn't a state: {row}"),
        }
    }
    assert!(rows > 40, "{rows} rows were read");
}
