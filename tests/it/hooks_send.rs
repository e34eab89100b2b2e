//! The hooks of a `send`: each number's outcome is told once, and a hook that fails changes nothing of it.

use serde_json::{Value, json};

use crate::support::{
    Environment, FakeProvider, INVALID, KEEP, NUMBER, OTHER_NUMBER, Reply, Run, add_dashes,
    error_of, hook, numbers, sorted,
};

/// Returns the hooks `sent` and `failed` that both run `script`.
fn both_hooks(script: &str) -> String {
    format!("[hooks]\n{}{}", hook("sent", script), hook("failed", script))
}

/// Returns an environment of `provider` whose hooks keep what they are told.
fn keeping(provider: &FakeProvider) -> Environment {
    provider.environment_with("", &both_hooks(KEEP))
}

/// Returns an environment on the console backend whose hooks `sent` and `failed` run `script`.
fn console(script: &str) -> Environment {
    Environment::with_settings(&format!("backend = \"console\"\n{}", both_hooks(script)))
}

/// Sends to [`NUMBER`], which has to end with `code`, and returns the result and the only thing that was told of it.
#[track_caller]
fn send(environment: &Environment, code: i32) -> (Value, Value) {
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(code);
    let mut told = environment.hook_events();
    assert_eq!(told.len(), 1, "{told:#?}");
    (run.json(), told.remove(0))
}

/// Returns a provider that refuses the numbers for which `is_refused` returns true.
fn refusing(is_refused: fn(&str) -> bool) -> FakeProvider {
    let provider = FakeProvider::twilio();
    provider.answer_with(move |request| match is_refused(&request.field("To")) {
        true => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        false => Reply::accept(),
    });
    provider
}

#[test]
fn an_accepted_number_is_told_to_sent() {
    let provider = FakeProvider::twilio();
    let environment = keeping(&provider);
    let (line, _) = send(&environment, 0);
    let record = environment.record();
    assert_eq!(line["session_token"], record.session_token.as_str());
    assert_eq!(
        environment.read("events"),
        format!(
            "{{\"event\":\"sent\",\"id\":\"{}\",\"phone_number\":\"{NUMBER}\",\"session_token\":\"{}\",\
             \"verified_at\":null,\"first_time\":null,\"error\":null}}\n",
            add_dashes(&record.id),
            record.session_token
        )
    );
}

#[test]
fn a_refused_number_is_told_to_failed_with_kind_and_code() {
    for (reply, kind, code) in [
        (Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"), "rejected", "21211"),
        (Reply::twilio_error(503, 20503, "Service Unavailable"), "unavailable", "20503"),
    ] {
        let provider = FakeProvider::twilio();
        provider.always(reply);
        let tables = format!("[delivery]\nmax_attempts = 1\n{}", both_hooks(KEEP));
        let environment = provider.environment_with("", &tables);
        let (line, event) = send(&environment, 1);
        assert_eq!(error_of(&line), (kind, Some(code)));
        let expected = json!({
            "event": "failed",
            "id": add_dashes(&environment.delivery().verification_id),
            "phone_number": NUMBER,
            "session_token": null,
            "verified_at": null,
            "first_time": null,
            "error": {"kind": kind, "code": code},
        });
        assert_eq!(event, expected);
        assert_eq!(environment.records(), []);
    }
}

#[test]
fn an_unknown_outcome_is_told_with_the_token_of_the_code_that_may_arrive() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::close().although_accepted());
    let environment = keeping(&provider);
    let (line, event) = send(&environment, 1);
    let record = environment.record();
    assert_eq!(error_of(&line), ("unknown", None));
    assert_eq!(event["event"], "failed");
    assert_eq!(event["id"], add_dashes(&record.id));
    assert_eq!(event["session_token"], record.session_token.as_str());
    assert_eq!(event["error"], json!({"kind": "unknown", "code": null}));
    environment.verify(&record).expect_code(0);
}

#[test]
fn a_message_that_did_not_arrive_is_told_to_failed_with_its_token() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::undelivered("undelivered", 30003, None));
    let environment = keeping(&provider);
    environment.run(&["send", NUMBER, "--wait"]).expect_code(1);
    let told = environment.hook_events();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["event"], "failed");
    assert_eq!(told[0]["error"], json!({"kind": "undelivered", "code": "30003"}));
    assert_eq!(told[0]["session_token"], environment.record().session_token.as_str());
}

#[test]
fn a_number_without_a_record_is_told_without_an_id() {
    let environment = Environment::with_settings(&format!(
        "backend = \"console\"\n[limits]\nallowed_regions = [\"US\"]\n{}",
        both_hooks(KEEP)
    ));
    for (number, kind, code) in [
        (INVALID, "invalid_number", 2),
        ("who?", "invalid_number", 2),
        ("+442079460018", "limited", 1),
    ] {
        environment.run(&["send", number]).expect_code(code);
        let expected = json!({
            "event": "failed",
            "id": null,
            "phone_number": number,
            "session_token": null,
            "verified_at": null,
            "first_time": null,
            "error": {"kind": kind, "code": null},
        });
        assert_eq!(environment.hook_events().pop(), Some(expected));
    }
}

#[test]
fn a_line_that_cannot_be_sent_is_told_as_it_was_given() {
    let environment = Environment::with_settings(&format!(
        "backend = \"console\"\nmessage = \"{{name}}: {{security_code}}\"\n{}",
        both_hooks(KEEP)
    ));
    let text = format!("phone_number,name\n{NUMBER},\"Ada\"\n{OTHER_NUMBER}\n");
    environment.send_text(&text, &[]).expect_code(3);
    let told = environment.hook_events();
    assert_eq!(told.len(), 2, "{told:#?}");
    let failed = told.iter().find(|event| event["event"] == "failed").expect("the second line");
    assert_eq!(failed["error"], json!({"kind": "invalid_line", "code": null}));
}

#[test]
fn what_is_skipped_is_not_told() {
    let environment = console(KEEP);
    environment.run(&["send", NUMBER, NUMBER]).expect_code(0);
    assert_eq!(environment.hook_events().len(), 1);
    environment.run(&["send", NUMBER, "--resume"]).expect_code(0);
    assert_eq!(environment.hook_events().len(), 1);
}

#[test]
fn a_dry_run_tells_nothing() {
    let environment = console(KEEP);
    environment.run(&["send", NUMBER, INVALID, "--dry-run"]).expect_code(3);
    assert_eq!(environment.hook_events(), [Value::Null; 0]);
}

#[test]
fn no_hooks_sends_without_the_hooks() {
    let environment = console(KEEP);
    environment.run(&["send", NUMBER, INVALID, "--no-hooks"]).expect_code(3);
    assert_eq!(environment.hook_events(), [Value::Null; 0]);
    assert_eq!(environment.records().len(), 1);
}

#[test]
fn each_outcome_goes_to_its_own_hook() {
    for (event, number) in [("sent", NUMBER), ("failed", INVALID)] {
        let environment = Environment::with_settings(&format!(
            "backend = \"console\"\n[hooks]\n{}",
            hook(event, KEEP)
        ));
        environment.run(&["send", NUMBER, INVALID]).expect_code(3);
        let told = environment.hook_events();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0]["phone_number"], number);
    }
}

#[test]
fn the_hook_runs_once_the_send_is_settled() {
    let program = env!("CARGO_BIN_EXE_phone-verify");
    let script = format!(
        "'{program}' --format json list > listed
         '{program}' --format json status {NUMBER} > events
         '{program}' migrate; echo $? > migrated"
    );
    let environment = console(&script);
    environment.run(&["send", NUMBER, "--no-hooks"]).expect_code(0);
    environment.run(&["send", NUMBER]).expect_code(0);
    let listed: Value = serde_json::from_str(&environment.read("listed")).expect("one record");
    assert_eq!(listed["session_token"], environment.record().session_token.as_str());
    assert!(environment.read("events").contains("accepted"), "{}", environment.read("events"));
    assert_eq!(environment.read("migrated"), "0\n");
}

#[test]
fn fifty_numbers_are_each_told_once_with_their_own_id() {
    let provider = refusing(|number| number.ends_with('7'));
    let environment = keeping(&provider);
    let numbers = numbers(50);
    environment.send_text(&(numbers.join("\n") + "\n"), &[]).expect_code(3);
    let (failed, sent): (Vec<_>, Vec<_>) =
        environment.hook_events().into_iter().partition(|event| event["event"] == "failed");
    assert_eq!((sent.len(), failed.len()), (45, 5));
    let number_of = |event: &Value| event["phone_number"].as_str().expect("a number").to_owned();
    assert_eq!(sorted(sent.iter().chain(&failed).map(number_of)), sorted(numbers));
    for event in &sent {
        let record = environment.record_of_token(event["session_token"].as_str().expect("it"));
        assert_eq!(event["id"], add_dashes(&record.id));
        assert_eq!(event["phone_number"], record.phone_number.as_str());
    }
    let deliveries = environment.deliveries();
    for event in &failed {
        let number = number_of(event);
        let delivery = deliveries.iter().find(|delivery| delivery.phone_number == number);
        assert_eq!(event["id"], add_dashes(&delivery.expect("it was tried").verification_id));
    }
}

/// Asserts that `run` names the hook `event`, the number and the last words of the hook, each once for each of `numbers`.
#[track_caller]
fn expect_hook_errors(run: &Run, event: &str, numbers: &[&str]) {
    let errors: Vec<_> = run.stderr.lines().filter(|line| line.contains("the hook `")).collect();
    assert_eq!(errors.len(), numbers.len(), "{run:#?}");
    for number in numbers {
        let error = errors.iter().find(|line| line.contains(number));
        let error = error.unwrap_or_else(|| panic!("{number} is not named: {run:#?}"));
        for part in ["error: ", &format!("`{event}`"), "/bin/sh", "exited with 9", "no luck"] {
            assert!(error.contains(part), "{part} is missing: {run:#?}");
        }
    }
    let hints =
        run.stderr.lines().filter(|line| line.starts_with("hint: ") && line.contains("hook"));
    assert_eq!(hints.count(), numbers.len(), "{run:#?}");
}

const NO_LUCK: &str = "echo no luck >&2; exit 9";

#[test]
fn a_failed_hook_is_the_exit_code_where_everything_was_sent() {
    let environment = console(NO_LUCK);
    let run = environment.run(&["--format", "json", "send", NUMBER, OTHER_NUMBER]).expect_code(20);
    assert_eq!(run.numbers_with("status", "sent"), [OTHER_NUMBER, NUMBER]);
    expect_hook_errors(&run, "sent", &[NUMBER, OTHER_NUMBER]);
    assert_eq!(environment.records().len(), 2);
}

#[test]
fn one_failed_hook_of_many_is_the_exit_code() {
    let script = format!("read event; case $event in *{OTHER_NUMBER}*) {NO_LUCK};; esac");
    let environment = console(&script);
    let run = environment.run(&["send", NUMBER, OTHER_NUMBER, "+12025550144"]).expect_code(20);
    expect_hook_errors(&run, "sent", &[OTHER_NUMBER]);
}

#[test]
fn a_send_that_failed_keeps_its_exit_code_beside_a_failed_hook() {
    let provider = refusing(|number| number == NUMBER);
    let environment = provider.environment_with("", &both_hooks(NO_LUCK));
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    expect_hook_errors(&run, "failed", &[NUMBER]);
    let run = environment.run(&["send", INVALID]).expect_code(2);
    expect_hook_errors(&run, "failed", &[INVALID]);
    let run = environment.run(&["send", NUMBER, OTHER_NUMBER]).expect_code(3);
    let [sent, failed] = ["`sent`", "`failed`"].map(|event| run.stderr.contains(event));
    assert!(sent && failed, "{run:#?}");
}

#[test]
fn the_error_of_a_hook_names_the_line_of_its_number() {
    let script = format!("read event; case $event in *{OTHER_NUMBER}*) {NO_LUCK};; esac");
    let environment = console(&script);
    let run = environment.send_text(&format!("{NUMBER}\n{OTHER_NUMBER}\n"), &[]).expect_code(20);
    let error = run.stderr.lines().find(|line| line.contains("the hook `")).expect("an error");
    assert!(error.contains("line 2") && error.contains(OTHER_NUMBER), "{run:#?}");
}

#[test]
fn the_error_of_a_hook_shows_a_number_on_one_line_and_none_where_there_is_none() {
    let environment = console("exit 7");
    let run = environment.run(&["send", "a\nerror: b\nhint: c"]).expect_code(2);
    assert!(run.stderr.contains("error: a error: b hint: c: the hook `failed`"), "{run:#?}");
    let run = environment.run(&["send", ""]).expect_code(2);
    assert!(run.stderr.contains("error: the hook `failed`"), "{run:#?}");
}

#[test]
fn a_hook_need_not_read_even_what_fills_its_pipe() {
    let text = "7".repeat(100_000);
    for (script, end) in [("exit 0", ""), ("exec <&-; sleep 0.1; exit 9", "exited with 9")] {
        let environment = console(script);
        let run = environment.run(&["send", &text]).expect_code(2);
        assert_eq!(run.stderr.contains("the hook `"), !end.is_empty(), "{script}");
        assert!(run.stderr.contains(end), "{script}");
    }
    let environment = console(KEEP);
    environment.run(&["send", &text]).expect_code(2);
    assert_eq!(environment.hook_events()[0]["phone_number"], text);
}
