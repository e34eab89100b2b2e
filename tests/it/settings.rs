//! Settings: every key's default, range and type, and what an error about them may say.

use crate::support::{
    Environment, NUMBER, TABLE, UNIQUE_INDEX, expect_accepted, expect_refused,
    expect_settings_error,
};

const TWILIO: &str =
    "backend = \"twilio\"\n[options]\nsid = \"AC\"\nsecret = \"s\"\nfrom = \"+14755292729\"\n";

#[test]
fn every_command_refuses_wrong_settings_before_it_does_anything() {
    let environment = Environment::with_settings("backend = \"console\"\ntoken_length = 9876543\n");
    let commands: [&[&str]; 6] = [
        &["send", NUMBER],
        &["verify", NUMBER, "918273", "--any-session"],
        &["list"],
        &["status", NUMBER],
        &["purge"],
        &["migrate"],
    ];
    for arguments in commands {
        let run = environment.run(arguments);
        expect_settings_error(run, &environment, "phone-verify.toml", Some(2), "token_length");
    }
}

#[test]
fn numbers_are_held_to_their_range() {
    for (key, wrong, right) in [
        ("token_length", &["0", "-6", "121", "5", "6.0", "6.5"][..], &["6", "120", "0x0a"][..]),
        ("min_token_length", &["-1", "0x7fffffffffffffffff"], &["1", "6"]),
        ("security_code_expiration_time", &["0", "-1", "31536001"], &["1", "31536000"]),
        ("security_code_expiration_seconds", &["0", "-1", "31536001"], &["1", "31536000"]),
        ("max_failed_attempts", &["0", "-1", "99999999999999999999"], &["1", "1000"]),
        ("record_retention_days", &["0", "-1", "1.5"], &["1", "3650"]),
        (
            "limits.max_wrong_codes_per_number_per_day",
            &["-1", "4294967296", "true"],
            &["0", "4294967295"],
        ),
    ] {
        for value in wrong {
            expect_refused(&format!("backend = \"console\"\n\n{key} = {value}\n"), 3, key);
        }
        for value in right {
            expect_accepted(&format!("backend = \"console\"\n{key} = {value}\n"));
        }
    }
}

#[test]
fn delivery_numbers_are_at_least_one() {
    for key in ["timeout_seconds", "connect_timeout_seconds", "max_attempts"] {
        for value in ["0", "-1", "\"9876543\"", "true"] {
            expect_refused(
                &format!("backend = \"console\"\n[delivery]\n{key} = {value}\n"),
                3,
                key,
            );
        }
        expect_accepted(&format!("backend = \"console\"\n[delivery]\n{key} = 1\n"));
    }
}

#[test]
fn a_wrong_type_is_refused_without_showing_the_value() {
    let (number, text) = ("9876543", "\"9876543\"");
    for (key, value) in [
        ("token_length", text),
        ("min_token_length", text),
        ("message", number),
        ("app_name", number),
        ("security_code_expiration_time", text),
        ("security_code_expiration_seconds", text),
        ("verify_security_code_only_once", text),
        ("verify_security_code_only_once", number),
        ("max_failed_attempts", text),
        ("record_retention_days", text),
        ("secret_key", number),
        ("secret_key", "[\"9876543\"]"),
        ("secret_key", "{ value = \"9876543\" }"),
        ("secret_key", "{ env = 9876543 }"),
        ("secret_key", "{ env = \"E\", file = \"9876543\" }"),
        ("secret_key", "{}"),
        ("default_region", number),
        ("default_region", text),
        ("messages", text),
        ("options", text),
        ("database", text),
        ("delivery", text),
        ("messages", "{ de = 9876543 }"),
        ("database", "{ path = 9876543 }"),
        ("database", "{ path = \"9876543\\u0000\" }"),
        ("database.path", "\"postgresql://u:9876543@h/d\""),
        ("database.path", "\"mysql://u:9876543@h/d\""),
        ("database.url", "9876543"),
        ("database.url", "\"9876543\""),
        ("database.url", "\"mysql://u:9876543@h/d\""),
        ("database.url", "\"host=h pasword=9876543\""),
        ("database.url", "\"postgresql://u@h/d?sslmod=9876543\""),
        ("database.url", "\"postgresql://u@h/d?port=9876543\""),
        ("database.password", "\"9876543\""),
    ] {
        expect_refused(&format!("backend = \"console\"\n{key} = {value}\n"), 2, key);
    }
    expect_refused("backend = 9876543\n", 1, "backend");
    for key in ["sid", "secret", "from", "api_key_secret", "base_url"] {
        let settings = TWILIO.replace(&format!("\n{key} = "), "\n# ");
        expect_refused(&format!("{settings}{key} = 9876543\n"), 6, key);
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    for (settings, line) in [
        ("tokn_length = 9876543\nbackend = \"console\"\n", 1),
        ("backend = \"console\"\n\n\nBackend = \"9876543\"\n", 4),
        ("backend = \"console\"\n[delivery]\ntimeout = 9876543\n", 3),
        ("backend = \"console\"\n[database]\nname = \"9876543\"\n", 3),
        ("backend = \"console\"\n[limits2]\nmax_per_hour = 9876543\n", 2),
        (
            "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"1\"\nsandbox_tokens = \"9876543\"\n",
            4,
        ),
        ("backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"1\"\nkey = \"9876543\"\n", 4),
        ("backend = \"nexmo-sandbox\"\n[options]\nsandbox_token = \"1\"\nsid = \"9876543\"\n", 4),
    ] {
        let text = settings.lines().nth(line - 1).expect("the line");
        let key = text.split(" = ").next().expect("a key").trim_matches(['[', ']']);
        expect_refused(settings, line, key);
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_showing_its_text() {
    for (settings, line) in [
        ("backend = \"console\nsecret_key = \"9876543\"\n", 1),
        ("backend = \"console\"\nsecret_key = \"9876543\n", 2),
        ("backend = \"console\"\nsecret_key 9876543\n", 2),
        ("backend = \"console\"\nsecret_key = 9876543x\n", 2),
        ("backend = \"console\"\nsecret_key = \"9876543\"\nsecret_key = \"9876543\"\n", 3),
        ("backend = \"console\"\n9876543 = \"\"\"\n", 2),
    ] {
        // A text that never ends may be noticed at its start or at the end of the file.
        let environment = Environment::with_settings(settings);
        let run = environment.run(&["list"]);
        let is_unclosed = settings.contains("\"\"\"");
        let line = (!is_unclosed).then_some(line);
        expect_settings_error(run, &environment, "phone-verify.toml", line, "");
    }
}

#[test]
fn a_text_without_quotation_marks_is_named_as_such() {
    for (settings, line) in [
        ("backend = twilio\n", 1),
        ("backend = \"console\"\n[options]\nfrom = n9876543\n", 3),
        ("backend = \"console\"\napp_name = Shop 9876543\n", 2),
    ] {
        expect_refused(settings, line, "a text needs quotation marks");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_refused() {
    let environment = Environment::with_settings("");
    let bytes = b"backend = \"console\"\nsecret_key = \"9876543\xff\"\n";
    std::fs::write(environment.path("phone-verify.toml"), bytes).expect("our file");
    let run = environment.run(&["list"]);
    expect_settings_error(run, &environment, "phone-verify.toml", None, "");
}

#[test]
fn the_backend_must_be_given() {
    for settings in ["", "# nothing\n", "token_length = 6\n"] {
        let environment = Environment::with_settings(settings);
        let run = environment.run(&["list"]);
        expect_settings_error(run, &environment, "phone-verify.toml", None, "backend");
    }
}

#[test]
fn both_names_of_the_expiration_at_once_are_refused() {
    let environment = Environment::with_settings(
        "backend = \"console\"\nsecurity_code_expiration_time = 600\nsecurity_code_expiration_seconds = 600\n",
    );
    let run = environment.run(&["list"]);
    assert!(run.stderr.contains("security_code_expiration_time"), "{run:#?}");
    let other = "security_code_expiration_seconds";
    expect_settings_error(run, &environment, "phone-verify.toml", None, other);
}

#[test]
fn a_code_has_token_length_digits_and_six_unless_told() {
    for (settings, length) in [
        ("", 6),
        ("token_length = 8", 8),
        ("token_length = 120", 120),
        ("token_length = 1\nmin_token_length = 1", 1),
    ] {
        let environment = Environment::console(settings);
        environment.run(&["send", NUMBER]).expect_code(0);
        let codes = environment.column("SELECT security_code FROM sms_verification");
        assert_eq!(codes.len(), 1);
        assert_eq!(codes[0].len(), length, "{settings}");
        assert!(codes[0].bytes().all(|byte| byte.is_ascii_digit()), "{codes:?}");
    }
}

#[test]
fn a_token_length_below_the_least_one_is_refused() {
    let both = "token_length (5) shorter than min_token_length (6)";
    expect_refused("backend = \"console\"\ntoken_length = 5\n", 2, both);
    let environment = Environment::with_settings("backend = \"console\"\nmin_token_length = 8\n");
    let run = environment.run(&["list"]);
    expect_settings_error(run, &environment, "phone-verify.toml", None, "token_length");
    expect_accepted("backend = \"console\"\nmin_token_length = 5\ntoken_length = 5\n");
}

#[test]
fn a_code_lives_for_ten_minutes_unless_told() {
    for (settings, seconds) in [
        ("", "600"),
        ("security_code_expiration_time = 3600", "3600"),
        ("security_code_expiration_seconds = 1", "1"),
    ] {
        let environment = Environment::console(settings);
        let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
        let expires_at = run.json()["expires_at"].as_str().expect("a time").to_owned();
        let lifetime = environment.column(&format!(
            "SELECT CAST(CAST(round((julianday('{expires_at}') - julianday(created_at)) * 86400)
                AS integer) AS text) FROM sms_verification"
        ));
        assert_eq!(lifetime, [seconds]);
    }
}

#[test]
fn a_number_without_plus_needs_the_default_region() {
    for (settings, exit_code) in
        [("", 2), ("default_region = \"US\"\n", 0), ("default_region = \"us\"\n", 0)]
    {
        let environment = Environment::console(settings);
        environment.run(&["send", "(415) 555-2671"]).expect_code(exit_code);
        assert_eq!(environment.count(), usize::from(exit_code == 0), "{settings}");
    }
    expect_refused("backend = \"console\"\ndefault_region = \"9876543\"\n", 2, "default_region");
    for code in ["ZZ", "UK", "EU", "AA", "QM", "001"] {
        let settings = format!("backend = \"console\"\ndefault_region = \"{code}\"\n");
        expect_refused(&settings, 2, "default_region");
    }
}

#[test]
fn who_writes_uk_is_asked_for_gb() {
    for settings in ["default_region = \"uk\"", "[limits]\nallowed_regions = [\"US\", \"UK\"]"] {
        let environment =
            Environment::with_settings(&format!("backend = \"console\"\n{settings}\n"));
        let run = environment.run(&["migrate"]).expect_code(2);
        assert!(run.stderr.contains("GB"), "{run:#?}");
    }
}

#[test]
fn the_path_of_the_database_starts_from_the_settings_files_folder() {
    for (settings, file) in
        [("", "site/phone-verify.sqlite3"), ("[database]\npath = \"data.db\"\n", "site/data.db")]
    {
        let environment = Environment::with_settings("");
        std::fs::create_dir(environment.path("site")).expect("a folder");
        environment.write("site/settings.toml", &format!("backend = \"console\"\n{settings}"));
        environment.run(&["--config", "site/settings.toml", "migrate"]).expect_code(0);
        assert!(environment.path(file).exists(), "{:?}", environment.files());
        assert_eq!(environment.files(), ["phone-verify.toml", "site"]);
    }
    let environment = Environment::with_settings("");
    let absolute = environment.path("absolute.db");
    let settings =
        format!("backend = \"console\"\n[database]\npath = \"{}\"\n", absolute.display());
    environment.write("phone-verify.toml", &settings);
    environment.run(&["migrate"]).expect_code(0);
    assert!(absolute.exists());
}

#[test]
fn the_database_option_comes_before_the_settings() {
    let environment =
        Environment::with_settings("backend = \"console\"\n[database]\npath = \"a.db\"\n");
    std::fs::create_dir(environment.path("here")).expect("a folder");
    environment.run(&["--database", "here/b.db", "migrate"]).expect_code(0);
    assert_eq!(environment.files(), ["here", "phone-verify.toml"]);
    assert!(environment.path("here/b.db").exists());
}

#[test]
fn settings_are_read_before_the_database() {
    let environment = Environment::with_settings("backend = \"console\"\ntoken_length = 9876543\n");
    environment.execute(&[TABLE, UNIQUE_INDEX]);
    let before = std::fs::read(environment.path("phone-verify.sqlite3")).expect("a database");
    let run = environment.run(&["send", NUMBER]).expect_code(2);
    assert!(run.stderr.contains("token_length"), "{run:#?}");
    assert_eq!(std::fs::read(environment.path("phone-verify.sqlite3")).expect("it"), before);
    assert_eq!(environment.files(), ["phone-verify.sqlite3", "phone-verify.toml"]);
}
