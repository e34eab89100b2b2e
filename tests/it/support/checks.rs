//! The checks of `doctor`.

use serde_json::Value;

use super::{Environment, Run};

/// The checks of one run.
#[derive(Debug)]
pub(crate) struct Checks(Vec<Value>);

impl Environment {
    /// Runs `doctor` with these global options, asserts its exit code, and returns its checks.
    #[track_caller]
    pub(crate) fn doctor(&self, code: i32, options: &[&str]) -> Checks {
        let arguments = [&["--format", "json", "doctor"], options].concat();
        Checks::from_run(self.run(&arguments).expect_code(code))
    }
}

impl Checks {
    /// Reads the checks that `run` printed, and asserts that it printed nothing else.
    #[track_caller]
    pub(crate) fn from_run(run: Run) -> Self {
        assert_eq!(run.stderr, "");
        Self(run.json_lines())
    }

    /// Returns the names of the checks of an area, in order.
    pub(crate) fn names(&self, area: &str) -> Vec<&str> {
        let names = self.0.iter().filter_map(|check| check["check"].as_str()?.split_once('.'));
        names.filter(|(other, _)| *other == area).map(|(_, name)| name).collect()
    }

    /// Asserts that a check has this status, and that its message and hint contain `parts`. A check has a hint unless its
    /// status is `ok`.
    #[track_caller]
    pub(crate) fn expect(&self, name: &str, status: &str, parts: &[&str]) {
        let check = self.of(name);
        assert_eq!(check["status"], status, "{check:#}");
        assert_eq!(check["hint"].is_null(), status == "ok", "{check:#}");
        let words = format!("{}\n{}", check["message"], check["hint"]);
        for part in parts {
            assert!(words.contains(part), "{part}: {check:#}");
        }
    }

    /// Returns the message of a check.
    #[track_caller]
    pub(crate) fn message(&self, name: &str) -> &str {
        self.of(name)["message"].as_str().expect("a message")
    }

    #[track_caller]
    fn of(&self, name: &str) -> &Value {
        let found: Vec<_> = self.0.iter().filter(|check| check["check"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {self:#?}");
        found[0]
    }

    /// Returns the names of the checks that aren't ok.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        let complaints = self.0.iter().filter(|check| check["status"] != "ok");
        complaints.filter_map(|check| check["check"].as_str()).collect()
    }
}
