//! `init --from-django`: what it takes over from the settings module of a Django site.

use crate::init::{SECRET, SETTINGS, VALUE, environment, init, written};

#[test]
fn plain_literals_of_a_django_site_are_taken_over_and_the_rest_is_named() {
    let environment = environment();
    environment.write(
        "settings.py",
        "import os\n\
         raise SystemExit('never run')\n\
         SECRET_KEY = 'signing-' 'key'\n\
         DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/srv/site/db.sqlite3'}}\n\
         PHONE_VERIFICATION = {\n\
         \x20   'BACKEND': 'phone_verify.backends.twilio.TwilioBackend',\n\
         \x20   'OPTIONS': {'SID': 'AC\\x31', 'SECRET': 's3cret+value', 'FROM': '+14155552671',\n\
         \x20               'BASE': None, 'SANDBOX_TOKEN': 123456},\n\
         \x20   'TOKEN_LENGTH': 8,  # digits\n\
         \x20   'MESSAGE': ('{app}: '\n\
         \x20               '{security_code}'),\n\
         \x20   'APP_NAME': os.environ['NAME'],\n\
         \x20   'SECURITY_CODE_EXPIRATION_SECONDS': 3600,\n\
         \x20   'VERIFY_SECURITY_CODE_ONLY_ONCE': False,\n\
         \x20   'MAX_FAILED_ATTEMPTS': 5 * 2,\n\
         \x20   'THROTTLE': 1,\n\
         }\n\
         if True:\n\
         \x20   PHONE_VERIFICATION['TOKEN_LENGTH'] = 4\n\
         \x20   DATABASES['default']['NAME'] = '/elsewhere'\n",
    );
    let run = init(&environment, "--from-django settings.py --set max_failed_attempts=3");
    let run = run.expect_code(1);
    assert!(
        run.stdout.starts_with(
            "Wrote phone-verify.toml, phone-verify.secret_key, phone-verify.secret.\nSettings\n"
        ),
        "{run:#?}"
    );
    let warnings: Vec<_> =
        run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(
        warnings,
        [
            "warning: line 8: PHONE_VERIFICATION['OPTIONS']['BASE'] is left out: it is None",
            "warning: line 8: PHONE_VERIFICATION['OPTIONS']['SANDBOX_TOKEN'] is left out: `options.sandbox_token` must be a string",
            "warning: line 12: PHONE_VERIFICATION['APP_NAME'] is left out: it isn't a plain literal",
            "warning: line 16: PHONE_VERIFICATION['THROTTLE'] is left out: `throttle` is unknown",
            "warning: line 19: PHONE_VERIFICATION is left out: it is used again, which may change what is taken over",
            "warning: line 20: DATABASES is left out: it is used again, which may change what is taken over",
        ]
    );
    let expected: toml::Table = "
        backend = 'phone_verify.backends.twilio.TwilioBackend'
        token_length = 8
        message = '{app}: {security_code}'
        security_code_expiration_seconds = 3600
        verify_security_code_only_once = false
        max_failed_attempts = 3
        secret_key = { file = 'phone-verify.secret_key' }
        options = { sid = 'AC1', secret = { file = 'phone-verify.secret' }, from = '+14155552671' }
        messages = {}
        database = { path = '/srv/site/db.sqlite3' }
        delivery = {}
        hooks = {}
        limits = { resend_cooldown_seconds = 60, max_per_number_per_day = 10 }"
        .parse()
        .expect("TOML");
    assert_eq!(written(&environment), expected);
    for (file, secret) in [(SECRET, VALUE), ("phone-verify.secret_key", "signing-key")] {
        assert_eq!(
            (environment.read(file), environment.mode(file)),
            (format!("{secret}\n"), 0o600)
        );
    }
    for text in [&run.stdout, &run.stderr, &environment.read(SETTINGS)] {
        assert!(!text.contains(VALUE) && !text.contains("signing-key"), "{text}");
    }
}

#[test]
fn the_server_of_a_django_site_is_taken_over_with_its_password() {
    let site = "PHONE_VERIFICATION = {'BACKEND': 'console'}\nDATABASES = {'default': {\n";
    let engine = "'ENGINE': 'django.db.backends.postgresql', ";
    for (items, url, has_password, left_out) in [
        (
            "'NAME': 'site', 'USER': 'web', 'PASSWORD': 's3cret+value', 'HOST': '127.0.0.1', 'PORT': 1",
            Some("postgresql://web@127.0.0.1:1/site"),
            true,
            None,
        ),
        (
            "'NAME': 'a b', 'USER': 'a:b@', 'PASSWORD': '', 'HOST': '/no/such', 'PORT': '',\n\
             'OPTIONS': {'pool': True}",
            Some("postgresql://a%3Ab%40@%2Fno%2Fsuch/a%20b"),
            false,
            Some(
                "4: DATABASES['default']['OPTIONS'] is left out: add what applies, such as sslmode, to database.url",
            ),
        ),
        (
            "'NAME': 'site', 'HOST': '::1', 'PORT': '1',\n'PASSWORD': os.environ['PASSWORD']",
            Some("postgresql://%3A%3A1:1/site"),
            false,
            Some("4: DATABASES['default']['PASSWORD'] is left out: it isn't a plain literal"),
        ),
        (
            "'NAME': 'site', 'HOST': env('HOST'), 'PASSWORD': 's3cret+value'",
            None,
            false,
            Some("3: DATABASES['default']['HOST'] is left out: it isn't a plain literal"),
        ),
    ] {
        let environment = environment();
        environment.write("settings.py", &format!("{site}{engine}{items}}}}}\n"));
        let run = init(&environment, "--from-django settings.py");
        let written = written(&environment);
        let database = written["database"].as_table().expect("a table");
        assert_eq!(database.get("url").and_then(toml::Value::as_str), url, "{run:#?}");
        assert!(database.get("path").is_none(), "{database}");
        let password = database.get("password").map(|password| password["file"].to_string());
        let file = "phone-verify.database.password";
        assert_eq!(password, has_password.then(|| format!("\"{file}\"")));
        let secret = if has_password { format!("{VALUE}\n") } else { String::new() };
        assert_eq!(environment.read(file), secret);
        let warning = run.stderr.lines().find_map(|line| line.strip_prefix("warning: line "));
        assert_eq!(warning, left_out, "{run:#?}");
        assert!(!run.stdout.contains(VALUE) && !run.stderr.contains(VALUE), "{run:#?}");
    }
    // What the options name goes first.
    for (given, key) in [("database.path=own.db", "path"), ("database.url=host=/no/such", "url")] {
        let environment = environment();
        let items = format!("{engine}'NAME': 'site', 'PASSWORD': '{VALUE}'");
        environment.write("settings.py", &format!("{site}{items}}}}}\n"));
        let options = format!("--from-django settings.py --set {given}");
        let run = init(&environment, &options);
        let database = &written(&environment)["database"];
        assert!(given.ends_with(database[key].as_str().expect("text")), "{run:#?}");
    }
}

#[test]
fn what_a_django_site_has_and_the_settings_can_not_have_is_named_and_left_out() {
    let database = "DATABASES['default']['NAME']";
    for (module, setting, reason) in [
        ("DATABASES = {'default': {'NAME': '/a'}}", database, "it isn't written in plain literals"),
        ("DATABASES = {**base()}", database, "it isn't written in plain literals"),
        (
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.mysql', 'NAME': 'a'}}",
            database,
            "it isn't a database of SQLite or PostgreSQL",
        ),
        (
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}",
            database,
            "it isn't an absolute path",
        ),
        (
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE / 'db'}}",
            database,
            "it isn't a plain literal",
        ),
        (
            "PHONE_VERIFICATION = {'BACKEND': 'console', **more}",
            "PHONE_VERIFICATION",
            "it has a key that isn't a plain string",
        ),
        (
            "PHONE_VERIFICATION = {'BACKEND': 'console', 'hooks.sent': ['rm']}",
            "PHONE_VERIFICATION",
            "it has a key that the settings can't have",
        ),
        (
            "PHONE_VERIFICATION = {'BACKEND': 'console', 'MAX_FAILED_ATTEMPTS': 0.5}",
            "PHONE_VERIFICATION['MAX_FAILED_ATTEMPTS']",
            "`max_failed_attempts` must be ",
        ),
    ] {
        let environment = environment();
        let module = format!("PHONE_VERIFICATION = {{'BACKEND': 'console'}}\n{module}\n");
        environment.write("settings.py", &module);
        let run = init(&environment, "--from-django settings.py");
        let warnings: Vec<_> = run.stderr.lines().filter(|it| it.starts_with("warning")).collect();
        let [warning] = warnings[..] else { panic!("{module}: {run:#?}") };
        let expected = format!("warning: line 2: {setting} is left out: {reason}");
        assert!(warning.starts_with(&expected), "{module}: {warning}");
        let written = written(&environment);
        assert!(written["database"].as_table().is_some_and(|it| it.is_empty()), "{written}");
        assert!(written["hooks"].as_table().is_some_and(|it| it.is_empty()), "{written}");
    }
}

#[test]
fn a_list_of_a_django_site_is_taken_over() {
    let environment = environment();
    let module =
        "PHONE_VERIFICATION = {'BACKEND': 'command', 'OPTIONS': {'COMMAND': ['./sms', \"a b\"]}}";
    environment.write("settings.py", module);
    init(&environment, "--from-django settings.py");
    let command = written(&environment)["options"]["command"].to_string();
    assert_eq!(command, "[\"./sms\", \"a b\"]");
}

#[test]
fn a_django_site_without_plain_settings_is_an_error() {
    let environment = environment();
    for (module, part) in [
        ("", "settings.py: it doesn't set PHONE_VERIFICATION at the top level\nhint: "),
        (
            "\nPHONE_VERIFICATION = load()",
            "settings.py: line 2: PHONE_VERIFICATION isn't a plain dict",
        ),
        (
            "PHONE_VERIFICATION = {'BACKEND': 'site.Backend'}",
            "`backend` is missing\nhint: name the provider: --backend NAME",
        ),
        (
            "PHONE_VERIFICATION = {'BACKEND': 'twilio', 'OPTIONS': {'SID': 'a', 'FROM': 'b', 'SECRET': f()}}",
            "--secret-env NAME",
        ),
    ] {
        environment.write("settings.py", module);
        let run = init(&environment, "--from-django settings.py").expect_code(2);
        assert!(run.stderr.contains(part), "{run:#?}");
        assert_eq!(environment.files(), ["settings.py"]);
    }
    let run = init(&environment, "--from-django nowhere.py").expect_code(2);
    assert!(run.stderr.starts_with("error: nowhere.py: No such file"), "{run:#?}");
    // What is given isn't missed.
    let run = init(&environment, "--from-django settings.py --secret-env HOME").expect_code(1);
    assert!(!run.stderr.contains("warning"), "{run:#?}");
    assert_eq!(written(&environment)["options"]["secret"]["env"].as_str(), Some("HOME"));
}
