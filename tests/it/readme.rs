//! The README shows what the program prints: the commands of its `console` blocks are run in their order, in one folder, and
//! what they print is held against what stands there.

use std::fs;

use regex::Regex;
use snapbox::{IntoData, Redactions, assert_data_eq};

use crate::support::{Environment, TABLE, UNIQUE_INDEX, read_from_repository, run_command};

/// Returns `readme` with what `output` says in place of what follows each command of its blocks; it gets the command and what
/// follows it.
fn with_outputs(readme: &str, mut output: impl FnMut(&str, &str) -> String) -> String {
    let mut text = String::new();
    let mut blocks = readme.split("```console\n");
    text += blocks.next().expect("a text before the first block");
    for block in blocks {
        let (commands, rest) = block.split_once("```\n").expect("an end of the block");
        text += "```console\n";
        let mut steps: Vec<(&str, String)> = Vec::new();
        for line in commands.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push((command, String::new())),
                (None, Some((_, shown))) => *shown += &[line, "\n"].concat(),
                (None, None) => panic!("a block begins with what no command printed: {line}"),
            }
        }
        for (command, shown) in steps {
            text += &["$ ", command, "\n", &output(command, &shown)].concat();
        }
        text += &["```\n", rest].concat();
    }
    text
}

/// Returns the environment that the README speaks of: a checkout, beside the database of a Django site.
fn checkout() -> Environment {
    let environment = Environment::django_site(&[TABLE, UNIQUE_INDEX]);
    let database = environment.path("phone-verify.sqlite3");
    fs::rename(database, environment.path("db.sqlite3")).expect("a database");
    environment
        .write("phone-verify.toml.example", &read_from_repository("phone-verify.toml.example"));
    environment
}

/// Runs a command as somebody does who sees stdout and stderr together, and returns what he sees.
fn run(environment: &Environment, command: &str, shown: &str) -> String {
    if let Some(file) = command.strip_prefix("cat ")
        && !environment.path(file).exists()
    {
        // A file that the README shows and no command of it wrote is there.
        environment.write(file, shown);
    }
    run_command(environment.shell(&format!("exec 2>&1; {command}"))).expect_code(0).stdout
}

/// Returns the output with its lines in an order of their own where it tells of many numbers, which are reported as they end.
fn in_order(command: &str, output: &str) -> String {
    let mut lines: Vec<_> = output.split_inclusive('\n').collect();
    if command.contains("send --file") {
        lines.sort_unstable();
    }
    lines.concat()
}

/// Returns what differs from run to run.
fn changing() -> Redactions {
    let mut changing = Redactions::new();
    for (placeholder, pattern) in [
        ("[TOKEN]", r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),
        ("[ID]", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("[TIME]", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{6}Z)?"),
        ("[DISTANCE]", r"\b(in \d+ (s|min|h|days)|\d+ (s|min|h|days) ago)\b"),
        ("[DISTANCE]", r"\((?<redacted>now)\)"),
        ("[SPEED]", r"in \d+\.\d s \(\d+ sent/s\)"),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        changing.insert(placeholder, pattern).expect("a placeholder");
    }
    changing
}

#[test]
fn the_readme_shows_what_the_program_prints() {
    let readme = read_from_repository("README.md");
    let environment = checkout();
    let printed = with_outputs(&readme, |command, shown| {
        in_order(command, &run(&environment, command, shown))
    });
    let shown = with_outputs(&readme, in_order);
    let changing = changing();
    assert_data_eq!(changing.redact(&printed), changing.redact(&shown).raw());
}

#[test]
fn the_readme_shows_every_command() {
    let mut commands = String::new();
    with_outputs(&read_from_repository("README.md"), |command, _| {
        commands += &[command, "\n"].concat();
        String::new()
    });
    for command in [
        "send +",
        "send --file",
        "send --dry-run",
        "verify +",
        "list\n",
        "list --format json",
        "status",
        "stats",
        "purge --dry-run",
        "purge --phone-number",
        "migrate",
        "doctor",
    ] {
        assert!(commands.contains(command), "{command} is not shown:\n{commands}");
    }
}
