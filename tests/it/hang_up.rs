//! A `send` whose terminal closes.

use crate::support::{
    SEND_FILE, accept_all, expect_settled, expect_the_rest_on_resume, finish, numbers, send_signal,
    set_up_four_in_flight, sorted, wait_for_arrivals, wait_until,
};

#[test]
fn a_terminal_that_hangs_up_asks_once_whatever_signal_follows() {
    for signals in [&["HUP", "HUP", "HUP"][..], &["HUP", "TERM"]] {
        let (provider, environment) = set_up_four_in_flight(100);
        let held = provider.hold(4);
        let program = environment.start(&SEND_FILE);
        wait_for_arrivals(&held);
        for signal in signals {
            send_signal(&program, signal);
        }
        accept_all(held);
        let run = finish(program).expect_code(129);
        assert_eq!(run.numbers_with("status", "sent").len(), 4, "{signals:?}");
        expect_settled(&provider, &environment);
    }
}

#[test]
fn when_its_terminal_is_gone_it_settles_what_was_in_flight() {
    let (provider, environment) = set_up_four_in_flight(100);
    let held = provider.hold(4);
    let mut terminal = environment.at_terminal(80, "exec phone-verify send --file numbers.txt");
    let mut terminal = terminal.spawn().expect("it starts");
    wait_for_arrivals(&held);
    terminal.kill().expect("it runs");
    terminal.wait().expect("it ends");
    accept_all(held);
    wait_until("what was in flight is settled, and what waited is gone", || {
        environment.count() == 4 && environment.numbers_in_state("sending").is_empty()
    });
    expect_settled(&provider, &environment);
    expect_the_rest_on_resume(&provider, &environment, 100);
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stops_nothing() {
    // A shell lets what it runs in the background ignore Ctrl-C.
    for (wrapper, signal) in [
        (&["/usr/bin/nohup"][..], "HUP"),
        (&["/usr/bin/env", "--ignore-signal=INT"], "INT"),
        (&["/usr/bin/env", "--ignore-signal=TERM"], "TERM"),
    ] {
        let (provider, environment) = set_up_four_in_flight(10);
        let held = provider.hold(4);
        let mut command = environment.wrapped(wrapper, &SEND_FILE);
        let program = command.spawn().expect("it starts");
        wait_for_arrivals(&held);
        send_signal(&program, signal);
        send_signal(&program, signal);
        accept_all(held);
        let run = finish(program).expect_code(0);
        assert_eq!(run.numbers_with("status", "sent"), sorted(numbers(10)), "{signal}");
    }
}
