//! What the fuzzers in `fuzz/` run: a target for each parser of what comes from outside. A target panics if the parser breaks a
//! promise. `cargo test` runs all of them on the inputs in `fuzz/corpus`. No other build has this module.

use crate::{backends, commands, model, output, settings, store};

/// Runs the target of this name.
///
/// # Panics
/// Panics if the parser breaks a promise with this input, or if there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let text = &String::from_utf8_lossy(input);
    match target {
        "database" => store::fuzz::database(text),
        "http_api" => backends::http_api::fuzz::http_api(input),
        "nexmo" => backends::fuzz::nexmo(input),
        "number_file" => commands::send::file::fuzz::number_file(input),
        "phone_number" => model::fuzz::phone_number(text),
        "security_code" => model::fuzz::security_code(text),
        "session_token" => model::fuzz::session_token(text),
        "settings" => settings::fuzz::settings(text),
        "since" => commands::fuzz::since(text),
        "stored_time" => model::fuzz::stored_time(text),
        "template" => model::fuzz::template(text),
        "terminal" => output::fuzz::terminal(text),
        "twilio" => backends::fuzz::twilio(input),
        _ => panic!("there is no target {target}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The most bytes of an input. Larger ones say little about what is wrong.
    const MAX_SIZE: usize = 4096;

    fn directory(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    fn entries(directory: &Path) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn every_target_keeps_its_promises_on_its_corpus() {
        let (mut targets, mut with_corpus) = (BTreeSet::new(), BTreeSet::new());
        for path in entries(&directory("fuzz_targets")) {
            let target = path.file_stem().and_then(|name| name.to_str()).expect("a name in ASCII");
            let expected = format!(
                "#![no_main]\n\n\
                 libfuzzer_sys::fuzz_target!(|input: &[u8]| phone_verify::fuzz::run(\"{target}\", input));\n"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{}", path.display());
            targets.insert(target.to_owned());
        }
        for path in entries(&directory("corpus")) {
            let target = path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII");
            for path in entries(&path) {
                let input = fs::read(&path).unwrap();
                assert!(input.len() <= MAX_SIZE, "{} is too large", path.display());
                if std::panic::catch_unwind(|| run(target, &input)).is_err() {
                    panic!("the target {target} panics on {}", path.display());
                }
            }
            with_corpus.insert(target.to_owned());
        }
        assert_eq!(targets, with_corpus);
    }
}
