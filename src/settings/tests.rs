use std::collections::BTreeSet;
use std::sync::LazyLock;

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
fn the_longest_send_has_all_attempts_with_the_backend_and_its_fallback() {
    let fallback = "[fallback]\nbackend = \"nexmo\"\n\
                    [fallback.options]\nkey = \"k\"\nsecret = \"s\"\nfrom = \"F\"\n";
    let short = "[delivery]\nmax_attempts = 1\ntimeout_seconds = 5\n";
    for (tables, seconds) in [
        (String::new(), 4 * (15 + 60)),
        (fallback.to_owned(), 2 * 4 * (15 + 60)),
        (format!("{short}{fallback}"), 2 * (5 + 60)),
    ] {
        let text = format!("backend = \"console\"\n{tables}");
        let mut document = Document::parse(&text, Path::new("/etc/site")).unwrap();
        let settings = read(document.root()).unwrap();
        assert_eq!(settings.longest_send(), TimeDelta::seconds(seconds), "{tables}");
    }
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

/// Keys that serde doesn't list: the languages, and what is in tables of options.
const FURTHER: [(&str, &str); 10] = [
    ("messages", "de"),
    ("messages", "de-AT"),
    ("messages", "no_tag"),
    ("options", "basic_auth.username"),
    ("options", "basic_auth.password"),
    ("options", "authorization.scheme"),
    ("options", "authorization.credentials"),
    ("options", "headers.X-Key"),
    ("options", "form.a"),
    ("options", "json.apikey"),
];

/// Every key of a settings file that isn't a table, with its table, whatever the backend and its fallback are.
static KEYS: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    for kind in backends::kinds() {
        let text = format!("backend = \"{0}\"\n[fallback]\nbackend = \"{0}\"\n", kind.name());
        let mut document = Document::parse(&text, Path::new("")).unwrap();
        read(document.root());
        for (table, keys) in document.tables() {
            tables.entry(table.to_owned()).or_default().extend(keys);
        }
    }
    for (table, key) in FURTHER {
        for (_, keys) in tables.iter_mut().filter(|(name, _)| name.ends_with(table)) {
            keys.insert(key.to_owned());
        }
    }
    let full = |table: &str, key: &str| match table {
        "" => key.to_owned(),
        _ => format!("{table}.{key}"),
    };
    let all = tables.iter().flat_map(|(table, keys)| keys.iter().map(|key| full(table, key)));
    let all: Vec<_> = all.collect();
    for (table, keys) in &mut tables {
        keys.retain(|key| {
            let key = full(table, key);
            !all.iter().any(|other| *other != key && is_within(other, &key))
        });
    }
    tables
});

/// Returns the header of the table called `name` as a file has it. There is none above the first table.
fn header(name: &str) -> String {
    match (name, name.strip_suffix(".1")) {
        ("", _) => String::new(),
        (_, Some(list)) => format!("[[{list}]]\n"),
        (table, None) => format!("[{table}]\n"),
    }
}

#[test]
fn the_example_documents_every_key() {
    let text = include_str!("../../phone-verify.toml.example");
    for (table, keys) in &*KEYS {
        assert!(text.contains(&header(table)), "{table} is not documented");
        // Languages are anybody's choice.
        let keys = keys.iter().filter(|_| table != "messages");
        for key in keys.map(|key| key.split('.').next().unwrap_or_default()) {
            let mut lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
            let is_shown =
                lines.any(|line| line.strip_prefix(key).is_some_and(|it| it.starts_with(" = ")));
            assert!(is_shown || text.contains(&format!("`{key}`")), "{key} is not documented");
        }
    }
    let names = backends::kinds().map(backends::Kind::name);
    for name in names.chain(["vonage", "{ env =", "{ file ="]) {
        assert!(text.contains(name), "{name} is not documented");
    }
}

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
        for (table, keys) in &*KEYS {
            text += &header(table);
            for key in keys.iter().map(String::as_str).chain(["unknown"]) {
                if !kept.next().unwrap_or(true) {
                    continue;
                }
                text += &match (table.as_str(), key) {
                    ("", "backend") => format!("backend = \"{backend}\"\n"),
                    ("fallback", "backend") => format!("backend = \"{fallback}\"\n"),
                    _ => format!("{key} = {}\n", form.replace('V', &value)),
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
            for (table, keys) in &*KEYS {
                text += &header(table);
                let keys = keys.iter().filter(|key| *key != "backend");
                keys.for_each(|key| text += &format!("{key} = {number}\n"));
            }
            for problem in problems(&text) {
                prop_assert!(!problem.contains(&number[..10]), "{}", problem);
            }
        }
    }
}
