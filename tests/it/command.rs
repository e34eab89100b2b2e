//! `backend = "command"`: what the program is given, and what its end means.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Environment, FakeProvider, NUMBER, Reply, Run, error_of, finish, refusal_of, run_command,
    wait_until,
};

fn environment(script: &str) -> Environment {
    Environment::with_sms_script(script, "", "")
}

/// Sends once with a program that accepts, and then with `script`, which may not be run again. Returns the environment, how
/// many records it has, and the second line.
#[track_caller]
fn second_send(script: &str, tables: &str) -> (Environment, usize, Value) {
    let environment = Environment::with_sms_script("echo 1", "", tables);
    environment.send(NUMBER);
    let earlier = environment.record();
    environment.write("sms", &format!("echo >>runs\n{script}"));
    let line = environment.send_json(1);
    assert_eq!(environment.read("runs"), "\n", "it was run again");
    environment.verify(&earlier).expect_code(0);
    let count = environment.records().len();
    (environment, count, line)
}

#[test]
fn the_program_gets_the_number_and_the_message_as_one_line_of_json() {
    let message = "message = '''\"{security_code}\" {{}} \\ + % é 🔑\nline\ttwo'''";
    let environment =
        Environment::with_sms_script("cat >stdin; printf '%s\\n' \"$@\" >arguments", message, "");
    let record = environment.send(NUMBER);
    let stdin = environment.read("stdin");
    assert!(stdin.ends_with('\n') && stdin.lines().count() == 1, "{stdin:?}");
    let told: Value = serde_json::from_str(&stdin).expect("JSON");
    let text = format!("\"{}\" {{}} \\ + % é 🔑\nline\ttwo", record.security_code);
    assert_eq!(told, json!({"phone_number": NUMBER, "message": text}));
    assert_eq!(environment.read("arguments"), "--from\na b\n");
}

#[test]
fn exit_0_is_accepted_and_the_first_line_of_stdout_is_the_message_id() {
    let long = "i".repeat(5000);
    for (script, message_id) in [
        ("echo SM-1", json!("SM-1")),
        ("printf 'SM-1'", json!("SM-1")),
        ("printf 'SM-1\\r\\nsecond\\n'", json!("SM-1")),
        ("printf ' SM\\033[31m-\\a1 \\n'", json!("SM[31m-1")),
        ("printf '\\377\\n'", json!("\u{fffd}")),
        ("", Value::Null),
        ("echo; echo second", Value::Null),
        (&format!("printf {long}"), json!("i".repeat(64))),
    ] {
        let environment = environment(&format!("{script}\necho 'words on stderr' >&2"));
        let line = environment.send_json(0);
        assert_eq!((&line["backend"], &line["message_id"]), (&json!("command"), &message_id));
        let row = environment.delivery();
        assert_eq!((row.backend.as_str(), row.state.as_str()), ("command", "accepted"));
        assert_eq!(row.message_id.as_deref(), message_id.as_str());
        environment.verify(&environment.record()).expect_code(0);
    }
}

#[test]
fn a_path_starts_from_the_settings_files_folder_and_a_name_from_path() {
    for command in ["./send-sms", "tools/../send-sms", "send-sms"] {
        let environment = Environment::with_settings("");
        fs::create_dir_all(environment.path("site/tools")).expect("folders");
        environment.write_program("site/send-sms", "#!/bin/sh\necho SM-6");
        let settings = format!("backend = \"command\"\n[options]\ncommand = [\"{command}\"]\n");
        environment.write("site/settings.toml", &settings);
        let arguments = ["--config", "site/settings.toml", "--format", "json", "send", NUMBER];
        let mut send = environment.command(&arguments);
        send.env("PATH", format!("{}:/usr/bin:/bin", environment.path("site").display()));
        assert_eq!(run_command(send).expect_code(0).json()["message_id"], "SM-6", "{command}");
    }
}

#[test]
fn a_program_that_need_not_be_told_is_not_told() {
    // It leaves before it could have read the whole message.
    let message = format!("message = \"{{security_code}}{}\"", "a".repeat(200_000));
    let environment = Environment::with_sms_script("exec <&-; echo 1", &message, "");
    environment.send(NUMBER);
}

#[test]
fn any_other_exit_is_refused_with_the_last_line_of_stderr_and_leaves_the_earlier_code() {
    for (script, code, words) in [
        ("echo no >&2; echo 'no such number' >&2; exit 1", "1", "no such number"),
        ("printf 'bad \\033[31mcolour\\n\\n  \\n' >&2; exit 2", "2", "bad [31mcolour"),
        ("echo 1; exit 255", "255", "the command says nothing, and it exited with 255"),
        ("exit 76", "76", "the command says nothing, and it exited with 76"),
        ("printf '\\377' >&2; exit 3", "3", "\u{fffd}"),
    ] {
        let (_, records, line) = second_send(script, "");
        assert_eq!(refusal_of(&line), ("rejected", Some(code), words));
        assert_eq!(records, 1);
    }
}

#[test]
fn in_text_a_refusal_is_an_error_in_the_programs_words() {
    let run = environment("echo 'no such number' >&2; exit 9").run(&["send", NUMBER]);
    let stderr = run.expect_code(1).stderr;
    for part in ["error: ", NUMBER, "command refused it", "no such number (9)"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn exit_75_is_tried_again_and_sent_once() {
    let environment = environment("cat >>stdin\nmkdir called 2>/dev/null && exit 75\necho SM-2");
    let line = environment.send_json(0);
    assert_eq!(line["message_id"], "SM-2");
    let stdin = environment.read("stdin");
    let orders: Vec<&str> = stdin.lines().collect();
    assert_eq!((orders.len(), orders[0]), (2, orders[1]));
    assert_eq!(environment.delivery().tries, 2);
}

#[test]
fn exit_75_to_the_end_is_unavailable_and_calls_the_second_provider() {
    let script = "echo >>runs; echo 'come back later' >&2; exit 75";
    let twice = "[delivery]\nmax_attempts = 2";
    let environment = Environment::with_sms_script(script, "", twice);
    let line = environment.send_json(1);
    assert_eq!(refusal_of(&line), ("unavailable", None, "come back later"));
    assert_eq!(environment.read("runs"), "\n\n");
    assert_eq!(environment.records(), []);

    let second = FakeProvider::twilio();
    let environment =
        Environment::with_sms_script(script, "", &format!("{twice}\n{}", second.fallback_tables()));
    assert_eq!(environment.send_json(0)["backend"], "twilio");
    assert_eq!(environment.states(), ["unavailable", "accepted"]);
}

#[test]
fn a_refusal_does_not_call_the_second_provider() {
    let second = FakeProvider::twilio().never_called();
    let environment = Environment::with_sms_script("exit 1", "", &second.fallback_tables());
    assert_eq!(error_of(&environment.send_json(1)).0, "rejected");
}

#[test]
fn the_program_may_be_the_second_provider() {
    let first = FakeProvider::twilio();
    first.always(Reply::twilio_error(401, 20003, "Authenticate"));
    let fallback =
        "[fallback]\nbackend = \"command\"\n[fallback.options]\ncommand = [\"/bin/sh\", \"sms\"]";
    let environment = first.environment_with("", fallback);
    environment.write("sms", "echo SM-3");
    let line = environment.send_json(0);
    assert_eq!((&line["backend"], &line["message_id"]), (&json!("command"), &json!("SM-3")));
    assert_eq!(environment.states(), ["rejected", "accepted"]);
}

#[test]
fn a_program_that_a_signal_ends_may_have_sent_it() {
    for (script, words) in [
        ("kill -TERM $$", "signal 15"),
        ("echo 'the gateway is gone' >&2; kill -KILL $$", "the gateway is gone"),
    ] {
        let (_, records, line) = second_send(script, "");
        assert_eq!(error_of(&line), ("unknown", None));
        let told = line["error"]["message"].as_str().expect("words");
        assert!(told.contains(words) && told.contains("may have sent it"), "{told}");
        assert!(line["session_token"].is_string());
        assert_eq!(records, 2);
    }
}

#[test]
fn out_of_time_its_whole_process_group_is_killed_and_the_outcome_is_unknown() {
    let script = "sleep 1000 & echo $! >child; echo $$ >parent; wait";
    let (environment, records, line) = second_send(script, "[delivery]\ntimeout_seconds = 2");
    assert_eq!(error_of(&line), ("unknown", None));
    let told = line["error"]["message"].as_str().expect("words");
    assert!(told.contains("ended after 2 s"), "{told}");
    assert_eq!(records, 2);
    for name in ["parent", "child"] {
        let process = format!("/proc/{}/cmdline", environment.read(name).trim());
        // A killed child that nobody has waited for yet has no arguments any more.
        wait_until("it is gone", || fs::read(&process).map_or(true, |line| line.is_empty()));
    }
}

#[test]
fn megabytes_of_output_are_read_and_not_kept() {
    let megabytes = "head -c 20000000 /dev/zero | tr '\\0' x";
    let environment = environment(&format!("{megabytes}; {megabytes} >&2; echo; echo 1"));
    let message_id = environment.send_json(0)["message_id"].as_str().map(str::len);
    assert_eq!(message_id, Some(64));
    environment.write("sms", &format!("{megabytes} >&2; echo >&2; echo 'too much' >&2; exit 1"));
    assert_eq!(environment.send_json(1)["error"]["message"], "too much");
    environment.write("sms", &format!("{megabytes} >&2; exit 1"));
    let told = environment.send_json(1)["error"]["message"].as_str().map(str::len);
    assert_eq!(told, Some(500));
}

#[test]
fn its_end_is_known_where_whoever_started_phone_verify_ignores_the_end_of_children() {
    let environment = environment("echo SM-7");
    let ignoring = ["env", "--ignore-signal=CHLD"];
    let run = run_command(environment.wrapped(&ignoring, &["--format", "json", "send", NUMBER]));
    assert_eq!(run.expect_code(0).json()["message_id"], "SM-7");
}

#[test]
fn what_the_program_leaves_running_holds_nothing_up() {
    let environment = environment("sleep 1000 & echo $! >child; echo SM-4");
    assert_eq!(environment.send_json(0)["message_id"], "SM-4");
    let child = environment.read("child");
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", child.trim()));
    assert!(arguments.is_ok_and(|arguments| arguments.contains("1000")), "it was killed");
    run_command(environment.tool(&["/bin/sh", "-c", &format!("kill {child}")])).expect_code(0);
}

#[test]
fn the_code_is_masked_wherever_the_program_repeats_it() {
    for script in ["cat >&2; exit 1", "cat; exit 0", "cat >&2; kill $$"] {
        let message = "message = \"{security_code}\"\ntoken_length = 12";
        let environment =
            Environment::with_sms_script(&format!("tee stdin | {script}"), message, "");
        let Run { stdout, stderr, .. } =
            environment.run(&["-vvv", "--format", "json", "send", NUMBER]);
        let order: Value = serde_json::from_str(&environment.read("stdin")).expect("JSON");
        let code = order["message"].as_str().expect("the code alone");
        assert!(!stdout.contains(code) && !stderr.contains(code), "{script}: {stdout}{stderr}");
        assert!(stdout.contains("***"), "{script}: {stdout}");
        let row = format!("{:?}", environment.delivery());
        assert!(!row.contains(code), "{row}");
    }
}

#[test]
fn the_code_is_in_no_argument_and_no_environment_of_any_process() {
    let gathers = "cat /proc/*/cmdline /proc/*/environ >processes 2>/dev/null; cat >stdin";
    let environment = Environment::with_sms_script(gathers, "token_length = 12", "");
    let code = environment.send(NUMBER).security_code;
    assert!(environment.read("stdin").contains(&code));
    let processes = fs::read(environment.path("processes")).expect("they were gathered");
    let processes = String::from_utf8_lossy(&processes);
    assert!(processes.contains("--from") && !processes.contains(&code), "a process has the code");
}

#[test]
fn the_program_inherits_the_environment_without_the_secrets_of_the_settings() {
    let keys = "secret_key = { env = \"SITE_SECRET\" }";
    let second = "[fallback]\nbackend = \"twilio\"\n[fallback.options]\nsid = \"AC\"\n\
        secret = { env = \"TWILIO_SECRET\" }\nfrom = \"+14755292729\"";
    let environment = Environment::with_sms_script("env >variables", keys, second);
    let mut command = environment.command(&["send", NUMBER]);
    command.env("SITE_SECRET", "s3cret-1").env("TWILIO_SECRET", "s3cret-2").env("GATEWAY", "g-1");
    run_command(command).expect_code(0);
    let variables = environment.read("variables");
    assert!(variables.contains("GATEWAY=g-1\n") && variables.contains("HOME="), "{variables}");
    assert!(!variables.contains("SECRET") && !variables.contains("s3cret"), "{variables}");
}

#[test]
fn fifty_programs_run_side_by_side() {
    let numbers: Vec<String> = (100..150).map(|last| format!("+12025550{last}")).collect();
    // Each waits until all of them have begun.
    let script = "read -r order; echo \"$order\" >>orders
        while [ \"$(wc -l <orders)\" -lt 50 ]; do sleep 0.05; done; echo \"SM-$$\"";
    let environment = Environment::with_sms_script(
        script,
        "",
        "[delivery]\nmax_in_flight = 50\ntimeout_seconds = 60",
    );
    let mut arguments = vec!["--format", "json", "send"];
    arguments.extend(numbers.iter().map(String::as_str));
    let lines = environment.run(&arguments).expect_code(0).json_lines();
    let mut ids: Vec<_> = lines.iter().map(|line| line["message_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((lines.len(), ids.len(), environment.records().len()), (50, 50, 50));
    let orders = environment.read("orders");
    for record in environment.records() {
        let order = orders.lines().find(|order| order.contains(&record.phone_number));
        assert!(order.expect("an order").contains(&record.security_code));
    }
}

#[test]
fn killed_while_the_program_runs_the_record_is_there_and_the_ledger_says_sending() {
    let environment = environment("cat >stdin; while [ -e phone-verify.toml ]; do sleep 0.1; done");
    let mut program = environment.start(&["send", NUMBER]);
    wait_until("the program is told", || environment.read("stdin").ends_with('\n'));
    program.kill().expect("it still runs");
    assert_eq!(finish(program).code, None);
    let record = environment.record();
    assert!(environment.read("stdin").contains(&record.security_code));
    assert_eq!(environment.states(), ["sending"]);
    let status = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    assert!(status.contains("sending through command, no call was counted"), "{status}");
    environment.verify(&record).expect_code(0);
}

#[test]
fn neither_status_nor_wait_can_ask_it_what_became_of_a_message() {
    let environment = environment("echo SM-5");
    let run = environment.run(&["send", NUMBER, "--wait=1"]).expect_code(0);
    assert!(run.stderr.contains("command has no call that reports"), "{run:#?}");
    let run = environment.run(&["status", NUMBER, "--refresh"]).expect_code(0);
    assert!(run.stderr.contains("command has no call that reports"), "{run:#?}");
    for part in ["accepted through command", "SM-5"] {
        assert!(run.stdout.contains(part), "{run:#?}");
    }
}

#[test]
fn settings_that_name_no_program_are_refused_by_file_line_and_key() {
    for (options, key) in [
        ("", "options.command"),
        ("command = []", "options.command"),
        ("command = [\"\"]", "options.command"),
        ("command = \"sms\"", "options.command"),
        ("command = [\"sms\", 5]", "options.command"),
        ("command = [\"sms\", \"a\\u0000b\"]", "options.command"),
        ("command = [\"sms\"]\ntimeout_seconds = 5", "options.timeout_seconds"),
    ] {
        let settings = format!("backend = \"command\"\n[options]\n{options}\n");
        let environment = Environment::with_settings(&settings);
        let stderr = environment.run(&["send", NUMBER]).expect_code(2).stderr;
        for part in ["phone-verify.toml, line ", &format!("`{key}`")] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        environment.expect_no_database();
    }
}
