//! Programs in special circumstances: several at once, under a limit, without rights, at a terminal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Environment, Run};

/// Waits until `happened` returns true, and fails if it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns whether `child` has `path` open now.
pub(crate) fn has_open(child: &Child, path: &Path) -> bool {
    let Ok(handles) = fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    handles.flatten().any(|handle| fs::read_link(handle.path()).is_ok_and(|target| target == path))
}

/// Starts all `commands`, waits until each has the database open or has ended, calls `release`, and returns their runs.
pub(crate) fn run_together(
    database: &Path,
    commands: Vec<Command>,
    release: impl FnOnce(),
) -> Vec<Run> {
    let mut children: Vec<Child> =
        commands.into_iter().map(|mut c| c.spawn().expect("the program starts")).collect();
    for child in &mut children {
        wait_until("the program opens the database", || {
            has_open(child, database) || child.try_wait().expect("a child").is_some()
        });
    }
    release();
    children.into_iter().map(finish).collect()
}

/// Returns where a shell finds the program and its own tools.
fn search_path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_phone-verify"));
    format!("{}:/usr/bin:/bin", program.parent().expect("a folder").display())
}

/// Waits for the end of `child` and returns what it printed.
pub(crate) fn finish(child: Child) -> Run {
    child.wait_with_output().expect("the program ends").into()
}

impl Environment {
    /// Runs all `commands` at once behind a write lock that is released when each has the database open: every program has
    /// begun before the first one may write.
    pub(crate) fn run_behind_a_lock(&self, commands: Vec<Command>) -> Vec<Run> {
        let lock = self.database();
        lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        run_together(&self.path("phone-verify.sqlite3"), commands, || {
            lock.execute_batch("ROLLBACK").expect("the lock is ours");
        })
    }

    /// Returns another program in the circumstances of [`Environment::command`].
    pub(crate) fn tool(&self, words: &[&str]) -> Command {
        let plain = self.command(&[]);
        let mut command = Command::new(words[0]);
        let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command
            .args(&words[1..])
            .env_clear()
            .envs(variables)
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Returns a shell that runs `line`, in which `phone-verify` is the program.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.tool(&["/bin/sh", "-c", line]);
        command.env("PATH", search_path());
        command
    }

    /// Returns a shell that runs `line` at a terminal of so many columns; stdout has what the terminal was told.
    pub(crate) fn at_terminal(&self, columns: usize, line: &str) -> Command {
        let line = format!("stty cols {columns} rows 24; {line}");
        let mut command = self.tool(&[
            "script",
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &line,
            "/dev/null",
        ]);
        command.env("PATH", search_path()).env("SHELL", "/bin/sh").env("TERM", "xterm");
        command
    }

    /// Writes a program `name`. Another one writes it: a file that this process has open for writing when another thread
    /// forks could not be executed for a moment.
    pub(crate) fn write_program(&self, name: &str, text: &str) {
        let source = format!("{name}.source");
        self.write(&source, text);
        run_command(self.tool(&["install", "-m", "700", &source, name])).expect_code(0);
    }

    /// Returns the program with `arguments`, started by `wrapper`.
    pub(crate) fn wrapped(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.tool(wrapper);
        command.arg(env!("CARGO_BIN_EXE_phone-verify")).args(arguments);
        command
    }

    /// Returns the program as a shell starts it after `setup`.
    pub(crate) fn after_shell(&self, setup: &str, arguments: &[&str]) -> Command {
        self.wrapped(&["/bin/sh", "-c", &format!("{setup}; exec \"$0\" \"$@\"")], arguments)
    }

    /// Returns the program as somebody runs it who is held to the permissions of files, which root is not.
    pub(crate) fn without_privileges(&self, arguments: &[&str]) -> Command {
        if is_root() {
            self.wrapped(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"], arguments)
        } else {
            self.command(arguments)
        }
    }

    /// Runs the program with its stdout at `path`.
    pub(crate) fn run_into(&self, path: &str, arguments: &[&str]) -> Run {
        let file = fs::OpenOptions::new().write(true).open(path).expect("a file to write to");
        let child = self.command(arguments).stdout(file).spawn().expect("the program starts");
        finish(child)
    }

    /// Runs the program with a stdout whose reader is gone.
    pub(crate) fn run_into_closed_pipe(&self, arguments: &[&str]) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = self.command(arguments).stdout(writer).spawn().expect("the program starts");
        finish(child)
    }
}

/// Returns whether root runs the tests.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("proc is mounted").uid() == 0
}

/// Runs `command` to its end.
pub(crate) fn run_command(mut command: Command) -> Run {
    finish(command.spawn().expect("the program starts"))
}
