//! The program on a PostgreSQL server whose connection is lost, or which is killed: everything happens once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::thread;

use crate::support::postgres::{Database, Kind, Server};
use crate::support::postgres_proxy::{Cut, Proxy};
use crate::support::{
    Environment, FakeProvider, NUMBER, Reply, Run, SEND_FILE, VERIFY, code_in, finish, numbers,
    run_command, send_file_with, sorted,
};

/// What the ledger has of each number, with whether its record is there.
const LEDGER: &str =
    "SELECT delivery.phone_number || ' ' || state || ' ' || (record.id IS NOT NULL)
    FROM sms_delivery AS delivery LEFT JOIN sms_verification AS record
        ON record.id = verification_id AND record.phone_number = delivery.phone_number
    ORDER BY delivery.phone_number, delivery.id";

/// Runs the program with a connection that is cut at one message after the other. While it connects for the first time, it may
/// end with an error; later it may not.
fn cut_at_each_message(
    proxy: &Proxy,
    environment: &Environment,
    step: usize,
    arguments: &[&str],
    prepare: impl Fn(),
    check: impl Fn(Run, Cut),
) {
    for kind in [Cut::Before, Cut::After] {
        let mut has_connected = false;
        for number in (1..).step_by(step) {
            prepare();
            let cut = kind(number);
            proxy.cut(cut);
            let run = run_command(environment.on(proxy.url(), arguments));
            let has_cut = proxy.has_cut();
            if run.code == Some(1) && !has_connected {
                assert!(run.stderr.contains("error: database "), "{cut:?}: {run:#?}");
                continue;
            }
            has_connected = true;
            check(run, cut);
            if !has_cut {
                break;
            }
        }
    }
}

#[test]
fn a_right_code_is_valid_whenever_the_connection_is_lost() {
    let Some(database) = Kind::Plain.database() else { return };
    database.migrate();
    let environment = Environment::with_settings("backend = \"console\"");
    let proxy = Proxy::start(&database);
    let prepare = || {
        database.truncate();
        database.insert_record();
    };
    cut_at_each_message(&proxy, &environment, 2, &VERIFY, prepare, |run, cut| {
        assert_eq!(run.code, Some(0), "{cut:?}: {run:#?}");
        assert_eq!(run.stderr, "", "{cut:?}");
        let state = "SELECT is_verified || ' ' || failed_attempts FROM sms_verification";
        assert_eq!(database.column(state), ["true 0"], "{cut:?}");
    });
}

/// Asserts that each of `numbers` was sent to once, with the code of its record, and that the ledger says so.
#[track_caller]
fn expect_each_sent_once(database: &Database, provider: &FakeProvider, numbers: &[String]) {
    assert_eq!(provider.requested_numbers(), sorted(numbers.to_vec()));
    let numbers_and_codes = "SELECT phone_number || ' ' || security_code FROM sms_verification";
    let stored: BTreeSet<_> = database.column(numbers_and_codes).into_iter().collect();
    assert_eq!(stored.len(), numbers.len());
    for accepted in provider.accepted() {
        let stored_as = format!("{} {}", accepted.phone_number, code_in(&accepted.text));
        assert!(stored.contains(&stored_as), "{stored_as}");
    }
    let expected = numbers.iter().map(|number| format!("{number} accepted true"));
    assert_eq!(database.column(LEDGER), sorted(expected));
}

#[test]
fn an_sms_leaves_once_and_never_without_its_record_whenever_the_connection_is_lost() {
    for (kind, options) in [
        (Kind::Plain, &[][..]),
        (Kind::Plain, &["--resume"]),
        (Kind::Pooled, &[]),
        (Kind::Pooled, &["--resume"]),
    ] {
        let Some(database) = kind.database() else { continue };
        database.migrate();
        let proxy = Proxy::start(&database);
        let numbers = numbers(3);
        for offset in [Cut::Before as fn(usize) -> Cut, Cut::After] {
            for number in (1..).step_by(11) {
                database.truncate();
                let provider = FakeProvider::twilio();
                let environment = provider.environment();
                environment.write_numbers(&numbers);
                let cut = offset(number);
                proxy.cut(cut);
                let run = run_command(environment.on(proxy.url(), &send_file_with(options)));
                let has_cut = proxy.has_cut();
                if run.code == Some(1) && provider.requests().is_empty() {
                    // It couldn't connect: it does so once to look at the list, and once to send.
                    assert!(
                        run.stderr.starts_with("error: database "),
                        "{kind:?}, {cut:?}: {run:#?}"
                    );
                    assert_eq!(database.column(LEDGER), [""; 0]);
                    drop(provider.never_called());
                    continue;
                }
                assert_eq!(run.code, Some(0), "{kind:?}, {cut:?}: {run:#?}");
                expect_each_sent_once(&database, &provider, &numbers);
                if !has_cut {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_server_that_is_killed_during_a_bulk_send_loses_no_number_and_sends_to_none_twice() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    database.migrate();
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 20");
    let numbers = numbers(600);
    environment.write_numbers(&numbers);
    let mut command = environment.on(&database.url(), &SEND_FILE);
    let program = command.spawn().expect("the program starts");
    for requests in [50, 200, 400] {
        provider.wait_until("some numbers are sent to", |log| log.requests.len() >= requests);
        server.kill();
        server.restart();
    }
    let run = finish(program).expect_code(0);
    assert_eq!(run.numbers_with("status", "sent"), sorted(numbers.clone()));
    expect_each_sent_once(&database, &provider, &numbers);
}

#[test]
fn a_server_that_is_stopped_between_a_send_and_its_outcome_gets_the_outcome_later() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    database.migrate();
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    let mut command = environment.on(&database.url(), &["--format", "json", "send", NUMBER]);
    let program = command.spawn().expect("the program starts");
    held.wait_for_arrival();
    server.stop();
    held.release(Reply::accept());
    thread::scope(|scope| {
        let ended = scope.spawn(|| finish(program));
        server.restart();
        ended.join().expect("it ends").expect_code(0);
    });
    expect_each_sent_once(&database, &provider, &[NUMBER.to_owned()]);
    let code = database.column("SELECT security_code FROM sms_verification").remove(0);
    let verify = ["verify", NUMBER, &code, "--any-session"];
    run_command(environment.on(&database.url(), &verify)).expect_code(0);
}

#[test]
fn a_watched_list_goes_on_when_the_server_is_back() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    database.migrate();
    let environment = Environment::with_settings("backend = \"console\"\n");
    let send = |number| run_command(environment.on(&database.url(), &["send", number]));
    send("+12025550101").expect_code(0);
    let watch = ["--format", "json", "list", "--watch=1", "--since", "1h"];
    let mut child = environment.on(&database.url(), &watch).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("stdout is UTF-8");
    assert!(next().contains("+12025550101"));
    server.stop();
    server.restart();
    send("+12025550102").expect_code(0);
    assert!(next().contains("+12025550102"));
    child.kill().expect("it is still running");
    child.wait().expect("it ends");
}
