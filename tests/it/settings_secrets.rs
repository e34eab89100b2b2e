//! Settings: secrets as they are, in an environment variable or in a file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Environment, NUMBER, is_signed_with, run_command};

const SECRET: &str = "s3cret-9876543";

fn send(environment: &Environment, options: &[&str]) -> std::process::Command {
    environment.command(&[options, &["--format", "json", "send", NUMBER]].concat())
}

#[test]
fn the_secret_key_signs_the_tokens_wherever_it_stands() {
    let forms = [
        format!("\"{SECRET}\""),
        "{ env = \"SITE_SECRET_KEY\" }".to_owned(),
        "{ file = \"secrets/key\" }".to_owned(),
    ];
    for form in forms {
        let environment = Environment::with_settings("");
        fs::create_dir_all(environment.path("site/secrets")).expect("folders");
        // The path starts from the settings file's folder, which is not the current one here.
        environment.write("site/secrets/key", &format!("{SECRET}\n"));
        environment.write("site/s.toml", &format!("backend = \"console\"\nsecret_key = {form}\n"));
        let mut command = send(&environment, &["--config", "site/s.toml"]);
        command.env("SITE_SECRET_KEY", SECRET);
        let run = run_command(command).expect_code(0);
        assert!(is_signed_with(&run.session_token(), SECRET), "{form}");
        assert!(!run.stderr.contains(SECRET), "{run:#?}");
    }
}

#[test]
fn white_space_around_a_secret_is_dropped_and_quotation_marks_are_kept() {
    for (content, key) in [
        ("key", "key"),
        ("key\n", "key"),
        ("key\r\n", "key"),
        ("key\n\n", "key"),
        ("\u{feff} key \n", "key"),
        ("'key'\n", "'key'"),
        ("\"key\"", "\"key\""),
    ] {
        for form in ["{ file = \"key\" }", "{ env = \"KEY\" }"] {
            let settings = format!("backend = \"console\"\nsecret_key = {form}\n");
            let environment = Environment::with_settings(&settings);
            environment.write("key", content);
            let mut command = send(&environment, &[]);
            command.env("KEY", content);
            let run = run_command(command).expect_code(0);
            assert!(is_signed_with(&run.session_token(), key), "{content:?}");
            let warns = run.stderr.contains("warning: secret_key: ");
            assert_eq!(warns, key != "key", "{form} {content:?}: {run:#?}");
            assert_eq!(run.stderr.contains("quotation marks"), warns, "{run:#?}");
        }
    }
}

#[test]
fn without_a_secret_key_each_run_signs_with_another_one() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let signatures: Vec<_> = (0..2)
        .map(|_| {
            let run = run_command(send(&environment, &[])).expect_code(0);
            assert!(!is_signed_with(&run.session_token(), ""), "an empty key");
            run.json()["session_token"]
                .as_str()
                .expect("a token")
                .rsplit('.')
                .next()
                .map(str::to_owned)
        })
        .collect();
    assert_ne!(signatures[0], signatures[1]);
}

#[test]
fn a_secret_that_is_missing_matters_to_send_alone() {
    for (settings, name) in [
        ("backend = \"console\"\nsecret_key = { env = \"UNSET_KEY\" }\n", "UNSET_KEY"),
        ("backend = \"console\"\nsecret_key = { file = \"no-such-file\" }\n", "no-such-file"),
        (
            "backend = \"twilio\"\n[options]\nsid = \"AC\"\nsecret = { env = \"UNSET_SECRET\" }\nfrom = \"+14755292729\"\n",
            "UNSET_SECRET",
        ),
        (
            "backend = \"twilio\"\n[options]\nsid = \"AC\"\napi_key_sid = \"SK\"\napi_key_secret = { file = \"no-such-file\" }\n\
             from = \"+14755292729\"\n",
            "no-such-file",
        ),
        (
            "backend = \"nexmo\"\n[options]\nkey = \"k\"\nsecret = { env = \"UNSET_SECRET\" }\nfrom = \"Example\"\n",
            "UNSET_SECRET",
        ),
    ] {
        let environment = Environment::with_settings(settings);
        let run = environment.run(&["send", NUMBER]).expect_code(2);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains(name), "{run:#?}");
        assert_eq!(run.stdout, "");
        assert!(!environment.path("phone-verify.sqlite3").exists(), "{run:#?}");

        environment.run(&["migrate"]).expect_code(0);
        environment.run(&["list"]).expect_code(0);
        environment.run(&["purge"]).expect_code(0);
        environment.run(&["verify", NUMBER, "918273", "--any-session"]).expect_code(14);
    }
}

#[test]
fn a_sandbox_does_not_look_its_live_backends_secrets_up() {
    let environment = Environment::sandbox("");
    environment.write(
        "phone-verify.toml",
        "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"123456\"\nsid = \"AC\"\n\
         secret = { env = \"UNSET_SECRET\" }\nfrom = \"+14755292729\"\n",
    );
    run_command(send(&environment, &[])).expect_code(0);
}

#[test]
fn a_literal_secret_that_others_can_read_earns_a_warning() {
    let nexmo = "backend = \"nexmo\"\n[options]\nkey = \"k\"\nfrom = \"Example\"\n";
    let literal = format!("\"{SECRET}\"");
    let console = "backend = \"console\"\n";
    let command = "backend = \"command\"\noptions = { command = [\"true\"] }\n";
    let fallback = "[fallback]\nbackend = \"command\"\noptions = { command = [\"true\"] }\n";
    let sandbox =
        "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"123456\"\nsid = \"AC\"\n";
    for (settings, mode, warns) in [
        (format!("{command}secret_key = {literal}\n"), 0o644, true),
        (format!("{command}secret_key = {literal}\n"), 0o604, true),
        (format!("{command}secret_key = {literal}\n"), 0o600, false),
        // What goes to no phone is a try.
        (format!("{console}secret_key = {literal}\n"), 0o644, false),
        (format!("{console}secret_key = \"'{SECRET}'\"\n"), 0o644, false),
        (format!("{sandbox}secret = {literal}\n"), 0o644, false),
        (format!("{console}secret_key = {literal}\n{fallback}"), 0o644, true),
        (format!("{nexmo}secret = {literal}\n"), 0o644, true),
        (format!("{nexmo}secret = {{ env = \"E\" }}\n"), 0o644, false),
        (console.to_owned(), 0o644, false),
    ] {
        let environment = Environment::with_settings(&settings);
        environment.set_mode("phone-verify.toml", mode);
        for arguments in [&["migrate"][..], &["list"], &["send", "--dry-run", NUMBER]] {
            let run = environment.run(arguments).expect_code(0);
            assert_eq!(run.stderr.contains("warning: "), warns, "{settings} {mode:o}: {run:#?}");
            assert_eq!(run.stderr.contains("phone-verify.toml"), warns, "{run:#?}");
            assert!(!run.stderr.contains(SECRET), "{run:#?}");
        }
        if !settings.contains("nexmo") {
            let run = environment.run(&["send", NUMBER]).expect_code(0);
            assert_eq!(run.stderr.contains("warning: "), warns, "{settings} {mode:o}: {run:#?}");
        }
        let quiet = environment.run(&["-q", "migrate"]).expect_code(0);
        assert_eq!(quiet.stderr, "", "{settings} {mode:o}");
    }
}

#[test]
fn a_secret_that_is_empty_or_no_text_is_refused() {
    let environment =
        Environment::with_settings("backend = \"console\"\nsecret_key = { file = \"key\" }\n");
    for content in [&b""[..], b"\n", b" \t\r\n", b"\xef\xbb\xbf", b"9876543\xff"] {
        fs::write(environment.path("key"), content).expect("our file");
        let run = environment.run(&["send", NUMBER]).expect_code(2);
        assert!(run.stderr.contains("key"), "{run:#?}");
        assert!(!run.stderr.contains("9876543"), "{run:#?}");
        assert!(!environment.path("phone-verify.sqlite3").exists());
    }
    let environment =
        Environment::with_settings("backend = \"console\"\nsecret_key = { env = \"KEY\" }\n");
    let mut command = environment.command(&["send", NUMBER]);
    command.env("KEY", OsStr::from_bytes(b"9876543\xff"));
    let run = run_command(command).expect_code(2);
    let words = "the environment variable KEY";
    assert!(run.stderr.contains(words) && !run.stderr.contains("9876543"), "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn a_secret_may_come_through_a_pipe() {
    let environment =
        Environment::with_settings("backend = \"console\"\nsecret_key = { file = \"pipe\" }\n");
    run_command(environment.tool(&["mkfifo", "pipe"])).expect_code(0);
    // The writer comes late, as one does that asks a vault.
    let line = format!(
        "{{ sleep 0.2; printf {SECRET} > pipe; }} & phone-verify --format json send {NUMBER}"
    );
    let run = run_command(environment.shell(&line)).expect_code(0);
    assert!(is_signed_with(&run.session_token(), SECRET), "{run:#?}");
    // This one never does.
    let line =
        format!("exec 8<> pipe; printf {SECRET} > pipe; timeout 20 phone-verify send {NUMBER}");
    let run = run_command(environment.shell(&line)).expect_code(2);
    assert!(run.stderr.contains("the file pipe can't be read: it isn't complete"), "{run:#?}");
    assert!(!run.stderr.contains(SECRET), "{run:#?}");

    environment.write(
        "phone-verify.toml",
        "backend = \"console\"\nsecret_key = { file = \"/dev/fd/9\" }\n",
    );
    let line = format!(
        "{{ sleep 0.2; echo {SECRET}; }} | {{ exec 9<&0; phone-verify --format json send {NUMBER}; }}"
    );
    let run = run_command(environment.shell(&line)).expect_code(0);
    assert!(is_signed_with(&run.session_token(), SECRET), "{run:#?}");
}

#[test]
fn what_gives_secrets_and_codes_away_earns_a_warning_of_send() {
    let environment =
        Environment::with_settings("backend = \"console\"\nsecret_key = { file = \"key\" }\n");
    environment.write("key", SECRET);
    assert!(!environment.run(&["send", NUMBER]).expect_code(0).stderr.contains("warning"));
    for (file, words) in
        [("key", "`chmod o-r key`"), ("phone-verify.sqlite3", "`chmod o-r phone-verify.sqlite3`")]
    {
        environment.set_mode(file, 0o644);
        let run = environment.run(&["send", NUMBER]).expect_code(0);
        assert_eq!(run.stderr.matches("warning: ").count(), 1, "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
        let quiet = environment.run(&["-q", "send", NUMBER]).expect_code(0);
        assert!(!quiet.stderr.contains("warning"), "{quiet:#?}");
        // Who doesn't need them doesn't mention them.
        for arguments in [&["list"][..], &["send", "--dry-run", NUMBER]] {
            assert_eq!(environment.run(arguments).expect_code(0).stderr, "");
        }
        environment.set_mode(file, 0o640);
    }
}
