//! A machine that lacks what every program takes for granted: files to open, random numbers, threads, room in a file.

use std::process::Command;

use phone_verify::cli::Cli;
use phone_verify::output::{Color, Format, Output};
use phone_verify::system::clock::Clock;

use crate::support::{Environment, FakeProvider, NUMBER, hook, run_command};

/// Every command that works with settings, in a form that needs as much of the machine as it can.
const COMMANDS: [&[&str]; 12] = [
    &["send", NUMBER, "+12025550143"],
    &["send", "--dry-run", NUMBER],
    &["send", "--file", "numbers"],
    &["verify", NUMBER, "123456", "--any-session"],
    &["list"],
    &["list", "--format", "csv"],
    &["status", NUMBER],
    &["status", NUMBER, "--refresh"],
    &["purge"],
    &["purge", "--dry-run"],
    &["migrate"],
    &["doctor"],
];

/// Starts a program without a system call, which then fails as if the kernel refused it. Its arguments are what is missing, and
/// the program with its arguments.
const WITHOUT: &str = r#"
import ctypes, os, struct, sys
getrandom, clone = {"x86_64": (318, 56), "aarch64": (278, 220)}[os.uname().machine]
clone3, thread, failing = 435, 0x10000, 0x50000
load = lambda offset: (0x20, 0, 0, offset)
end = lambda errno: (0x06, 0, 0, failing | errno if errno else 0x7fff0000)
unless_equal = lambda value, skip: (0x15, 0, skip, value)
unless_set = lambda bits, skip: (0x45, 0, skip, bits)
filters = {
    "random": [load(0), unless_equal(getrandom, 1), end(5), end(0)],
    "threads": [load(0), unless_equal(clone3, 1), end(38),
                unless_equal(clone, 3), load(16), unless_set(thread, 1), end(11), end(0)],
}
code = b"".join(struct.pack("HBBI", *step) for step in filters[sys.argv[1]])
kept = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HP", len(code) // 8, ctypes.addressof(kept)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn environment() -> Environment {
    let environment = Environment::sandbox("");
    environment.write("numbers", "+14155552671\n+12025550143\n");
    environment.run(&["send", NUMBER]).expect_code(0);
    environment
}

/// Runs every command with `wrap`, and asserts that each one ends with an error that has these words.
#[track_caller]
fn expect_errors(wrap: impl Fn(&Environment, &[&str]) -> Command, words: &str) {
    let environment = environment();
    for arguments in COMMANDS {
        let run = run_command(wrap(&environment, arguments)).expect_code(1);
        assert_eq!(run.stdout, "", "{arguments:?}: {run:#?}");
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {run:#?}");
        assert!(run.stderr.contains(words), "{arguments:?}: {run:#?}");
    }
}

#[test]
fn without_free_files_no_command_panics() {
    for count in [4, 6, 7, 8, 10, 16] {
        let limit = format!("ulimit -n {count}");
        expect_errors(|environment, arguments| environment.after_shell(&limit, arguments), "files");
    }
}

#[test]
fn without_random_numbers_no_command_panics() {
    let wrapper = ["python3", "-c", WITHOUT, "random"];
    expect_errors(|environment, words| environment.wrapped(&wrapper, words), "no random numbers");
}

#[test]
fn without_threads_nothing_panics() {
    // A name, which has to be looked up.
    let provider = FakeProvider::twilio().never_called();
    let base_url = format!("http://localhost:{}", provider.port());
    let environment = Environment::with_settings(&provider.settings_at(&base_url, "", ""));
    environment.write("numbers", "+14155552671\n+12025550143\n");
    let wrapper = ["python3", "-c", WITHOUT, "threads"];
    for arguments in COMMANDS {
        let run = run_command(environment.wrapped(&wrapper, arguments));
        assert!(!run.stderr.contains("panicked"), "{arguments:?}: {run:#?}");
    }
}

#[test]
fn a_clock_before_1970_is_an_error() {
    for arguments in COMMANDS {
        let cli = Cli::read([&["phone-verify"], arguments].concat().into_iter().map(Into::into));
        let mut output = Output::new(Format::Text, Color::Never, true);
        let clock = Clock::from_fn(|| "1969-12-31T23:59:59Z".parse().expect("a time"));
        let error = cli.expect("a command").run(&mut output, clock).expect_err("no time");
        assert_eq!((error.exit.code(), error.to_string().contains("1969-12-31")), (1, true));
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_whatever_writes_it() {
    let environment = environment();
    for arguments in [&["list"][..], &["--format", "json", "list"], &["status", NUMBER], &["man"]] {
        let line = format!("ulimit -f 0; phone-verify {} > results", arguments.join(" "));
        let run = run_command(environment.shell(&line)).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {run:#?}");
    }
}

#[test]
fn programs_inherit_no_core_dumps_and_the_signal_of_full_files() {
    let script = "cat /proc/self/limits /proc/self/status > seen";
    let settings = format!("backend = \"console\"\n[hooks]\n{}", hook("sent", script));
    let environment = Environment::with_settings(&settings);
    run_command(environment.after_shell("ulimit -c unlimited", &["send", NUMBER])).expect_code(0);
    let seen = environment.read("seen");
    let field = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Max core file size")[..2], ["0", "0"]);
    let ignored = u64::from_str_radix(&field("SigIgn:")[0], 16).expect("a mask");
    const SIGXFSZ: u32 = 25;
    assert_eq!(ignored & (1 << (SIGXFSZ - 1)), 0, "{seen}");
}
