//! `doctor` on the settings.

use crate::support::{Checks, Environment, run_command};

/// Settings that only a console needs.
const CONSOLE: &str = "backend = \"console\"\n";

#[test]
fn each_weak_choice_is_a_warning_and_its_sound_counterpart_is_none() {
    for (weak, sound, check, part) in [
        ("token_length = 5\nmin_token_length = 5", "token_length = 6", "token_length", "5 digits"),
        (
            "security_code_expiration_time = 601",
            "security_code_expiration_time = 600",
            "security_code_expiration_time",
            "601 s",
        ),
        (
            "verify_security_code_only_once = false",
            "verify_security_code_only_once = true",
            "verify_security_code_only_once",
            "= true",
        ),
        ("max_failed_attempts = 11", "max_failed_attempts = 10", "max_failed_attempts", "11"),
        ("", "[limits]\nmax_per_hour = 1", "limits", "resend_cooldown_seconds"),
        ("secret_key = \"s3cret\"", "secret_key = { env = \"PATH\" }", "secrets", "env"),
    ] {
        let check = format!("settings.{check}");
        let environment = Environment::with_settings(&format!("{CONSOLE}{weak}\n"));
        environment.run(&["migrate"]).expect_code(0);
        environment.doctor(0, &[]).expect(&check, "warning", &[part]);
        environment.write("phone-verify.toml", &format!("{CONSOLE}{sound}\n"));
        let mut command = environment.command(&["--format", "json", "doctor"]);
        command.env("PATH", "/usr/bin");
        let run = run_command(command);
        Checks::from_run(run).expect(&check, "ok", &[]);
    }
}

#[test]
fn a_sandbox_and_the_console_send_nothing() {
    for (settings, name) in [
        (CONSOLE.to_owned(), "console"),
        ("backend = \"nexmo-sandbox\"\n[options]\nsandbox_token = \"1\"\n".to_owned(), "nexmo-"),
        (
            "backend = \"command\"\n[options]\ncommand = [\"true\"]\n[fallback]\nbackend = \"console\"\n"
                .to_owned(),
            "console",
        ),
    ] {
        let checks = Environment::with_settings(&settings).doctor(1, &["--offline"]);
        let check =
            if settings.contains("fallback") { "settings.fallback.backend" } else { "settings.backend" };
        checks.expect(check, "warning", &[name, "sends no SMS"]);
    }
}

#[test]
fn an_http_api_whose_answers_only_their_status_tells_apart_is_a_warning() {
    let http = |key: &str| {
        let url = "https://sms.example/{phone_digits}/{message}";
        format!("backend = \"http\"\n[TABLE]\nurl = \"{url}\"\n{key}\n")
    };
    for (key, status, part) in [
        ("accepted_status = [200]", "warning", "accepted_text"),
        ("error_code_pointer = \"/code\"", "warning", "refused_pointer"),
        ("accepted_pointer = \"\"\naccepted_value = \"OK\"", "ok", "body"),
        ("accepted_text = \"OK\"", "ok", "body"),
        ("refused_pointer = \"/error\"", "ok", "body"),
        ("message_id_pointer = \"/id\"", "ok", "body"),
    ] {
        let first = http(key).replace("TABLE", "options");
        let checks = Environment::with_settings(&first).doctor(1, &["--offline"]);
        checks.expect("settings.options", status, &[part]);
        let second = http(key).replace("TABLE", "fallback.options");
        let second = format!("{CONSOLE}[fallback]\n{second}");
        let checks = Environment::with_settings(&second).doctor(1, &["--offline"]);
        checks.expect("settings.fallback.options", status, &[part]);
        assert!(!checks.names("settings").contains(&"options"), "{checks:#?}");
    }
}

#[test]
fn permissions_that_give_the_settings_away_are_told() {
    let environment = Environment::sandbox("secret_key = \"s3cret\"");
    environment.doctor(1, &[]).expect("settings.permissions", "ok", &["600"]);
    environment.set_mode("phone-verify.toml", 0o604);
    environment.doctor(1, &[]).expect("settings.permissions", "warning", &["604", "chmod o-r"]);
    environment.set_mode("phone-verify.toml", 0o602);
    environment.doctor(1, &[]).expect("settings.permissions", "failure", &["602", "chmod go-w"]);
    // Without a secret in it the file is nobody's secret.
    let environment = Environment::with_settings(CONSOLE);
    environment.set_mode("phone-verify.toml", 0o644);
    environment.doctor(1, &[]).expect("settings.permissions", "ok", &["644"]);
}

#[test]
fn a_secret_that_can_not_be_looked_up_is_a_failure() {
    let settings = format!(
        "{CONSOLE}secret_key = {{ env = \"SIGNING\" }}\n[fallback]\nbackend = \"nexmo\"\n[fallback.options]\n\
         key = \"k\"\nfrom = \"F\"\nsecret = {{ file = \"secret\" }}\n"
    );
    let environment = Environment::with_settings(&settings);
    let checks = environment.doctor(1, &["--offline"]);
    checks.expect("settings.secret_key", "failure", &["SIGNING is not set"]);
    let file = "settings.fallback.options.secret";
    checks.expect(file, "failure", &["secret can't be read"]);
    environment.write("secret", "s3cret");
    environment.doctor(1, &["--offline"]).expect(file, "ok", &["secret"]);
    environment.set_mode("secret", 0o644);
    environment.doctor(1, &["--offline"]).expect(file, "warning", &["chmod o-r"]);
    // Without its secret the provider can't be asked, and that is told where one looks for it.
    std::fs::remove_file(environment.path("secret")).expect("it was there");
    let checks = environment.doctor(1, &[]);
    checks.expect("fallback.credentials", "failure", &["fallback.options.secret"]);
}

#[test]
fn quotation_marks_around_a_secret_are_told() {
    for form in ["\"'s3cret'\"", "{ file = \"secret\" }"] {
        let environment = Environment::with_settings(&format!("{CONSOLE}secret_key = {form}\n"));
        environment.write("secret", "\"s3cret\"\n");
        let checks = environment.doctor(1, &[]);
        checks.expect("settings.secret_key", "warning", &["quotation marks", "remove them"]);
        assert!(!format!("{checks:?}").contains("s3cret"), "{checks:#?}");
    }
}

#[test]
fn a_sandbox_needs_none_of_the_secrets_of_its_live_backend() {
    for secret in ["{ env = \"NONE\" }", "\"'s3cret'\""] {
        let options = format!("sandbox_token = \"1\"\nsecret = {secret}");
        let settings = format!("backend = \"twilio-sandbox\"\n[options]\n{options}\n");
        let environment = Environment::with_settings(&settings);
        environment.run(&["migrate"]).expect_code(0);
        let checks = environment.doctor(0, &[]);
        assert!(!checks.names("settings").contains(&"options.secret"), "{checks:#?}");
    }
}

#[test]
fn each_message_has_its_encoding_and_its_segments() {
    let long = "o".repeat(160);
    let environment = Environment::with_settings(&format!(
        "{CONSOLE}[messages]\nhu = \"{{security_code}} a kód, ő {}\"\nde = \"{{security_code}} {{name}}\"\n\
         en = \"{{security_code}} {long}\"\n",
        "ű".repeat(60)
    ));
    let checks = environment.doctor(1, &[]);
    checks.expect("settings.message", "ok", &["GSM-7, 1 segment"]);
    checks.expect("settings.messages.de", "ok", &["1 segment, without the values of {name}"]);
    checks.expect("settings.messages.hu", "warning", &["UCS-2, 2 segments", "such as ó"]);
    checks.expect("settings.messages.en", "warning", &["GSM-7, 2 segments", "shorten"]);
}

#[test]
fn a_message_that_the_provider_does_not_take_is_a_failure() {
    let settings = format!(
        "backend = \"twilio-sandbox\"\nmessage = \"{{security_code}}{}\"\n[options]\nsandbox_token = \"1\"\n",
        "o".repeat(1600)
    );
    let checks = Environment::with_settings(&settings).doctor(1, &[]);
    checks.expect("settings.message", "failure", &["1601", "1600", "shorten"]);
}

#[test]
fn a_program_that_is_to_be_run_is_looked_for() {
    let settings = format!(
        "{CONSOLE}[hooks]\nverified = [\"./hook\"]\nsent = [\"hook-in-path\", \"x\"]\nfailed = [\"/\"]\n"
    );
    let environment = Environment::with_settings(&settings);
    let checks = |code| {
        let mut command = environment.command(&["--format", "json", "doctor"]);
        command.env("PATH", environment.path("bin"));
        let run = run_command(command);
        Checks::from_run(run.expect_code(code))
    };
    let missing = checks(1);
    for name in ["verified", "sent", "failed"] {
        missing.expect(&format!("settings.hooks.{name}"), "failure", &["can't be run"]);
    }
    std::fs::create_dir(environment.path("bin")).expect("a new folder");
    for name in ["hook", "bin/hook-in-path"] {
        environment.write(name, "#!/bin/sh\n");
    }
    checks(1).expect("settings.hooks.verified", "failure", &["hook", "ermission"]);
    for name in ["hook", "bin/hook-in-path"] {
        environment.set_mode(name, 0o700);
    }
    let found = checks(1);
    found.expect("settings.hooks.verified", "ok", &["hook"]);
    found.expect("settings.hooks.sent", "ok", &["bin/hook-in-path"]);
}

#[test]
fn a_program_without_a_path_is_looked_for_where_it_is_started_from() {
    let settings = format!("{CONSOLE}[hooks]\nverified = [\"hook\"]\nsent = [\"sh\"]\n");
    let environment = Environment::with_settings(&settings);
    environment.write_program("hook", "#!/bin/sh\n");
    // Neither this folder nor, without PATH, any but the system's own.
    let checks = environment.doctor(1, &[]);
    checks.expect("settings.hooks.verified", "failure", &["hook can't be run"]);
    checks.expect("settings.hooks.sent", "ok", &["/bin/sh"]);
}

#[test]
fn every_error_of_a_broken_file_is_a_check_that_names_file_line_and_key() {
    let settings = "backend = \"twilio\"\ntoken_length = \"6\"\ntoken_lenght = 7\nmessage = \"no code\"\n\
                    [options]\nsid = 4711\nsecret = { env = 1 }\nfrom = \"x\"\n[limits]\nmax_per_hour = 0\n";
    let environment = Environment::with_settings(settings);
    environment.run(&["doctor"]).expect_code(1);
    let checks = environment.doctor(1, &[]);
    for (key, line) in
        [("token_length", 2), ("message", 4), ("options.sid", 6), ("limits.max_per_hour", 10)]
    {
        let place = format!("phone-verify.toml, line {line}: `{key}` ");
        checks.expect(&format!("settings.{key}"), "failure", &[&place]);
    }
    checks.expect("settings.file", "ok", &["phone-verify.toml"]);
    assert_eq!(checks.names("database"), [""; 0], "no database is known: {checks:#?}");
    let text = format!("{checks:?}");
    assert!(!text.contains("4711") && !text.contains("no code"), "{text}");
}

#[test]
fn keys_that_do_not_exist_are_all_told() {
    let settings = format!("{CONSOLE}tokenlength = 1\nappname = \"x\"\n[delivery]\nmax = 1\n");
    let checks = Environment::with_settings(&settings).doctor(1, &[]);
    for (key, part) in
        [("tokenlength", "token_length"), ("appname", "app_name"), ("delivery.max", "is unknown")]
    {
        checks.expect(&format!("settings.{key}"), "failure", &[part]);
    }
}

#[test]
fn a_backend_under_another_name_is_told_with_the_name_that_is_missing() {
    let settings = "bakend = \"twilio\"\n[options]\nsid = \"x\"\n";
    let checks = Environment::with_settings(settings).doctor(1, &[]);
    checks.expect("settings.bakend", "failure", &["line 1", "`backend`?"]);
    checks.expect("settings.backend", "failure", &["is missing"]);
    assert_eq!(checks.complaints(), ["settings.bakend", "settings.backend"]);
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_a_check_too() {
    let environment = Environment::with_settings("backend = \"s3cret\nx = 1\n");
    let checks = environment.doctor(1, &[]);
    checks.expect("settings.syntax", "failure", &["line 1", "not TOML"]);
    assert!(!format!("{checks:?}").contains("s3cret"), "{checks:#?}");
    std::fs::remove_file(environment.path("phone-verify.toml")).expect("it was there");
    let checks = environment.doctor(1, &[]);
    checks.expect("settings.file", "failure", &["/etc/phone-verify", "--config"]);
    let run = environment.run(&["--config", "none.toml", "--format", "json", "doctor"]);
    Checks::from_run(run.expect_code(1)).expect("settings.file", "failure", &["none.toml"]);
}

#[test]
fn a_database_that_is_named_is_looked_at_without_settings() {
    let environment = Environment::sandbox("");
    environment.run(&["migrate"]).expect_code(0);
    environment.write("phone-verify.toml", "backend = 1\n");
    let arguments = ["--database", "phone-verify.sqlite3", "--format", "json", "doctor"];
    let checks = Checks::from_run(environment.run(&arguments).expect_code(1));
    checks.expect("settings.backend", "failure", &["line 1"]);
    checks.expect("database.schema", "ok", &[]);
    assert_eq!(checks.complaints(), ["settings.backend"]);
}

/// Asserts that `doctor` complains of exactly these keys of the settings.
#[track_caller]
fn expect_complaints(settings: &str, keys: &[&str]) {
    let checks = Environment::with_settings(settings).doctor(1, &["--offline"]);
    let complaints = checks.complaints();
    let mut found: Vec<_> =
        complaints.iter().filter_map(|name| name.strip_prefix("settings.")).collect();
    found.sort_unstable();
    assert_eq!(found, keys, "{checks:#?}");
}

#[test]
fn options_that_are_missing_are_all_told_at_once() {
    expect_complaints(
        "backend = \"twilio\"\n[options]\n",
        &["options.from", "options.secret", "options.sid"],
    );
    expect_complaints(
        "backend = \"vonage\"\n[fallback]\nbackend = \"command\"\n[limits]\nmax_per_hour = 0\n",
        &[
            "fallback.options.command",
            "limits.max_per_hour",
            "options.from",
            "options.key",
            "options.secret",
        ],
    );
    expect_complaints("backend = \"nexmo-sandbox\"\nx = 1\n", &["options.sandbox_token", "x"]);
    // A value that is wrong is not missing as well.
    expect_complaints(
        "backend = \"twilio\"\n[options]\nsid = 1\nmessaging_service_sid = 1\napi_key_sid = 1\n\
         api_key_secret = 1\nzz = 1\n",
        &[
            "options.api_key_secret",
            "options.api_key_sid",
            "options.messaging_service_sid",
            "options.sid",
            "options.zz",
        ],
    );
}

#[test]
fn every_error_of_an_http_api_is_told_at_once() {
    expect_complaints(
        "backend = \"http\"\n[options]\nmethod = \"FETCH\"\nurl = \"ftp://x\"\nform = { to = \"{phone_number}\" }\n\
         json = {}\naccepted_pointer = \"x\"\naccepted_value = 1\nretry_status = [9]\nbearer = 1\nzz = 1\n\
         [options.headers]\n\"a b\" = \"1\"\nHost = \"x\"\n",
        &[
            "options.accepted_pointer",
            "options.bearer",
            "options.headers.Host",
            "options.headers.a b",
            "options.json",
            "options.method",
            "options.retry_status",
            "options.url",
            "options.zz",
        ],
    );
    expect_complaints(
        "backend = \"http\"\n[options]\nmessage_id_pointer = \"x\"\n[options.basic_auth]\n",
        &[
            "options.basic_auth.password",
            "options.basic_auth.username",
            "options.message_id_pointer",
            "options.url",
        ],
    );
}

#[test]
fn a_test_number_that_has_ended_or_whose_code_is_easy_to_guess_is_a_warning() {
    for (code, until, status, part) in [
        ("739142", "9999-12-31", "ok", "until 9999-12-31"),
        ("654321", "9999-12-31", "warning", "easy to guess"),
        ("739142", "2020-01-01", "warning", "2020-01-01"),
    ] {
        let environment = Environment::with_database(&format!(
            "[[test_numbers]]\nphone_number = \"+15551234567\"\nsecurity_code = \"{code}\"\nuntil = {until}"
        ));
        let checks = environment.doctor(0, &[]);
        checks.expect("settings.test_numbers.+15551234567", status, &[part]);
        assert!(!format!("{checks:?}").contains(code), "{checks:#?}");
    }
}

#[test]
fn an_unknown_backend_hides_nothing_but_its_own_options() {
    expect_complaints(
        "backend = \"twilo\"\ntoken_length = 0\nmin_token_length = 9\n[options]\nsid = 1\n[fallback]\n\
         backend = \"x\"\n[delivery]\nmax_attempts = 0\n",
        &["backend", "delivery.max_attempts", "fallback.backend", "token_length"],
    );
}

#[test]
fn the_permissions_of_a_broken_file_are_told_as_well() {
    for (settings, mode, status) in [
        ("bakend = \"console\"\n", 0o666, "failure"),
        ("backend = \"console\"\nsecret_key = \"s3cret\"\nx = 1\n", 0o644, "warning"),
        ("backend = \"console\"\nx = 1\n", 0o644, "ok"),
        ("backend = \"console\n", 0o602, "failure"),
    ] {
        let environment = Environment::with_settings(settings);
        environment.set_mode("phone-verify.toml", mode);
        let checks = environment.doctor(1, &[]);
        let part = if status == "ok" { "mode 644" } else { "`chmod " };
        checks.expect("settings.permissions", status, &[part]);
    }
}

#[test]
fn a_command_for_a_path_with_a_blank_can_be_copied() {
    let environment = Environment::sandbox("secret_key = \"s3cret\"");
    std::fs::create_dir(environment.path("it's here")).expect("a new folder");
    std::fs::rename(environment.path("phone-verify.toml"), environment.path("it's here/a.toml"))
        .expect("it is there");
    environment.set_mode("it's here/a.toml", 0o604);
    let run = environment.run(&["--config", "it's here/a.toml", "--format", "json", "doctor"]);
    let checks = Checks::from_run(run);
    let hint = r"`chmod o-r 'it'\\''s here/a.toml'`";
    checks.expect("settings.permissions", "warning", &[hint]);
}
