//! The operator's own programs. They run without a shell and get their input on stdin. Their time is limited, and so is how much
//! of their output is kept.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::model::Check;

/// The most bytes to keep of a program's first line of stdout, and of its last lines of stderr.
const MAX_KEPT: usize = 4096;
/// How long to wait for the output of a program that has ended. All of it is there already, but a process that the program left
/// behind can keep its output open.
const AFTER_END: Duration = Duration::from_millis(50);

/// Where to look for a program if PATH is not set (`execvp` of the GNU C library).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

/// How a program ended, and the output that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramResult {
    /// How it ended.
    pub end: End,
    /// The first line of its stdout, cut to 4096 bytes.
    pub first_line: String,
    /// The last line of its stderr that isn't empty, from the last 4096 bytes.
    pub last_error_line: String,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// It exited with this status.
    #[error("it exited with {0}")]
    Exit(i32),
    /// The signal with this number ended it.
    #[error("signal {0} ended it")]
    Signal(i32),
    /// It ran out of time, and its process group was killed.
    #[error("it was ended after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It ran out of time, and this user may not kill it.
    #[error("it is still running after {} s and can't be ended: {}", .0.as_secs(), .1)]
    StillRunning(Duration, Errno),
    /// The system doesn't report how it ended.
    #[error("the system doesn't report how it ended")]
    NotReported,
}

impl Program {
    /// Returns this program with its path relative to `directory`. A name without `/` stays, and is searched in PATH.
    pub fn within(self, directory: &Path) -> Self {
        let path = if self.is_path() { directory.join(self.path) } else { self.path };
        Self { path, ..self }
    }

    fn is_path(&self) -> bool {
        self.path.as_os_str().as_bytes().contains(&b'/')
    }

    /// Returns the program's path, or its name if it's searched in PATH.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file that would be run.
    fn find(&self) -> io::Result<PathBuf> {
        let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        let search = if self.is_path() { OsString::new() } else { search };
        let mut problem = io::Error::from(io::ErrorKind::NotFound);
        for file in std::env::split_paths(&search).map(|directory| directory.join(&self.path)) {
            match check_executable(&file) {
                Ok(()) => return Ok(file),
                Err(error) if problem.kind() == io::ErrorKind::NotFound => problem = error,
                Err(_) => {}
            }
        }
        Err(problem)
    }

    /// Checks that the program can be run.
    pub fn check(&self, name: &str) -> Check {
        match self.find() {
            Ok(file) => Check::ok(name, file.display().to_string()),
            Err(error) => Check::failure(
                name,
                format!("{} can't be run: {error}", self.path.display()),
                "install the program, make it executable, or correct its path",
            ),
        }
    }

    /// Returns why the program wasn't started. Of a script without its interpreter the system says that it doesn't exist.
    fn explained(&self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::NotFound || self.find().is_err() {
            return error;
        }
        let problem = "the interpreter that it names doesn't exist; a Windows line end would be part of the name";
        io::Error::new(io::ErrorKind::NotFound, problem)
    }

    /// Runs the program in a process group of its own, with `input` as a line of JSON on its stdin and without the environment
    /// variables `hidden`. The whole group is killed after `limit`, or when the returned future is dropped.
    ///
    /// # Errors
    /// Returns an error if the program can't be started. What happens later is an [`End`]: the program may have done its work.
    pub async fn run(
        &self,
        input: &impl Serialize,
        limit: Duration,
        hidden: &[String],
    ) -> io::Result<ProgramResult> {
        let mut input = serde_json::to_vec(input)?;
        // A shell's `read` wants a whole line.
        input.push(b'\n');
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in hidden {
            command.env_remove(name);
        }
        // Otherwise, if the parent process ignores SIGCHLD, the end of a child would not be reported.
        let _children = signal(SignalKind::child())?;
        let mut child = command.spawn().map_err(|error| self.explained(error))?;
        let (mut first_line, mut last_lines) = (Vec::new(), Vec::new());
        let (mut stdin, stdout, stderr) =
            (child.stdin.take().expect("a pipe"), child.stdout.take(), child.stderr.take());
        let streams = async {
            tokio::join!(
                // A program doesn't have to read its input.
                async move { stdin.write_all(&input).await.ok() },
                read(stdout, |bytes| keep_first_line(&mut first_line, bytes)),
                read(stderr, |bytes| keep_last(&mut last_lines, bytes)),
            )
        };
        let end = await_end(&mut child, streams, limit).await;
        Ok(ProgramResult {
            end,
            first_line: lines(&first_line).next().unwrap_or_default(),
            last_error_line: lines(&last_lines).rfind(|line| !line.is_empty()).unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer).unwrap_or_default();
        // An argument of a program can't hold a NUL.
        let is_sound = words.iter().all(|word| !word.contains('\0'));
        match words.split_first() {
            Some((name, arguments)) if is_sound && !name.is_empty() => {
                Ok(Self { path: name.into(), arguments: arguments.to_vec() })
            }
            _ => Err(D::Error::custom("must be a list of strings: a program and its arguments")),
        }
    }
}

/// Waits at most `limit` until `child` has ended, while `streams` feeds and reads it, and returns how it ended. Kills its process
/// group if it runs out of time or the returned future is dropped.
async fn await_end(child: &mut Child, streams: impl Future, limit: Duration) -> End {
    // The child's process id is also its group's.
    let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut group = Group(leader);
    let mut streams = std::pin::pin!(streams.fuse());
    let ended = async {
        tokio::select! {
            status = child.wait() => return status,
            _ = &mut streams => {}
        }
        child.wait().await
    };
    let end = match timeout(limit, ended).await {
        Ok(Ok(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exit(code),
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        },
        Ok(Err(_)) => End::NotReported,
        Err(_) => match group.kill() {
            Err(error @ Errno::PERM) => End::StillRunning(limit, error),
            _ => {
                let _ = child.wait().await;
                End::TimedOut(limit)
            }
        },
    };
    // Once the child was waited for, its id may belong to another process. What it left behind goes on.
    group.0 = None;
    if !streams.is_terminated() {
        let _ = timeout(AFTER_END, streams).await;
    }
    end
}

/// Checks that this user may execute `file`.
fn check_executable(file: &Path) -> io::Result<()> {
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(file, Access::EXEC_OK)?)
}

/// The leader of a program's process group. The group is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// Kills the group, and its leader in case that has left it. Returns an error if the leader is gone, or if this user may not
    /// kill it.
    fn kill(&self) -> Result<(), Errno> {
        let Some(leader) = self.0 else { return Ok(()) };
        let _ = kill_process_group(leader, Signal::KILL);
        kill_process(leader, Signal::KILL)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Reads `stream` to its end, so that the program never waits for a reader.
async fn read(stream: Option<impl AsyncRead + Unpin>, mut keep: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; MAX_KEPT];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        keep(&buffer[..length]);
    }
}

fn keep_first_line(kept: &mut Vec<u8>, bytes: &[u8]) {
    if !kept.contains(&b'\n') {
        let room = MAX_KEPT.saturating_sub(kept.len());
        kept.extend(bytes.iter().take(room));
    }
}

fn keep_last(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend(bytes);
    kept.drain(..kept.len().saturating_sub(MAX_KEPT));
}

fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;

    use super::*;

    fn path(words: &[&str]) -> Option<PathBuf> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = IntoDeserializer::<serde::de::value::Error>::into_deserializer(words);
        Program::deserialize(words).ok().map(|program| program.within(Path::new("/etc/site")).path)
    }

    #[test]
    fn a_relative_path_starts_from_the_directory_and_a_name_does_not() {
        for (name, expected) in [
            ("bin/hook", "/etc/site/bin/hook"),
            ("./hook", "/etc/site/./hook"),
            ("/bin/hook", "/bin/hook"),
            ("hook", "hook"),
        ] {
            assert_eq!(path(&[name, "a/b"]), Some(expected.into()));
        }
        assert_eq!([path(&[]), path(&["", "argument"]), path(&["a", "\0"])], [None, None, None]);
    }

    #[test]
    fn the_first_line_is_kept_however_it_is_cut_into_pieces() {
        let mut kept = Vec::new();
        for piece in ["SM", "12", "\nsecond ", "line\nthird"] {
            keep_first_line(&mut kept, piece.as_bytes());
        }
        assert_eq!(lines(&kept).next().as_deref(), Some("SM12"));
        for _ in 0..3 {
            keep_first_line(&mut kept, &[b'x'; MAX_KEPT]);
        }
        assert!(kept.len() < 100);

        kept.clear();
        for _ in 0..3 {
            keep_first_line(&mut kept, &[b'x'; 3 * MAX_KEPT / 4]);
        }
        assert_eq!(kept.len(), MAX_KEPT);
    }

    #[test]
    fn the_last_bytes_are_kept() {
        let mut kept = Vec::new();
        for piece in [vec![b'x'; 2 * MAX_KEPT], b"\nlast".to_vec(), b" line".to_vec()] {
            keep_last(&mut kept, &piece);
        }
        assert_eq!(kept.len(), MAX_KEPT);
        assert_eq!(lines(&kept).next_back().as_deref(), Some("last line"));
    }
}
