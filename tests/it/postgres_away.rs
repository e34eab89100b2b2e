//! A send whose PostgreSQL server goes away for good: what became of each number is said, and nobody is sent to twice.

use std::collections::BTreeSet;

use crate::support::postgres::{Database, Server};
use crate::support::{
    FakeProvider, NUMBER, Reply, Results, Run, code_in, finish, numbers, run_command,
    send_file_with, set_up_four_in_flight, sorted, wait_for_arrivals,
};

/// What the warning at the end says.
const RESUME: &str = "isn't stored, so --resume may skip them as unknown; ";

/// Returns how many lines of stderr begin with `start`.
fn count(run: &Run, start: &str) -> usize {
    run.stderr.lines().filter(|line| line.starts_with(start)).count()
}

fn states(database: &Database) -> Vec<String> {
    database.column("SELECT DISTINCT state FROM sms_delivery ORDER BY state")
}

/// Lets the server refuse an outcome as it does when it has waited for a lock in vain.
const REFUSE_OUTCOMES: &str =
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE lock_not_available;
     END $$;
     CREATE TRIGGER refuse BEFORE UPDATE ON sms_delivery EXECUTE FUNCTION refuse()";

#[test]
fn an_outcome_that_waits_for_a_lock_in_vain_says_what_became_of_the_number() {
    let Some(server) = Server::start(&["log_statement=all"]) else { return };
    let database = server.database();
    database.migrate();
    database.query(REFUSE_OUTCOMES);
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let send = ["--format", "json", "send", NUMBER];
    let run = run_command(environment.on(&database.url(), &send)).expect_code(1);
    let result = run.json();
    assert_eq!((&result["status"], &result["stored"]), (&"sent".into(), &false.into()), "{run:#?}");
    let error = format!("error: {NUMBER} was sent, but that can't be stored: database ");
    assert!(run.stderr.starts_with(&error), "{run:#?}");
    assert!(run.stderr.contains("another session has held its lock for too long"), "{run:#?}");
    assert_eq!(states(&database), ["sending"]);
    database.query("DROP TRIGGER refuse ON sms_delivery");
    let code = code_in(&provider.accepted()[0].text).to_owned();
    let verify = ["verify", NUMBER, &code, "--any-session"];
    run_command(environment.on(&database.url(), &verify)).expect_code(0);
    // It has waited as long as the reference says.
    let log = std::fs::read_to_string(server.directory().join("log")).expect("a log");
    for (statement, timeout) in [("INSERT INTO sms_delivery", "10000"), ("ERROR:  ", "60000")] {
        let before = log.split(statement).next().expect("a part");
        let last = before.rsplit("BEGIN ISOLATION").next().expect("a part");
        assert!(last.contains(&format!("SET LOCAL lock_timeout = {timeout};")), "{last}");
    }
}

/// Waits for the 30 seconds that a server may be away.
#[test]
fn a_server_that_does_not_come_back_leaves_no_number_unexplained() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    database.migrate();
    let (provider, environment) = set_up_four_in_flight(60);
    let mut held = provider.hold(4);
    let send = |options: &[&str]| environment.on(&database.url(), &send_file_with(options));
    let program = send(&["--failures", "failed.csv"]).spawn().expect("the program starts");
    let watch = ["--format", "json", "deliveries", "--watch=1"];
    let mut watching = environment.on(&database.url(), &watch).spawn().expect("the program starts");
    Results::from_program(&mut watching).next();
    wait_for_arrivals(&held);
    server.kill();
    held.pop().expect("four").release(Reply::close().although_accepted());
    held.pop().expect("three").release(Reply::twilio_error(
        400,
        21211,
        "Invalid 'To' Phone Number",
    ));
    held.into_iter().for_each(|held| held.release(Reply::accept()));
    let run = finish(program).expect_code(3);
    let watched = finish(watching).expect_code(1);
    let start = format!("error: database {} at socket ", database.url());
    assert_eq!(count(&watched, &start), 1, "{watched:#?}");

    let mut of_file = Vec::new();
    let mut unknown = 0;
    for (line, result) in run.by_line() {
        let number = result["phone_number"].as_str().expect("a number");
        let kind = result["error"]["kind"].as_str();
        let explained = |words: &str| {
            let start = format!("error: line {line}: {words}");
            let lines: Vec<_> =
                run.stderr.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(lines.len(), 1, "{result}: {run:#?}");
            lines[0].to_owned()
        };
        if result.get("stored").is_none() {
            // It had no record yet when the run ended.
            assert_eq!(result["error"]["message"], "the run ended before it was sent", "{run:#?}");
            assert_eq!(count(&run, &format!("error: line {line}: ")), 0, "{run:#?}");
            continue;
        }
        assert_eq!(result["stored"], false);
        let unstored = match (result["status"].as_str(), kind) {
            (Some("sent"), _) => {
                explained(&format!("{number} was sent, but that can't be stored: database "))
            }
            (_, Some("unknown")) => {
                unknown += 1;
                explained(&format!("the SMS to {number} may or may not arrive: "));
                explained(&format!("{number}: what became of it can't be stored: database "))
            }
            (_, Some("rejected" | "unavailable")) => {
                of_file.push(number.to_owned());
                explained(&format!("{number} was not sent: "))
            }
            _ => panic!("{result}"),
        };
        assert!(kind.is_some() || unstored.contains("can't connect"), "{unstored}");
    }
    let sent = run.numbers_with("status", "sent");
    assert!(sent.len() >= 2 && unknown == 1, "{run:#?}");
    assert!(provider.accepted().len() == sent.len() + 1, "one is unknown");
    assert_eq!(count(&run, "hint: check the server's name and port"), 1, "{run:#?}");
    let summary = format!("note: {0} sent ({0} not stored), ", sent.len());
    assert_eq!(count(&run, &summary), 1, "{run:#?}");
    assert!(run.stderr.contains(RESUME), "{run:#?}");
    let file = environment.read("failed.csv");
    let in_file = file.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned());
    assert_eq!(sorted(in_file), sorted(of_file));

    server.restart();
    assert_eq!(states(&database), ["sending"]);
    let resumed = run_command(send(&["--resume"])).expect_code(3);
    let skipped: BTreeSet<_> =
        resumed.numbers_with("reason", "unknown_outcome").into_iter().collect();
    assert!(sent.iter().all(|number| skipped.contains(number)), "{resumed:#?}");
    let accepted = provider.accepted_numbers();
    let distinct: BTreeSet<_> = accepted.iter().cloned().collect();
    assert_eq!(accepted.len(), distinct.len(), "none is sent to twice");
    assert!(numbers(60).iter().all(|number| distinct.contains(number) || skipped.contains(number)));
}
