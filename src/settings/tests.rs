use proptest::prelude::*;

use super::*;

/// Returns everything that is wrong with `text`, as it's reported.
fn problems(text: &str) -> Vec<String> {
    let problems = match Document::parse(text, Path::new("/etc/site")) {
        Ok(mut document) => {
            let settings = read(document.root());
            let (problems, _) = document.finish();
            assert!(settings.is_some() || !problems.is_empty(), "{text}");
            problems
        }
        Err(problem) => vec![problem],
    };
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn problems_come_in_the_order_of_the_file_and_missing_keys_last() {
    let text = "backend = \"twilio\"\n[hooks]\nsent = \"x\"\n[options]\nzz = 1\nsid = 1\n[delivery]\nmax_attempts = 0\n";
    assert_eq!(
        problems(text),
        [
            "line 3: `hooks.sent` must be a list of strings: a program and its arguments",
            "line 5: `options.zz` is unknown",
            "line 6: `options.sid` must be a string",
            "line 8: `delivery.max_attempts` must be a whole number from 1 to 1000",
            "line 4: `options.secret` is missing (or api_key_sid and api_key_secret)",
            "line 4: `options.from` is missing (or messaging_service_sid)",
        ]
    );
}

#[test]
fn an_item_of_a_list_is_refused_as_one() {
    let text = "backend = \"console\"\n[limits]\nallowed_regions = [\"US\", 1]\n";
    assert_eq!(problems(text), ["line 3: `limits.allowed_regions`: each item must be a string"]);
    for item in ["5", "{}", "[\"mobile\"]"] {
        let text =
            format!("backend = \"console\"\n[limits]\nallowed_types = [\"mobile\", {item}]\n");
        let problem = "line 3: `limits.allowed_types`: each item must be a string";
        assert_eq!(problems(&text), [problem], "{item}");
    }
}

#[test]
fn an_unknown_type_of_numbers_is_refused_with_those_there_are() {
    let known = "`limits.allowed_types`: each item must be one of `mobile`, `fixed_line`, \
                 `fixed_line_or_mobile`, `voip`, `toll_free`, `personal`, `premium_rate`, \
                 `shared_cost`, `pager`, `uan`, `voicemail`";
    for (name, meant) in [("Moblie", "; did you mean `mobile`?"), ("918273", "")] {
        let text = format!("backend = \"console\"\n[limits]\nallowed_types = [\"{name}\"]\n");
        assert_eq!(problems(&text), [format!("line 3: {known}{meant}")]);
    }
    let text = "backend = \"console\"\n[limits]\nallowed_types = []\n";
    assert_eq!(problems(text), ["line 3: `limits.allowed_types` must not be an empty list"]);
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    for (text, problem) in [
        (
            "backend = \"console\"\n[options]\nmessage = \"{security_code}\"\n",
            "line 3: `options.message` belongs above the first [table]",
        ),
        (
            "backend = \"console\"\n[messages]\ntoken_length = 8\n",
            "line 3: `messages.token_length` belongs above the first [table]",
        ),
        (
            "backend = \"console\"\n[limits]\nmax_per_second = 8\n",
            "line 3: `limits.max_per_second` belongs in [delivery]",
        ),
        (
            "backend = \"twilio-sandbox\"\nsid = \"AC\"\n[options]\nsandbox_token = \"1\"\n",
            "line 2: `sid` belongs in [options]",
        ),
        (
            "backend = \"console\"\n[fallback]\nbackend = \"nexmo\"\nkey = \"k\"\n\
             [fallback.options]\nkey = \"k\"\nsecret = \"s\"\nfrom = \"F\"\n",
            "line 4: `fallback.key` belongs in [fallback.options]",
        ),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
    // Which options there are isn't known without a backend.
    let text = "[options]\nsid = \"AC\"\nbackend = \"twilio\"\napp_name = \"x\"\n";
    assert_eq!(
        problems(text),
        [
            "line 3: `options.backend` belongs above the first [table]",
            "line 4: `options.app_name` belongs above the first [table]",
            "line 1: `backend` is missing",
        ]
    );
}

#[test]
fn a_key_in_capitals_is_recognised() {
    let problems = problems("BACKEND = \"console\"\nTOKEN_LENGTH = 6\n");
    assert_eq!(
        problems,
        [
            "line 1: `BACKEND` is unknown; did you mean `backend`?",
            "line 2: `TOKEN_LENGTH` is unknown; did you mean `token_length`?",
            "line 1: `backend` is missing",
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_is_reported_with_both_lines() {
    for (text, key, second, first) in [
        ("backend = \"console\"\n\nbackend = \"twilio\"\n", "backend", 3, 1),
        ("sid = 1\n[options]\nsid = 1\n[fallback.options]\nsid = 2\nsid = 3\n", "sid", 6, 5),
        ("[options]\nsid = 1\n[hooks]\n[options]\nfrom = 1\n", "options", 4, 1),
        ("\"a b\" = 1\n'a b' = 2\n", "'a b'", 2, 1),
    ] {
        let problem = format!("line {second}: not TOML: `{key}` is there already, on line {first}");
        assert_eq!(problems(text), [problem], "{text}");
    }
}

#[test]
fn curly_quotes_are_told_from_straight_ones() {
    for text in
        ["backend = “console”\n", "backend = ‘console’\n", "backend = \"console”\n", "“a” = 1\n"]
    {
        let problems = problems(text);
        assert!(problems[0].starts_with("line 1: not TOML: "), "{problems:?}");
        assert!(problems[0].contains("type straight quotes"), "{problems:?}");
    }
    let text = problems("message = \"“{security_code}”\"\nx = y\n");
    assert!(!text[0].contains("straight"), "{text:?}");
}

#[test]
fn a_date_is_no_table_and_no_secret() {
    for key in ["database", "secret_key", "backend", "hooks", "token_length"] {
        let problems = problems(&format!("{key} = 2026-01-01\n"));
        assert!(problems[0].starts_with(&format!("line 1: `{key}` must ")), "{problems:?}");
    }
}

#[test]
fn a_problem_in_one_of_several_tables_names_its_number_and_its_line() {
    let table = |keys: &str| format!("[[test_numbers]]\n{keys}\n");
    let sound = "phone_number = \"+15551234567\"\nsecurity_code = \"739142\"\nuntil = 2026-12-31";
    for (second, expected) in [
        (sound.replace("4567", "4568"), None),
        (
            sound.to_owned(),
            Some("line 7: `test_numbers.2.phone_number` is there already, in another table"),
        ),
        (
            sound.replace("+1555", "1555"),
            Some(
                "line 7: `test_numbers.2.phone_number` must be a number in E.164: + and up to 15 digits, without spaces",
            ),
        ),
        (
            sound.replace("4567", "4568").replace("739142", "-"),
            Some(
                "line 8: `test_numbers.2.security_code` must have a character that people type in a code",
            ),
        ),
        (
            sound.replace("4567", "4568").replace("2026-12-31", "\"2026-12-31\""),
            Some(
                "line 9: `test_numbers.2.until` must be a date such as 2026-12-31, without quotation marks",
            ),
        ),
        (
            sound.replace("4567", "4568").replace("2026-12-31", "2026-12-31T00:00:00Z"),
            Some(
                "line 9: `test_numbers.2.until` must be a date such as 2026-12-31, without quotation marks",
            ),
        ),
        (
            sound.replace("4567", "4568").replace("until", "untill"),
            Some("line 9: `test_numbers.2.untill` is unknown; did you mean `until`?"),
        ),
        (
            sound.replace("4567", "4568").replace("until = 2026-12-31", ""),
            Some("line 6: `test_numbers.2.until` is missing"),
        ),
    ] {
        let text = format!("backend = \"console\"\n{}{}", table(sound), table(&second));
        assert_eq!(problems(&text).first().map(String::as_str), expected, "{text}");
    }
    for (text, expected) in [
        (
            "[test_numbers]\n",
            "line 2: `test_numbers` must be a list of tables, each headed by [[test_numbers]]",
        ),
        (
            "test_numbers = [1]\n",
            "line 2: `test_numbers` must be a list of tables, each headed by [[test_numbers]]",
        ),
        ("security_code = \"739142\"\n", "line 2: `security_code` belongs in [[test_numbers]]"),
    ] {
        assert_eq!(problems(&format!("backend = \"console\"\n{text}")), [expected]);
    }
}

/// Every key that has a value, with its table.
const KEYS: [(&str, &[&str]); 10] = [
    (
        "",
        &[
            "backend",
            "token_length",
            "min_token_length",
            "message",
            "app_name",
            "security_code_expiration_time",
            "security_code_expiration_seconds",
            "verify_security_code_only_once",
            "max_failed_attempts",
            "record_retention_days",
            "secret_key",
            "default_region",
            "secret_key.env",
            "unknown",
        ],
    ),
    ("messages", &["de", "de-AT", "no_tag"]),
    ("database", &["path"]),
    ("delivery", &["timeout_seconds", "max_attempts", "max_per_second"]),
    (
        "limits",
        &[
            "resend_cooldown_seconds",
            "max_per_hour",
            "allowed_regions",
            "allowed_types",
            "max_wrong_codes_per_number_per_day",
        ],
    ),
    ("hooks", &["verified", "timeout_seconds"]),
    ("options", &OPTIONS),
    ("fallback", &["backend", "unknown"]),
    ("fallback.options", &OPTIONS),
    ("[test_numbers]", &["phone_number", "security_code", "until", "unknown"]),
];

const OPTIONS: [&str; 29] = [
    "sid",
    "secret",
    "api_key_sid",
    "api_key_secret",
    "from",
    "messaging_service_sid",
    "sandbox_token",
    "base_url",
    "key",
    "name",
    "method",
    "url",
    "bearer",
    "basic_auth.username",
    "basic_auth.password",
    "authorization.scheme",
    "authorization.credentials",
    "headers.X-Key",
    "form.a",
    "json.apikey",
    "accepted_status",
    "accepted_pointer",
    "accepted_value",
    "message_id_pointer",
    "error_code_pointer",
    "error_message_pointer",
    "retry_status",
    "command",
    "unknown",
];

/// Forms that hold a value, in the place of `V`.
const FORMS: [&str; 12] = [
    "\"V\"",
    "'''V'''",
    "[\"V\"]",
    "[[\"V\"], \"V\"]",
    "[1, \"V\"]",
    "{ env = \"V\" }",
    "{ env = \"V\", file = \"V\" }",
    "{ enf = \"V\" }",
    "{ file = [\"V\"] }",
    "{ a = { b = [{ c = \"V\" }] } }",
    "\"V",
    "V",
];

proptest! {
    #[test]
    fn no_error_shows_a_value(
        backend in prop::sample::select(vec![
            "twilio", "twilio-sandbox", "nexmo", "nexmo-sandbox", "console", "command", "http",
        ]),
        fallback in prop::sample::select(vec!["twilio", "nexmo", "command", "http"]),
        start in prop::sample::select(vec![
            "", "a, expected b", "/", "https://u:", "{", "`, expected one of `a`", "/~", "\\u0000", "“",
        ]),
        form in prop::sample::select(FORMS.to_vec()),
        kept in prop::collection::vec(prop::bool::weighted(0.4), 80),
    ) {
        let value = format!("{start}s3cretv4lue, expected s3cretv4lue");
        let mut kept = kept.into_iter().cycle();
        let mut text = String::new();
        for (table, keys) in KEYS {
            if !table.is_empty() {
                text += &format!("[{table}]\n");
            }
            for key in keys {
                let (is_kept, name) = (kept.next().unwrap_or(true), format!("{table}.{key}"));
                text += &match name.as_str() {
                    ".backend" if is_kept => format!("backend = \"{backend}\"\n"),
                    "fallback.backend" if is_kept => format!("backend = \"{fallback}\"\n"),
                    // A table and a value can't have the same name.
                    ".secret_key.env" => continue,
                    _ if is_kept => format!("{key} = {}\n", form.replace('V', &value)),
                    _ => continue,
                };
            }
        }
        for problem in problems(&text) {
            prop_assert!(!problem.contains("s3cretv4lue"), "{}\n{}", problem, text);
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "([a-z]|[\\[\\]={}\"'.“”é\u{0}\n \t#,1]|a=|b = |\n\\[a|\"x\"){0,40}") {
        for problem in problems(&text) {
            prop_assert!(problem.starts_with("line "), "{}", problem);
        }
    }

    #[test]
    fn a_number_is_never_shown(number in 1_000_000_000_i64..i64::MAX, is_float: bool) {
        let number = if is_float { format!("{number}.5") } else { number.to_string() };
        for backend in ["twilio", "nexmo", "command", "http"] {
            let mut text = format!("backend = \"{backend}\"\n");
            for (table, keys) in KEYS {
                if !table.is_empty() {
                    text += &format!("[{table}]\n");
                }
                let keys = keys.iter().filter(|key| !["backend", "secret_key.env"].contains(key));
                keys.for_each(|key| text += &format!("{key} = {number}\n"));
            }
            for problem in problems(&text) {
                prop_assert!(!problem.contains(&number[..10]), "{}", problem);
            }
        }
    }
}
