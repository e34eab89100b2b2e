//! The test environment: a temporary folder with a HOME of its own, a settings file and a database.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

/// A valid number from the range that Twilio's documentation uses in its examples.
pub(crate) const NUMBER: &str = "+14155552671";
/// The code that the sandbox settings send and accept.
pub(crate) const SANDBOX_CODE: &str = "123456";

/// How long a test waits for what has to happen, before it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder of its own for one test; everything that the program reads or writes lies in it.
pub(crate) struct Environment {
    folder: TempDir,
}

/// What one run of the program printed and answered.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; None where a signal ended the program.
    pub(crate) code: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Environment {
    /// Returns an environment whose `phone-verify.toml` holds `settings`.
    pub(crate) fn with_settings(settings: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let environment = Self { folder };
        environment.write("phone-verify.toml", settings);
        environment
    }

    /// Returns an environment on the Twilio sandbox, with the further settings `extra` (top-level keys).
    pub(crate) fn sandbox(extra: &str) -> Self {
        Self::with_settings(&format!(
            "backend = \"twilio-sandbox\"\n{extra}\n[options]\nsandbox_token = \"{SANDBOX_CODE}\"\n"
        ))
    }

    /// Returns the path of `name` in the environment's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `text` to the file `name`, readable by its owner alone.
    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file in the temporary folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .expect("its owner may");
    }

    /// Returns the program with `arguments`, in the environment's folder, with nothing inherited.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phone-verify"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program with `arguments` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("the program starts").into()
    }

    /// Runs the program with `arguments` and `input` on stdin to its end.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        use std::io::Write;
        let mut child =
            self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A program that refuses its input early closes the pipe; that is its right.
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().expect("the program ends").into()
    }

    /// Starts the program with `arguments`, for a test that acts while it runs.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program starts")
    }

    /// Opens the database `phone-verify.sqlite3` of the environment, as another program would.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.path("phone-verify.sqlite3")).expect("a database");
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a busy timeout");
        connection
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Run {
    /// Asserts the exit code, with the whole run in the message where it differs.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Returns the lines of stdout, each parsed as a JSON object.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// Returns the only line of stdout, parsed as a JSON object.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{self:#?}");
        lines.remove(0)
    }
}
