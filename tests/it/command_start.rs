//! `backend = "command"`: where the program can't be started.

use std::io::{BufRead, BufReader, Read};

use crate::support::{
    Environment, FakeProvider, NUMBER, SEND_FILE, error_of, finish, numbers, run_command,
};

#[test]
fn a_program_that_cannot_be_started_is_unavailable_and_not_tried_again() {
    let second = FakeProvider::twilio();
    for (command, reason) in [
        ("[\"./missing\"]", "./missing"),
        ("[\"no-such-program-in-path\"]", "no-such-program-in-path"),
        ("[\"./phone-verify.toml\"]", "ermission"),
        ("[\"./from-windows\"]", "the interpreter that it names doesn't exist"),
    ] {
        let settings = format!("backend = \"command\"\n[options]\ncommand = {command}\n");
        let environment = Environment::with_settings(&settings);
        environment.write("from-windows", "#!/bin/sh\r\n");
        environment.set_mode("from-windows", 0o700);
        let line = environment.send_json(1);
        assert_eq!(error_of(&line), ("unavailable", None));
        let told = line["error"]["message"].as_str().expect("words");
        assert!(told.contains("can't be started") && told.contains(reason), "{told}");
        assert_eq!((environment.records().len(), environment.delivery().tries), (0, 1));
        let stderr = environment.run(&["send", NUMBER]).expect_code(1).stderr;
        assert!(stderr.contains("hint: check `command`"), "{stderr}");
        assert!(!stderr.contains("again"), "another time is no better: {stderr}");

        environment.write("phone-verify.toml", &format!("{settings}{}", second.fallback_tables()));
        assert_eq!(environment.send_json(0)["backend"], "twilio");
    }
}

#[test]
fn where_no_more_programs_can_be_started_for_a_moment_it_is_tried_again_and_nobody_else_is_paid() {
    const COUNT: usize = 60;
    let second = FakeProvider::twilio().never_called();
    let patient = "[delivery]\nmax_in_flight = 60\nmax_attempts = 1000\ntimeout_seconds = 600";
    // Each holds its place until one has found none.
    let script = "cat >/dev/null; until test -e go; do sleep 0.05; done; echo SM-8";
    let tables = format!("{patient}\n{}", second.fallback_tables());
    let environment = Environment::with_sms_script(script, "", &tables);
    environment.write_numbers(&numbers(COUNT));
    let few_files = environment.after_shell("ulimit -n 96", &[&["-v"], &SEND_FILE[..]].concat());
    let mut program = { few_files }.spawn().expect("the program starts");
    let mut stderr = BufReader::new(program.stderr.take().expect("stderr is piped"));
    let mut told = String::new();
    while !told.contains("trying again") && !told.contains("error: ") {
        assert_ne!(stderr.read_line(&mut told).expect("text"), 0, "it never happened: {told}");
    }
    environment.write("go", "");
    stderr.read_to_string(&mut told).expect("text");
    let lines = finish(program).expect_code(0).json_lines();
    assert!(lines.iter().all(|line| line["message_id"] == "SM-8"), "{told}");
    let rows = environment.deliveries();
    assert_eq!((lines.len(), rows.len()), (COUNT, COUNT));
    assert!(rows.iter().any(|row| row.tries > 1), "{told}");
}

#[test]
fn many_sms_in_flight_leave_the_database_the_files_that_it_needs() {
    const COUNT: usize = 40;
    // Each waits for all the others.
    let script = "cat >/dev/null; touch called-$$; until [ $(ls called-* | wc -l) = 40 ]; do sleep 0.1; done";
    let tables = "[delivery]\nmax_in_flight = 40\ntimeout_seconds = 120";
    let environment = Environment::with_sms_script(script, "", tables);
    environment.run(&["migrate"]).expect_code(0);
    // As in a Django site's database, each transaction opens a journal.
    environment.execute(&["PRAGMA journal_mode = delete"]);
    environment.write_numbers(&numbers(COUNT));
    run_command(environment.after_shell("ulimit -Sn 96", &SEND_FILE)).expect_code(0);
    assert_eq!(environment.states(), vec!["accepted"; COUNT]);
}
