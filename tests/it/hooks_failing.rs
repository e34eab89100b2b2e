//! Hooks that fail: the verification stands, and the operator is told which hook, how it ended and its last words.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{
    Environment, MAX_MEMORY, Run, TOKEN, VERIFY, expect_valid, finish, hook, is_root, peak_memory,
    run_command, wait_until,
};

/// Asserts that the verification stands, that exit code and stderr say so, and that the error holds each of `parts`.
#[track_caller]
fn expect_failure(environment: &Environment, run: Run, parts: &[&str]) -> Run {
    let run = expect_valid(run, 20);
    assert_eq!(environment.state(TOKEN).is_verified, 1);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert!(lines[0].starts_with("error: ") && lines[0].contains("`verified`"), "{run:#?}");
    assert!(lines[1].starts_with("hint: "), "{run:#?}");
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} is missing: {run:#?}");
    }
    run
}

/// Verifies with a hook that runs `script`, and asserts that the error names the hook and holds each of `parts`.
#[track_caller]
fn expect_script_failure(script: &str, parts: &[&str]) -> Run {
    let environment = Environment::with_hook("", script);
    let run = environment.run(&VERIFY);
    expect_failure(&environment, run, &[&["/bin/sh"], parts].concat())
}

#[test]
fn a_hook_that_exits_with_another_status_than_0_is_named_with_its_last_words() {
    let script = "echo 'not this' >&2; echo 'the site is  closed ' >&2; echo >&2; exit 3";
    let run = expect_script_failure(script, &["exited with 3", ": the site is  closed"]);
    assert!(!run.stderr.contains("not this"), "{run:#?}");
    expect_script_failure("echo 'stdout is not stderr'; exit 75", &["exited with 75"]);
    let run = expect_script_failure("exit 1", &["exited with 1"]);
    assert!(!run.stderr.contains("with 1:"), "{run:#?}");
}

#[test]
fn in_json_too_the_answer_stands_on_stdout_and_the_error_on_stderr() {
    let environment = Environment::with_hook("", "exit 1");
    let run = environment.run(&[&["--format", "json", "--quiet"], &VERIFY[..]].concat());
    let run = run.expect_code(20);
    assert_eq!(run.json()["status"], "SECURITY_CODE_VALID");
    assert!(run.stderr.contains("`verified`"), "{run:#?}");
}

#[test]
fn a_hook_that_a_signal_ends_is_named_with_it() {
    expect_script_failure("echo bad luck >&2; kill -s SEGV $$", &["signal 11", "bad luck"]);
    expect_script_failure("kill -s KILL $$", &["signal 9"]);
}

#[test]
fn a_hook_that_cannot_be_started_is_named_with_its_path() {
    let environment = Environment::with_hook("verify_security_code_only_once = false", "");
    environment.write("not-executable", "#!/bin/sh\n");
    fs::create_dir(environment.path("folder")).expect("a new folder");
    symlink("nowhere", environment.path("dangling")).expect("a new name");
    environment.write("without-interpreter", "#!/nowhere/sh\n");
    environment.set_mode("without-interpreter", 0o700);
    for name in ["./missing", "./not-executable", "./folder", "./dangling", "./without-interpreter"]
    {
        let settings = format!(
            "backend = \"console\"\nverify_security_code_only_once = false\n[hooks]\nverified = [\"{name}\"]\n"
        );
        environment.write("phone-verify.toml", &settings);
        let name = name.trim_start_matches("./");
        expect_failure(&environment, environment.run(&VERIFY), &[name, "can't be started"]);
    }
}

#[test]
fn a_name_that_is_not_in_path_is_named() {
    let environment = Environment::with_hooks("", "verified = [\"no-such-program\", \"argument\"]");
    let parts = ["no-such-program", "can't be started"];
    expect_failure(&environment, environment.run(&VERIFY), &parts);
}

#[test]
fn megabytes_of_output_are_read_and_not_kept() {
    let environment = Environment::with_hook(
        "",
        "head -c 100000000 /dev/zero
         yes 'a line of many' | head -c 100000000 >&2
         echo >&2; echo 'the last of many lines' >&2
         touch written
         until test -e go; do sleep 0.01; done
         exit 4",
    );
    let program = environment.start(&VERIFY);
    wait_until("the hook has written everything", || environment.path("written").exists());
    let memory = peak_memory(&program);
    environment.write("go", "");
    let parts = ["exited with 4", "the last of many lines"];
    expect_failure(&environment, finish(program), &parts);
    assert!(memory < MAX_MEMORY, "{memory} KiB");
}

#[test]
fn the_last_line_is_shown_up_to_its_end_however_long_it_is() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x >&2; printf 'the end' >&2; exit 1";
    let run = expect_script_failure(script, &["exited with 1", "xxxthe end"]);
    assert!(run.stderr.len() < 8192, "{} bytes", run.stderr.len());
}

#[test]
fn what_could_steer_a_terminal_is_not_shown() {
    let words =
        "printf 'a\\033]0;title\\007 \\302\\233b \\342\\200\\256c \\377 d\\r\\n' >&2; exit 1";
    let run = expect_script_failure(words, &["a]0;title b c \u{fffd} d"]);
    let is_harmless = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
    assert!(run.stderr.chars().all(is_harmless), "{run:#?}");
}

#[test]
fn a_hook_need_not_read_what_it_is_told() {
    for script in ["exit 0", "exec <&-; exit 0", "exec <&-; sleep 0.1; exit 0"] {
        let environment = Environment::with_hook("", script);
        let run = expect_valid(environment.run(&VERIFY), 0);
        assert_eq!(run.stderr, "", "{script}");
    }
    expect_script_failure("exec <&-; exit 5", &["exited with 5"]);
}

#[test]
fn a_hook_leads_a_process_group_of_its_own() {
    let environment =
        Environment::with_hook("", "cut -d ' ' -f 5 /proc/$$/stat > group; echo $$ > leader");
    expect_valid(environment.run(&VERIFY), 0);
    assert!(!environment.read("leader").is_empty());
    assert_eq!(environment.read("group"), environment.read("leader"));
}

#[test]
fn a_hook_that_runs_out_of_time_is_ended_with_its_whole_group() {
    let children = "echo $$ > group; sleep 100 & (sleep 100; sleep 100) & echo waiting >&2";
    for script in [
        format!("{children}; wait"),
        format!("trap '' TERM INT HUP QUIT; {children}; sleep 100; touch survived"),
        format!("exec >&- <&-; {children}; exec 2>&-; wait"),
    ] {
        let hooks = format!("timeout_seconds = 1\n{}", hook("verified", &script));
        let environment = Environment::with_hooks("", &hooks);
        let run = environment.run(&VERIFY);
        expect_failure(&environment, run, &["/bin/sh", "ended after 1 s", "waiting"]);
        assert!(!environment.path("survived").exists(), "its time was not limited");
        environment.expect_no_hook_group();
    }
}

#[test]
fn a_hook_that_left_its_group_is_ended_all_the_same() {
    let script = "exec perl -e 'setpgrp 0, getpgrp getppid; sleep 1000'";
    let hooks = format!("timeout_seconds = 1\n{}", hook("verified", script));
    let environment = Environment::with_hooks("", &hooks);
    let mut command = environment.wrapped(&["timeout", "20"], &VERIFY);
    command.env("PATH", "/usr/bin:/bin");
    expect_failure(&environment, run_command(command), &["/bin/sh", "ended after 1 s"]);
}

#[test]
fn a_hook_that_became_another_user_is_said_to_run_still_where_it_cannot_be_ended() {
    // Only root can give a program away, and make one that changes its user as sudo does.
    if !is_root() {
        return;
    }
    let script = "echo $$ > group; exec ./as-another --reuid=65534 sleep 1000";
    let hooks = format!("timeout_seconds = 1\n{}", hook("verified", script));
    let environment = Environment::with_hooks("", &hooks);
    let install = ["install", "-o", "65534", "-m", "4755", "/usr/bin/setpriv", "as-another"];
    run_command(environment.tool(&install)).expect_code(0);
    let run = run_command(environment.without_privileges(&VERIFY));
    let reason = "it is still running after 1 s and can't be ended: Operation not permitted";
    expect_failure(&environment, run, &["/bin/sh", reason]);
    let kill = environment.tool(&["kill", environment.read("group").trim()]);
    run_command(kill).expect_code(0);
}

#[test]
fn what_a_hook_leaves_behind_is_left_alone_and_not_waited_for() {
    for (end, code) in [("exit 0", 0), ("echo 'last words' >&2; exit 6", 20)] {
        // It holds stdin, stdout and stderr of the hook open.
        let environment = Environment::with_hook("", &format!("sleep 100 & echo $! > left; {end}"));
        let run = expect_valid(environment.run(&VERIFY), code);
        assert_eq!(run.stderr.contains("last words"), code == 20, "{run:#?}");
        let left = environment.read("left");
        let command = fs::read_to_string(format!("/proc/{}/cmdline", left.trim()));
        assert!(command.is_ok_and(|words| words.starts_with("sleep")), "{left} was ended");
        let mut kill = environment.tool(&["kill", left.trim()]);
        assert!(kill.status().expect("it starts").success());
    }
}
