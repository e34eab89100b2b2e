//! Fuzz target of the settings.

use std::path::Path;

use secrecy::ExposeSecret;

use super::{Findings, Problem, parse};
use crate::model::fuzz::assert_harmless;
use crate::model::steers_terminal;

/// What the secrets of the corpus hold. Other values might stand in an error by chance.
const SECRET: &str = "s3cret";

/// Settings are there or there is a problem, each problem is on its line and shows no secret, and a comment above changes nothing.
pub(crate) fn settings(text: &str) {
    let directory = Path::new("/etc/phone-verify");
    let (settings, Findings { problems, secrets }) = parse(text, directory);
    assert!(settings.is_some() || !problems.is_empty());
    for problem in &problems {
        assert!((1..=text.split('\n').count()).contains(&problem.line), "{problem}");
        if !text.contains(steers_terminal) && !text.contains('\\') {
            assert_harmless(&problem.what);
        }
        for (key, secret) in secrets.iter().filter(|(_, secret)| secret.is_literal()) {
            let Ok(secret) = secret.reveal() else { continue };
            let secret = secret.expose_secret();
            let is_only_there = text.matches(secret).count() == 1 && secret.contains(SECRET);
            assert!(!is_only_there || !problem.what.contains(secret), "{key}: {problem}");
        }
    }
    let (_, below) = parse(&format!("# a comment\n{text}"), directory);
    // What is missing has no line of its own.
    let places = |problems: &[Problem], line| -> Vec<_> {
        let there = problems.iter().filter(|problem| !problem.is_missing);
        there.map(|problem| (problem.line + line, problem.key.clone())).collect()
    };
    let (above, below) = (places(&problems, 1), places(&below.problems, 0));
    assert!(text.starts_with('\u{feff}') || above == below, "{above:?} {below:?}");
}
