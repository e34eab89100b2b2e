//! `init`: what it writes from options, and what it refuses.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Environment, FakeProvider, Reply, Run, read_from_repository, run_command};

pub(crate) const SETTINGS: &str = "phone-verify.toml";
pub(crate) const SECRET: &str = "phone-verify.secret";
/// A value in place of a secret, which no output may show.
pub(crate) const VALUE: &str = "s3cret+value";

pub(crate) fn environment() -> Environment {
    Environment::without_settings()
}

/// Runs `init` with these options, separated by spaces, and without asking a provider.
pub(crate) fn init(environment: &Environment, options: &str) -> Run {
    let options = ["init", "--offline"].into_iter().chain(options.split_whitespace());
    environment.run(&options.collect::<Vec<_>>())
}

/// Returns the settings that were written.
#[track_caller]
pub(crate) fn written(environment: &Environment) -> toml::Table {
    assert_eq!(environment.mode(SETTINGS), 0o600);
    environment.read(SETTINGS).parse().expect("TOML")
}

/// Asserts that `run` is a usage error that names `part` and shows no secret, and that it left nothing behind.
#[track_caller]
fn expect_refusal(run: Run, environment: &Environment, part: &str) {
    let run = run.expect_code(2);
    assert!(run.stdout.is_empty() && run.stderr.starts_with("error: "), "{run:#?}");
    assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    assert!(!run.stderr.contains(VALUE), "{run:#?}");
    assert!(!environment.files().iter().any(|file| file.contains("phone-verify")), "{run:#?}");
}

#[test]
fn the_example_is_built_in() {
    let environment = environment();
    let mut command = environment.command(&["--color", "never", "init", "--example"]);
    command.env("PHONE_VERIFY_CONFIG", "elsewhere.toml");
    let run = run_command(command).expect_code(0);
    assert_eq!(run.stdout, read_from_repository("phone-verify.toml.example"));
    assert!(run.stderr.is_empty() && environment.files().is_empty(), "{run:#?}");
}

#[test]
fn the_file_is_the_example_with_what_was_chosen() {
    let environment = environment();
    let options = "--backend nexmo --set options.key=12345678 --set options.from=+14155552671
        --secret-env API_SECRET --set limits.allowed_regions=[\"US\",\"CA\"] --set default_region=US
        --set fallback.backend=console --set messages.fr={app}:{security_code}
        --set delivery.max_attempts=2";
    let run = init(&environment, options).expect_code(1);
    assert!(
        run.stdout.starts_with(
            "Wrote phone-verify.toml.\nCreated the database phone-verify.sqlite3.\nSettings\n"
        ),
        "{run:#?}"
    );
    assert_eq!(environment.mode("phone-verify.sqlite3"), 0o600);
    let expected: toml::Table = "
        backend = 'nexmo'
        security_code_expiration_time = 600
        verify_security_code_only_once = true
        default_region = 'US'
        options = { key = '12345678', secret = { env = 'API_SECRET' }, from = '+14155552671' }
        messages = { fr = '{app}:{security_code}' }
        database = {}
        delivery = { max_attempts = 2 }
        hooks = {}
        fallback = { backend = 'console' }
        [limits]
        resend_cooldown_seconds = 60
        max_per_number_per_day = 10
        allowed_regions = ['US', 'CA']"
        .parse()
        .expect("TOML");
    assert_eq!(written(&environment), expected);
    // Each line of the example is there, but for its introduction and the keys that are set.
    let text = environment.read(SETTINGS);
    let bare = |line: &str| line.trim_start_matches("# ").to_owned();
    let lines: Vec<_> = text.lines().map(bare).collect();
    let example = read_from_repository("phone-verify.toml.example");
    let (_, example) = example.split_once("\n\n").expect("an introduction");
    let missing: Vec<_> = example.lines().map(bare).filter(|line| !lines.contains(line)).collect();
    let changed = [
        "backend = \"twilio-sandbox\"",
        "security_code_expiration_time = 3600",
        "verify_security_code_only_once = false",
        "key = \"abcd1234\"",
        "secret = { env = \"VONAGE_API_SECRET\" }",
        "from = \"Phone Verify\"",
        "max_attempts = 4",
    ];
    assert!(missing.iter().all(|line| changed.contains(&line.as_str())), "{missing:#?}");
    // Vonage's options are in Vonage's paragraph, and Twilio's are comments.
    let (twilio, vonage) = text.split_once("# Vonage (nexmo)").expect("a paragraph");
    assert!(
        twilio.contains("\n# secret = \"fake\"\n") && vonage.contains("\nsecret = { env"),
        "{text}"
    );
}

#[test]
fn doctor_checks_what_was_written_and_its_failure_is_the_end() {
    let environment = environment();
    let run = init(&environment, "--backend twilio-sandbox --set options.sandbox_token=123456")
        .expect_code(0);
    assert!(run.stdout.contains(" warning  backend: twilio-sandbox sends no SMS"), "{run:#?}");
    assert!(run.stdout.ends_with("checks: 21 ok, 1 warning, 0 failures.\n"), "{run:#?}");
    assert_eq!(run.stderr, "");
    assert_eq!(written(&environment)["options"]["sandbox_token"].as_str(), Some("123456"));

    let provider = FakeProvider::twilio();
    let account: toml::Table = provider.settings("", "").parse().expect("TOML");
    let value = |key: &str| account["options"][key].as_str().expect("a string").to_owned();
    let [sid, from, base_url] =
        ["sid", "from", "base_url"].map(|key| format!("--set=options.{key}={}", value(key)));
    for code in [0, 1] {
        let environment = self::environment();
        let mut command = environment.command(&[
            "--config=a.toml",
            "init",
            "--backend=twilio",
            "--secret-env=TOKEN",
            &sid,
            &from,
            &base_url,
        ]);
        command.env("TOKEN", value("secret"));
        if code == 1 {
            provider.answer_questions_with(|_| Reply::twilio_error(401, 20003, "Authenticate"));
        }
        let run = run_command(command).expect_code(code);
        let failed = "error: the settings are written, but a check failed\n\
             hint: correct what failed, then check again: phone-verify --config a.toml doctor\n";
        assert_eq!(run.stderr, if code == 0 { "" } else { failed }, "{run:#?}");
        assert!(provider.accepted().is_empty(), "without questions nothing is sent");
    }
}

#[test]
fn the_result_in_json_comes_before_the_checks() {
    let environment = environment();
    let run = environment.run(&["--format", "json", "init", "--backend", "console"]).expect_code(0);
    let lines = run.json_lines();
    let result = serde_json::json!({
        "settings": SETTINGS, "secret_files": [], "database_created": true, "left_out": []
    });
    assert_eq!(lines[0], result);
    assert!(
        lines.len() > 10 && lines[1..].iter().all(|line| line["check"].is_string()),
        "{run:#?}"
    );
}

#[test]
fn what_makes_no_settings_is_refused_and_nothing_is_written() {
    let environment = environment();
    let twilio = "--backend twilio --set options.sid=AC --set options.from=+14155552671";
    for (options, part) in [
        ("--example", "cannot be used with '--example'"),
        ("", "hint: phone-verify init --backend twilio --set options.sid="),
        ("--backend twillio", "`backend` must be twilio, "),
        ("--backend twilio", "`options.sid` is missing\nhint: give it: --set options.sid=VALUE"),
        (
            twilio,
            "`options.secret` is missing (or api_key_sid and api_key_secret)\nhint: name an environment variable that holds it: --secret-env NAME",
        ),
        ("--backend console --set backend=twilio", "`backend` is set twice"),
        ("--backend console --set token_length=500", "`token_length` must be a whole number"),
        ("--backend console --set tokn_length=5", "did you mean `token_length`?"),
        ("--backend console --set sid=5", "`sid` is unknown"),
        ("--backend console --set limits={sid=5}", "`limits.sid` is unknown"),
        ("--backend console --set message=hello", "`message` must hold `{security_code}`"),
        ("--backend console --set s3cret+value", "--set takes a key and its value"),
        ("--backend console --set =s3cret+value", "--set takes a key and its value"),
        ("--backend console --set a..b=s3cret+value", "--set takes a key and its value"),
        ("--backend console --secret-env s3cret+value", "--secret-env: the name of a variable"),
        (
            &format!("{twilio} --secret-env A --set options.secret={{}}"),
            "`options.secret` is what --secret-env sets",
        ),
        // A secret doesn't belong on a command line.
        (&format!("{twilio} --set options.secret={VALUE}"), "`options.secret` is a secret"),
        (&format!("{twilio} --set options.secret=\"{VALUE}\""), "--secret-env NAME"),
        (
            &format!("--backend console --set secret_key={VALUE}"),
            "\nhint: name an environment variable with `--set 'secret_key={ env = \"NAME\" }'`, or a file with ",
        ),
        (
            &format!(
                "--backend http --set options.url=https://a.example/{{phone_number}}/{{message}} --set options.headers.X-Key={VALUE}"
            ),
            "`options.headers.X-Key` is a secret",
        ),
    ] {
        expect_refusal(init(&environment, options), &environment, part);
    }
}

#[test]
fn a_value_is_toml_if_its_key_takes_that_and_a_string_otherwise() {
    let url = "--backend http --set options.url=https://a.example/{phone_number}/{message}";
    for (setting, key, expected) in [
        ("app_name=12", "app_name", "'12'"),
        ("app_name=\"12\"", "app_name", "'12'"),
        ("app_name=2026-11-23", "app_name", "'2026-11-23'"),
        ("token_length=12", "token_length", "12"),
        ("message={security_code}", "message", "'{security_code}'"),
        ("options.form.n=12", "options", "{ url = 'URL', form = { n = 12 } }"),
        ("options.form.n=+12", "options", "{ url = 'URL', form = { n = '+12' } }"),
        ("options={url=\"URL\",form={}}", "options", "{ url = 'URL', form = {} }"),
        ("fallback={backend=\"console\",options={}}", "fallback", "{ backend = 'console' }"),
        ("hooks.sent=[\"true\"]", "hooks", "{ sent = ['true'] }"),
    ] {
        let environment = environment();
        let run = init(&environment, &format!("{url} --set {setting}"));
        let (_, address) = url.split_once("url=").expect("a URL");
        let expected = format!("{key} = {}", expected.replace("URL", address));
        let expected: toml::Table = expected.parse().expect("TOML");
        assert_eq!(written(&environment)[key], expected[key], "{setting}: {run:#?}");
    }
}

#[test]
fn an_api_key_takes_the_place_of_the_secret() {
    let environment = environment();
    let options = "--backend twilio --set options.sid=AC --set options.from=A
        --set options.api_key_sid=SK --secret-env HOME";
    init(&environment, options).expect_code(0);
    let options = &written(&environment)["options"];
    assert_eq!(options["api_key_secret"]["env"].as_str(), Some("HOME"), "{options}");
    assert!(options.get("secret").is_none(), "{options}");
}

#[test]
fn nothing_is_overwritten_and_no_link_is_followed() {
    let environment = environment();
    environment.write(
        "django.py",
        &format!(
            "PHONE_VERIFICATION = {{'OPTIONS': {{'SID': 'AC', 'FROM': 'A', 'SECRET': '{VALUE}'}}}}"
        ),
    );
    let from_django = "--backend twilio --from-django django.py";
    for taken in [SETTINGS, SECRET] {
        environment.write(taken, "precious");
        let run = init(&environment, from_django).expect_code(2);
        let error = format!("error: {taken} is there already, and init overwrites nothing\n");
        assert!(run.stdout.is_empty() && run.stderr.starts_with(&error), "{run:#?}");
        assert_eq!(environment.read(taken), "precious");
        fs::remove_file(environment.path(taken)).expect("it is there");
        assert_eq!(environment.files(), ["django.py"]);

        symlink("elsewhere", environment.path(taken)).expect("a link");
        let run = init(&environment, from_django).expect_code(2);
        assert!(run.stderr.starts_with(&error), "{run:#?}");
        fs::remove_file(environment.path(taken)).expect("it is there");
        assert_eq!(environment.files(), ["django.py"]);
    }
    let run = environment.run(&["--config", "nowhere/a.toml", "init", "--backend", "console"]);
    let error = "error: nowhere/a.toml can't be written: No such file or directory\n";
    assert_eq!(run.expect_code(1).stderr, error);
}

#[test]
fn a_place_that_is_not_trusted_is_told() {
    let environment = environment();
    environment.set_mode("", 0o775);
    let run = init(&environment, "--backend console").expect_code(0);
    for part in ["warning: ", "isn't trusted", "mode 775", "`chmod go-w "] {
        assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    }
    fs::remove_file(environment.path(SETTINGS)).expect("it is there");
    let named = environment.run(&["--config", SETTINGS, "init", "--backend", "console"]);
    assert_eq!(named.expect_code(0).stderr, "");
}

#[test]
fn a_server_is_set_without_its_password() {
    let environment = environment();
    let url = "database.url=postgresql://u@127.0.0.1:1/d";
    let own = url.replace("u@", &format!("u:{VALUE}@"));
    let hint = "name an environment variable with `--set 'database.password={ env = ";
    for (settings, hint) in [
        (own, &format!("\nhint: leave the password out of the address, and {hint}")),
        (format!("{url} --set database.password={VALUE}"), &format!("\nhint: {hint}")),
    ] {
        let run = init(&environment, &format!("--backend console --set {settings}")).expect_code(2);
        assert!(run.stderr.contains(hint), "{run:#?}");
        assert!(!run.stderr.contains(VALUE), "{run:#?}");
        assert!(environment.files().is_empty());
    }
    let set_password = "--set database.password={env=\"HOME\"}";
    init(&environment, &format!("--backend console --set {url} {set_password}"));
    let database: toml::Table =
        "url = 'postgresql://u@127.0.0.1:1/d'\npassword = { env = 'HOME' }".parse().expect("TOML");
    assert_eq!(written(&environment)["database"].as_table(), Some(&database));
}
