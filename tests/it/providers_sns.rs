//! The program and the settings for Amazon SNS of `docs/providers.md`, as they stand there, with a double of `aws` in PATH.
//! `tests/interop` runs them with the real one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Environment, NUMBER, error_of, read_block, run_command};

const MESSAGE_ID: &str = "567910cd-659e-55d4-8ccb-5aaf14679dc0";

/// Returns an environment on the page's settings and program, in which the `aws` command logs its arguments and its stdin,
/// and then does what `aws` says.
fn environment(aws: &str) -> Environment {
    let message = "message = '''\"{security_code}\" {{is}} yours & \\ 🔑\nsecond line'''";
    let settings = read_block("Amazon SNS", "toml");
    let environment = Environment::with_settings(&format!("{message}\n{settings}"));
    environment.write_program("sns-publish", &read_block("Amazon SNS", "python"));
    fs::create_dir(environment.path("bin")).expect("a folder");
    // The real one reads it twice, so that a pipe would not do.
    let stdin = "cat /dev/stdin >/dev/null; cat /dev/stdin >>stdin; echo >>stdin";
    let log = format!("printf '%s\\n' \"$*\" >>arguments; env >environment; {stdin}");
    environment.write_program("bin/aws", &format!("#!/bin/sh\n{log}\n{aws}\n"));
    symlink(python(), environment.path("bin/python3")).expect("a link");
    environment
}

/// Returns where the python3 of PATH is: what stands there may be a wrapper that changes PATH.
fn python() -> PathBuf {
    let arguments = ["-c", "import sys; print(sys.executable, end='')"];
    let output = Command::new("python3").args(arguments).output().expect("python3 starts");
    String::from_utf8(output.stdout).expect("a path in UTF-8").into()
}

/// Sends to [`NUMBER`] and returns the line.
#[track_caller]
fn send(environment: &Environment, code: i32) -> Value {
    let mut command = environment.command(&["--format", "json", "send", NUMBER]);
    command.env("PATH", format!("{}:/usr/bin:/bin", environment.path("bin").display()));
    run_command(command).expect_code(code).json()
}

/// Returns what the double was given on stdin, call by call.
fn requests(environment: &Environment) -> Vec<Value> {
    let stdin = environment.read("stdin");
    stdin.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Returns what `aws` does where the service answers with this error: the words and the exit code of version 2.
fn service_error(code: &str, words: &str) -> String {
    let error = format!(
        "An error occurred ({code}) when calling the Publish operation (reached max retries: 0): {words}"
    );
    format!("echo >&2; echo 'aws: [ERROR]: {error}' >&2; echo 'Type: Sender' >&2; exit 254")
}

#[test]
fn a_message_is_published_without_its_code_in_any_argument_and_told_with_its_id() {
    let environment = environment(&format!("echo {MESSAGE_ID}"));
    let line = send(&environment, 0);
    assert_eq!((&line["message_id"], &line["backend"]), (&MESSAGE_ID.into(), &"command".into()));
    let record = environment.record();
    let transactional = json!({"DataType": "String", "StringValue": "Transactional"});
    let request = json!({
        "PhoneNumber": NUMBER,
        "Message": format!("\"{}\" {{is}} yours & \\ 🔑\nsecond line", record.security_code),
        "MessageAttributes": {"AWS.SNS.SMS.SMSType": transactional},
    });
    assert_eq!(requests(&environment), [request]);
    let arguments = fs::read_to_string(environment.path("arguments")).expect("they were logged");
    assert_eq!(
        arguments,
        "sns publish --cli-connect-timeout 5 --cli-input-json file:///dev/stdin --query MessageId --output text\n"
    );
    let variables = fs::read_to_string(environment.path("environment")).expect("it was logged");
    assert!(variables.contains("\nAWS_MAX_ATTEMPTS=1\n"), "{variables}");
    assert!(!variables.contains(&record.security_code));
    environment.verify(&record).expect_code(0);
}

#[test]
fn a_refusal_is_told_in_the_services_words_and_leaves_the_earlier_code_working() {
    for (code, words) in [
        ("InvalidParameter", "Invalid parameter: PhoneNumber Reason: not valid to publish to"),
        ("AuthorizationError", "User is not authorized to perform: SNS:Publish"),
        ("InvalidClientTokenId", "The security token included in the request is invalid."),
    ] {
        let environment = environment(&format!("echo {MESSAGE_ID}"));
        send(&environment, 0);
        let earlier = environment.record();
        environment.write_program("bin/aws", &format!("#!/bin/sh\n{}", service_error(code, words)));
        let line = send(&environment, 1);
        assert_eq!(error_of(&line), ("rejected", Some("1")));
        let told = line["error"]["message"].as_str().expect("words");
        assert!(told.contains(code) && told.ends_with(words), "{told}");
        assert_eq!(environment.record(), earlier);
        environment.verify(&earlier).expect_code(0);
    }
}

#[test]
fn what_was_throttled_or_not_connected_is_published_again() {
    let endpoint = "endpoint URL: \"https://sns.us-east-1.amazonaws.com/\"";
    for error in [
        service_error("ThrottlingException", "Rate exceeded"),
        service_error("Throttling", "Rate exceeded"),
        service_error("ServiceUnavailable", "Service is unable to handle request."),
        service_error("503", "Service Unavailable"),
        format!("echo 'Could not connect to the {endpoint}' >&2; exit 255"),
        format!("echo 'Connect timeout on {endpoint}' >&2; exit 255"),
    ] {
        let once = format!("if mkdir called 2>/dev/null; then {error}; fi; echo {MESSAGE_ID}");
        let environment = environment(&once);
        let line = send(&environment, 0);
        assert_eq!(line["message_id"], MESSAGE_ID, "{error}");
        let requests = requests(&environment);
        assert_eq!(requests.len(), 2, "{error}");
        assert_eq!(requests[0], requests[1]);
        assert_eq!(environment.delivery().tries, 2);
    }
}

#[test]
fn what_never_left_is_refused() {
    let credentials =
        "Unable to locate credentials. You can configure credentials by running \"aws configure\".";
    for (words, status) in [
        (credentials, 253),
        (credentials, 255),
        ("You must specify a region. You can also configure your region", 253),
        ("The config profile (live) could not be found", 255),
        ("Parameter validation failed:", 252),
        ("aws: error: argument subcommand: invalid choice", 2),
    ] {
        let environment = environment(&format!("echo '{words}' >&2; exit {status}"));
        let line = send(&environment, 1);
        assert_eq!(error_of(&line), ("rejected", Some("2")), "{words}");
        assert_eq!(line["error"]["message"], words);
        assert_eq!((requests(&environment).len(), environment.records().len()), (1, 0));
    }
}

#[test]
fn where_nobody_can_know_whether_it_was_published_both_codes_stay() {
    let endpoint = "endpoint URL: \"https://sns.us-east-1.amazonaws.com/\"";
    let lost = "Connection was closed before we received a valid response from";
    for (error, words) in [
        (service_error("InternalError", "Internal failure"), "InternalError"),
        (service_error("InternalFailure", "Internal failure"), "InternalFailure"),
        (service_error("500", "Internal Server Error"), "(500)"),
        (format!("echo 'Read timeout on {endpoint}' >&2; exit 255"), "Read timeout"),
        (format!("echo '{lost} {endpoint}' >&2; exit 255"), "Connection was closed"),
        ("echo 'Unable to parse response' >&2; exit 255".to_owned(), "Unable to parse"),
        // What the text form of `aws` makes of an answer without a message id.
        ("echo None; echo 'the token is about to expire' >&2".to_owned(), "no MessageId"),
        ("exit 0".to_owned(), "no MessageId"),
        ("kill -KILL $$".to_owned(), ""),
    ] {
        let environment = environment(&format!("echo {MESSAGE_ID}"));
        send(&environment, 0);
        fs::remove_file(environment.path("stdin")).expect("the first request");
        environment.write_program("bin/aws", &format!("#!/bin/sh\necho {{}} >>stdin\n{error}\n"));
        let line = send(&environment, 1);
        assert_eq!(error_of(&line), ("unknown", None), "{error}");
        let told = line["error"]["message"].as_str().expect("words");
        assert!(told.contains(words), "{told}");
        assert_eq!(requests(&environment).len(), 1, "it was tried again");
        assert_eq!(environment.records().len(), 2);
    }
}
