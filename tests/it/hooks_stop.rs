//! Hooks of a program that is asked to stop, and of one that is busy.

use crate::support::{
    Environment, Results, SEND_FILE, TOKEN, VERIFY, expect_valid, finish, hook, numbers,
    send_signal, signal_until_it_ends, wait_until,
};

/// Marks itself as begun, and ends well once the file `go` is there.
const WAIT_FOR_GO: &str = "touch begun.$$; until test -e go; do sleep 0.01; done; touch ended.$$";

/// Returns an environment on the console backend with `count` numbers in a file, and a hook `sent`.
fn sending(count: usize, script: &str) -> Environment {
    let environment = Environment::with_settings(&format!(
        "backend = \"console\"\n[hooks]\n{}",
        hook("sent", script)
    ));
    environment.write_numbers(&numbers(count));
    environment
}

/// Returns how many files of the environment have a name that starts with `prefix`.
fn count(environment: &Environment, prefix: &str) -> usize {
    environment.files().iter().filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn a_signal_ends_the_hook_of_a_verification_with_its_group() {
    for signal in ["INT", "TERM"] {
        let script = "trap '' INT TERM; sleep 100 & echo $$ > group.new; mv group.new group; wait; sleep 100";
        let environment = Environment::with_hook("", script);
        let program = environment.start(&VERIFY);
        wait_until("the hook has begun", || !environment.read("group").is_empty());
        send_signal(&program, signal);
        let run = expect_valid(finish(program), 20);
        assert!(
            run.stderr.starts_with("error: the hook `verified` (/bin/sh) failed: "),
            "{run:#?}"
        );
        assert!(run.stderr.contains("\nhint: "), "{run:#?}");
        assert_eq!(environment.state(TOKEN).is_verified, 1);
        environment.expect_no_hook_group();
    }
}

#[test]
fn a_terminal_that_closes_lets_the_hook_of_a_verification_end() {
    let environment = Environment::with_hook("", WAIT_FOR_GO);
    let program = environment.start(&VERIFY);
    wait_until("the hook has begun", || count(&environment, "begun.") == 1);
    send_signal(&program, "HUP");
    environment.write("go", "");
    expect_valid(finish(program), 0);
    assert_eq!(count(&environment, "ended."), 1);
}

#[test]
fn eight_hooks_run_at_once_while_the_send_goes_on() {
    let script = format!(
        "touch running.$$; ls | grep -c ^running > most.$$; {WAIT_FOR_GO}
         ls | grep -c ^running > most.$$; rm running.$$"
    );
    let environment = sending(20, &script);
    let mut program = environment.start(&SEND_FILE);
    let results = Results::from_program(&mut program);
    for _ in 0..20 {
        assert_eq!(results.next()["status"], "sent");
    }
    wait_until("eight hooks have begun", || count(&environment, "begun.") >= 8);
    environment.write("go", "");
    finish(program).expect_code(0);
    assert_eq!(count(&environment, "ended."), 20);
    let most = environment.files().into_iter().filter(|name| name.starts_with("most."));
    let most = most.map(|name| environment.read(&name).trim().parse::<usize>().expect("it"));
    assert_eq!(most.max(), Some(8));
}

#[test]
fn after_a_signal_the_hooks_of_what_was_sent_end_first() {
    let environment = sending(3, WAIT_FOR_GO);
    let program = environment.start(&SEND_FILE);
    wait_until("the hooks have begun", || count(&environment, "begun.") == 3);
    send_signal(&program, "TERM");
    environment.write("go", "");
    let run = finish(program).expect_code(143);
    assert_eq!(run.json_lines().len(), 3);
    assert!(!run.stderr.contains("error: "), "{run:#?}");
    assert_eq!(count(&environment, "ended."), 3);
}

#[test]
fn a_second_signal_ends_the_hooks_at_once() {
    let script =
        "trap '' INT TERM; sleep 100 & echo $$ > group.new; mv group.new group; wait; sleep 100";
    let environment = sending(1, script);
    let mut program = environment.start(&SEND_FILE);
    wait_until("the hook has begun", || !environment.read("group").is_empty());
    signal_until_it_ends(&mut program, "INT");
    finish(program).expect_code(130);
    environment.expect_no_hook_group();
    assert_eq!(environment.records().len(), 1);
}

#[test]
fn many_numbers_wait_for_slow_hooks_and_none_is_forgotten() {
    let environment = sending(300, WAIT_FOR_GO);
    let program = environment.start(&["--quiet", "send", "--file", "numbers.txt"]);
    wait_until("eight hooks have begun", || count(&environment, "begun.") == 8);
    environment.write("go", "");
    finish(program).expect_code(0);
    assert_eq!(count(&environment, "ended."), 300);
}
