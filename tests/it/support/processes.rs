//! Processes: several at once, under a limit, without rights, at a terminal; and what a test does to a running one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{DATABASE, DEADLINE, Environment, Run};

/// Starts a program with these signals at their default, as a terminal does.
pub(crate) const DEFAULT_SIGNALS: [&str; 2] = ["/usr/bin/env", "--default-signal=HUP,INT,TERM"];

/// The most memory that the program may use for input of any length, in KiB.
pub(crate) const MAX_MEMORY: u64 = 64 * 1024;

/// Waits until `happened` returns true. Fails the test if it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
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

/// Starts all `commands`, waits until each has `database` open or has ended, calls `release`, and returns their runs.
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

/// Returns a PATH with the program and the tools of a shell.
fn search_path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_phone-verify"));
    format!("{}:/usr/bin:/bin", program.parent().expect("a directory").display())
}

/// Waits for the end of `child` and returns what it printed.
pub(crate) fn finish(child: Child) -> Run {
    child.wait_with_output().expect("the program ends").into()
}

impl Environment {
    /// Runs all `commands` at once. In a file, they run behind a write lock, which is released when each program has the
    /// database open: all of them are running before the first one may write.
    pub(crate) fn run_behind_a_lock(&self, commands: Vec<Command>) -> Vec<Run> {
        if self.server.is_some() {
            let start = |mut command: Command| command.spawn().expect("the program starts");
            let started: Vec<_> = commands.into_iter().map(start).collect();
            return started.into_iter().map(finish).collect();
        }
        let lock = self.database();
        lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        run_together(&self.path(DATABASE), commands, || {
            lock.execute_batch("ROLLBACK").expect("the lock is ours");
        })
    }

    /// Returns another program, with the directory and the variables of [`Environment::command`].
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

    /// Returns a shell that runs `line` at a terminal of so many columns. Stdout is what the terminal received.
    pub(crate) fn at_terminal(&self, columns: usize, line: &str) -> Command {
        let line = format!("stty cols {columns} rows 24; {line}");
        let script = ["script", "--quiet", "--return", "--flush", "--command", &line, "/dev/null"];
        let mut command = self.tool(&[&DEFAULT_SIGNALS, &script[..]].concat());
        command.env("PATH", search_path()).env("SHELL", "/bin/sh").env("TERM", "xterm");
        command
    }

    /// Writes a program `name`, by means of another process: if this one had the file open for writing while another thread
    /// forks, the file couldn't be executed for a moment.
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

    /// Returns the program without the right to ignore the permissions of files, which root has.
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

    /// Runs the program with a stdout whose reader has gone away.
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

/// Runs `command` until it ends.
pub(crate) fn run_command(mut command: Command) -> Run {
    finish(command.spawn().expect("the program starts"))
}

/// Returns the most memory that `program`, which must still be running, has used so far, in KiB.
#[track_caller]
pub(crate) fn peak_memory(program: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends `signal`, such as `INT`, to `program`, and waits until the program has received it.
#[track_caller]
pub(crate) fn send_signal(program: &Child, signal: &str) {
    let id = program.id().to_string();
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal, &id])
        .status()
        .expect("a shell");
    assert!(status.success(), "no program received the signal {signal}");
    wait_until("the program receives the signal", || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        // A program that has ended handles no signal.
        field("State:").trim().starts_with('Z')
            || field("ShdPnd:").trim().bytes().all(|digit| digit == b'0')
    });
}

/// Sends `signal` to `program` again and again until it ends: two signals in quick succession may count as one.
#[track_caller]
pub(crate) fn signal_until_it_ends(program: &mut Child, signal: &str) {
    wait_until("the program ends", || {
        let is_over = program.try_wait().expect("a child").is_some();
        if !is_over {
            send_signal(program, signal);
        }
        is_over
    });
}
