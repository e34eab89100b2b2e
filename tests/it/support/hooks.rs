//! Hooks that tests configure, and what the hooks leave behind.

use std::fs;

use serde_json::Value;

use super::{Environment, Record, Run, wait_until};

/// A hook that keeps the events it receives, in the file `events`.
pub(crate) const KEEP: &str = "exec cat >> events";

/// Returns the key of `[hooks]` that runs `script` in a shell, in the environment's directory.
pub(crate) fn hook(event: &str, script: &str) -> String {
    format!("{event} = [\"/bin/sh\", \"-c\", '''{script}''']\n")
}

impl Environment {
    /// Returns an environment with a live record, further top-level `keys`, and a hook that runs `script` once a code is
    /// verified.
    pub(crate) fn with_hook(keys: &str, script: &str) -> Self {
        Self::with_hooks(keys, &hook("verified", script))
    }

    /// Returns an environment with a live record, further top-level `keys`, and `hooks` as its `[hooks]` table.
    pub(crate) fn with_hooks(keys: &str, hooks: &str) -> Self {
        let environment = Self::console(&format!("{keys}\n[hooks]\n{hooks}"));
        environment.insert(&Record::default());
        environment
    }

    /// Returns the events that [`KEEP`] received, in order.
    #[track_caller]
    pub(crate) fn hook_events(&self) -> Vec<Value> {
        let text = self.read("events");
        assert!(text.is_empty() || text.ends_with('\n'), "a line without its end: {text:?}");
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        text.lines().map(parse).collect()
    }

    /// Waits until the process group is gone whose leader, a hook, wrote its id to the file `group`.
    #[track_caller]
    pub(crate) fn expect_no_hook_group(&self) {
        let leader = self.read("group");
        assert!(!leader.trim().is_empty(), "the hook never ran");
        wait_until("the hook's group is gone", || !has_group(leader.trim()));
    }
}

/// Returns whether a process of this group is still running.
fn has_group(leader: &str) -> bool {
    let is_of_group = |stat: String| {
        // After the name, which may hold anything, come the state, the parent and the group.
        let fields = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let fields: Vec<_> = fields.split(' ').collect();
        fields[0] != "Z" && fields[2] == leader
    };
    let processes = fs::read_dir("/proc").expect("proc is mounted").flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .any(is_of_group)
}

/// Asserts that the code was found valid, and that stdout holds that answer and nothing else.
#[track_caller]
pub(crate) fn expect_valid(run: Run, code: i32) -> Run {
    let run = run.expect_code(code);
    assert_eq!(run.stdout, "Security code is valid.\n", "{run:#?}");
    run
}
