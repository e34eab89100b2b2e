//! The program in an environment of its own: a temporary directory with a HOME, a settings file and a database.

use std::env;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::postgres::Database;
use super::{DEFAULT_SIGNALS, finish, run_command, server_for_test};

/// A valid number from the range that Twilio's documentation uses in its examples.
pub(crate) const NUMBER: &str = "+14155552671";
/// The code that the sandbox settings send and accept.
pub(crate) const SANDBOX_CODE: &str = "123456";

/// How long a test waits for something that has to happen, before it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The directory of one test. Everything that the program reads or writes is in it, but for a database on a server.
pub(crate) struct Environment {
    directory: TempDir,
    /// What the program uses instead of the file that the settings name.
    pub(crate) server: Option<Database>,
}

/// One run of the program: its exit code and its output.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code, or `None` if a signal ended the program.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Environment {
    /// Returns an environment without a settings file.
    pub(crate) fn without_settings() -> Self {
        Self::with_server(server_for_test())
    }

    /// Returns an environment without a settings file, in which the program uses the database `server`, if there is one.
    pub(super) fn with_server(server: Option<Database>) -> Self {
        Self { directory: TempDir::new().expect("a temporary directory"), server }
    }

    /// Returns an environment whose `phone-verify.toml` holds `settings`.
    pub(crate) fn with_settings(settings: &str) -> Self {
        let environment = Self::without_settings();
        environment.write("phone-verify.toml", settings);
        environment
    }

    /// Returns an environment on the Twilio sandbox, with the further top-level settings `extra`.
    pub(crate) fn sandbox(extra: &str) -> Self {
        Self::with_settings(&format!(
            "backend = \"twilio-sandbox\"\n{extra}\n[options]\nsandbox_token = \"{SANDBOX_CODE}\"\n"
        ))
    }

    /// Returns the path of the file `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `text` to the file `name`, which only its owner may read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the temporary directory");
        self.set_mode(name, 0o600);
    }

    /// Reads the file `name`. A missing file reads as an empty text.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Returns the permissions of the file `name`.
    #[track_caller]
    pub(crate) fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.path(name)).expect("the file is there");
        metadata.permissions().mode() & 0o777
    }

    /// Sets the permissions of the file `name`.
    #[track_caller]
    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode))
            .expect("the file is ours");
    }

    /// Returns the names of all files, in alphabetical order.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(""))
            .expect("the directory is there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Returns the program with `arguments`, in the environment's directory and without the variables of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phone-verify"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("TZ", "UTC")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // So that the lines which only the program reaches count as well when line coverage is measured.
        if let Some(profile) = env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        if let Some(server) = &self.server {
            command.env("PHONE_VERIFY_DATABASE", server.url());
        }
        command
    }

    /// Runs the program with `arguments` until it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run_command(self.command(arguments))
    }

    /// Runs the program with `arguments` and `input` on stdin until it ends.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child =
            self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A program that refuses its input early may close the pipe.
        let _ = stdin.write_all(input);
        drop(stdin);
        finish(child)
    }

    /// Starts the program with `arguments`, for a test that acts while it runs. Signals have their default effect, as in a terminal:
    /// the process that runs the tests may ignore some.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.wrapped(&DEFAULT_SIGNALS, arguments).spawn().expect("the program starts")
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
    /// Asserts the exit code.
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
