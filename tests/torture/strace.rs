//! The system calls by which the program changes its directory, and everything that the world sees of it: `strace` records
//! them, and lets some fail.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::process::Command;

use crate::chance::report_missing;
use crate::disk::Disk;
use crate::support::{Environment, Run, run_command};

/// The file that `strace` writes.
const LOG: &str = "strace.log";

/// What a system call did.
#[derive(Debug)]
pub(crate) enum Event {
    Create(String),
    Remove(String),
    Rename(String, String),
    Write {
        name: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Resize(String, usize),
    Sync(String),
    SyncDirectory,
    /// Bytes left through a socket.
    Transmit(Vec<u8>),
    /// Something was printed on stdout.
    Print,
}

impl Event {
    /// Carries out on `disk` what was carried out in the directory.
    pub(crate) fn repeat(self, disk: &mut Disk) {
        match self {
            Self::Create(name) => disk.create(&name),
            Self::Remove(name) => disk.remove(&name),
            Self::Rename(from, to) => disk.rename(&from, &to),
            Self::Write { name, offset, bytes } => disk.write(&name, offset, bytes),
            Self::Resize(name, length) => disk.resize(&name, length),
            Self::Sync(name) => disk.sync(&name),
            Self::SyncDirectory => disk.sync_directory(),
            Self::Transmit(_) | Self::Print => {}
        }
    }
}

/// Returns whether this machine has `strace` and lets it trace. If not, says that the test is skipped.
pub(crate) fn is_usable() -> bool {
    let run = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let is_usable = run.is_ok_and(|status| status.success());
    if !is_usable {
        report_missing("strace");
    }
    is_usable
}

/// Runs the program with `arguments`, and returns what it did as well, in order. A sync is where it has ended.
pub(crate) fn record(environment: &Environment, arguments: &[&str]) -> (Run, Vec<Event>) {
    // Another directory, so that the log isn't among the files.
    let beside = Environment::without_settings();
    let log = beside.path(LOG);
    let log = log.to_str().expect("a path in ASCII");
    let calls = "trace=openat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,write,pwrite64,ftruncate,\
        fallocate,fsync,fdatasync,writev,sendto,sendmsg";
    let strace = ["strace", "-f", "-y", "-xx", "-qq", "-s", "1000000", "-e", calls, "-o", log];
    let run = run_command(environment.wrapped(&strace, arguments));
    let events = Reader::new(&environment.path("")).read(&beside.read(LOG));
    (run, events)
}

/// Runs the program with `arguments`. Its writes to `files` fail from the `first` one on, counted from 1, because the disk is
/// full. Returns whether one failed as well.
pub(crate) fn run_on_full_disk(
    environment: &Environment,
    files: &[&str],
    first: usize,
    arguments: &[&str],
) -> (Run, bool) {
    let fault = format!("inject=pwrite64:error=ENOSPC:when={first}+");
    let paths: Vec<_> = files.iter().map(|name| environment.path(name)).collect();
    let mut strace = vec!["strace", "-f", "-qq", "-e", "trace=pwrite64", "-e", &fault, "-o", LOG];
    for path in &paths {
        strace.extend(["-P", path.to_str().expect("a path in ASCII")]);
    }
    let run = run_command(environment.wrapped(&strace, arguments));
    (run, environment.read(LOG).contains("(INJECTED)"))
}

/// Reads a log. All strings in it are hexadecimal.
struct Reader<'a> {
    directory: &'a Path,
    /// The sync that each process or thread waits for.
    syncs: HashMap<String, Event>,
}

impl<'a> Reader<'a> {
    fn new(directory: &'a Path) -> Self {
        Self { directory, syncs: HashMap::new() }
    }

    fn read(mut self, log: &str) -> Vec<Event> {
        log.lines().filter_map(|line| self.event(line)).collect()
    }

    fn event(&mut self, line: &str) -> Option<Event> {
        let (process, call) = line.split_once(' ')?;
        let call = call.trim_start();
        if call.starts_with("<... ") {
            return self.syncs.remove(process);
        }
        let (name, arguments) = call.split_once('(')?;
        let has_failed = arguments.contains(") = -1 ");
        let between = |marks: &[char]| -> Vec<Vec<u8>> {
            arguments.split(marks).skip(1).step_by(2).map(decode).collect()
        };
        let (paths, strings) = (between(&['<', '>']), between(&['"']));
        let number = |nth: usize| {
            let numbers = arguments.split([',', ')', '<']).map(str::trim);
            let mut numbers = numbers.skip(1).filter_map(|word| word.parse::<usize>().ok());
            numbers.nth(nth).unwrap_or_else(|| panic!("{nth} of the numbers in {line}"))
        };
        let path = |bytes: &[u8]| self.name(bytes);
        let event = match name {
            _ if has_failed => None,
            "openat" if arguments.contains("O_CREAT") => Some(Event::Create(path(&strings[0])?)),
            "unlink" | "unlinkat" => Some(Event::Remove(path(&strings[0])?)),
            "rename" | "renameat" | "renameat2" => {
                Some(Event::Rename(path(&strings[0])?, path(&strings[1])?))
            }
            "write" if arguments.starts_with("1<") => Some(Event::Print),
            "write" | "writev" | "sendto" | "sendmsg" if paths[0].starts_with(b"socket:") => {
                Some(Event::Transmit(strings.concat()))
            }
            // The number before the offset is the length.
            "pwrite64" => {
                let (name, bytes) = (path(&paths[0])?, strings.concat());
                Some(Event::Write { name, offset: number(1), bytes })
            }
            "ftruncate" => Some(Event::Resize(path(&paths[0])?, number(0))),
            "fsync" | "fdatasync" => {
                let name = path(&paths[0])?;
                Some(if name.is_empty() { Event::SyncDirectory } else { Event::Sync(name) })
            }
            // The disk has no other changes.
            "write" | "writev" | "link" | "linkat" | "fallocate" => {
                let changed = paths.iter().chain(&strings).find_map(|it| path(it));
                assert!(name == "write" || changed.is_none(), "{line}");
                None
            }
            _ => None,
        }?;
        if line.ends_with("<unfinished ...>")
            && matches!(event, Event::Sync(_) | Event::SyncDirectory)
        {
            self.syncs.insert(process.to_owned(), event);
            return None;
        }
        Some(event)
    }

    /// Returns the name of a file in the directory, or an empty one for the directory itself.
    fn name(&self, path: &[u8]) -> Option<String> {
        let path = Path::new(std::str::from_utf8(path).ok()?);
        let path = if path.is_absolute() { path.strip_prefix(self.directory).ok()? } else { path };
        let mut names = path.components().filter(|part| *part != Component::CurDir);
        let name = names.next().map_or("", |part| part.as_os_str().to_str().expect("it is UTF-8"));
        names.next().is_none().then(|| name.to_owned())
    }
}

/// Decodes `\x2f\x74` and the like.
fn decode(string: &str) -> Vec<u8> {
    let digits = string.split("\\x").skip(1);
    digits.filter_map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}
