//! Where the database is, in the settings and on the command line: on a server, and with a password that nobody sees.

use crate::support::postgres::{Database, Kind, PASSWORD};
use crate::support::{
    Checks, Environment, NUMBER, Run, expect_accepted, expect_refused, hook, run_command,
};

/// A password that no output may show.
const SECRET: &str = "s3cret-9876543";

/// Returns settings on the console backend with these keys in `[database]`.
fn settings(keys: &str) -> String {
    format!("backend = \"console\"\n[database]\n{keys}\n")
}

/// Returns the address of `database` through TCP, without the password.
fn without_password(database: &Database) -> String {
    database.tcp_url().replace(&format!(":{PASSWORD}@"), "@")
}

/// Runs the program with these variables.
fn run_with(environment: &Environment, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = environment.command(arguments);
    command.envs(variables.iter().copied());
    run_command(command)
}

/// Returns the checks of `doctor`, whatever they say of the database.
fn doctor(environment: &Environment) -> Checks {
    Checks::from_run(environment.run(&["--format", "json", "doctor"]))
}

/// Returns how many records `database` has.
fn count(database: &Database) -> Option<String> {
    database.query("SELECT count(*) FROM sms_verification").remove(0).remove(0)
}

#[test]
fn an_address_beside_a_path_and_a_password_too_many_are_refused() {
    for (keys, line, key) in [
        ("url = \"postgresql://9876543@h/d\"\npath = \"9876543\"", 3, "database.url"),
        ("path = \"9876543\"\npassword = \"9876543\"", 4, "database.password"),
        ("path = \"~/9876543\"", 3, "`database.path` is taken as it is written"),
        ("path = \"$HOME/9876543\"", 3, "`database.path` is taken as it is written"),
        (
            "url = \"postgresql://u:9876543@h/d\"\npassword = { env = \"E\" }",
            4,
            "database.password",
        ),
        ("url = \"host=h password=9876543\"\npassword = \"9876543\"", 4, "database.password"),
    ] {
        expect_refused(&settings(keys), line, key);
    }
    for keys in [
        "url = \"postgresql://u:9876543@h/d\"",
        "url = \"host=h user='a b'\"\npassword = { file = \"no-such-file\" }",
        "url = \"postgresql:///\"\npassword = \"9876543\"",
        "path = \"./~/$a\"",
    ] {
        expect_accepted(&settings(keys));
    }
}

#[test]
fn the_password_is_looked_up_like_every_other_secret() {
    let Some(database) = Kind::Plain.database() else { return };
    let url = without_password(&database);
    for (password, missing) in [
        (format!("\"{PASSWORD}\""), None),
        ("{ env = \"THE_PASSWORD\" }".to_owned(), Some("THE_PASSWORD is not set")),
        ("{ file = \"password\" }".to_owned(), Some("password can't be read")),
    ] {
        let keys = format!("url = \"{url}\"\npassword = {password}");
        let environment = Environment::with_settings(&settings(&keys));
        if let Some(missing) = missing {
            let run = environment.run(&["migrate"]).expect_code(2);
            assert!(run.stderr.starts_with("error: database.password: "), "{run:#?}");
            assert!(run.stderr.contains(missing) && run.stderr.contains("hint: "), "{run:#?}");
        }
        environment.write("password", &format!("{PASSWORD}\n"));
        for arguments in [&["migrate"][..], &["send", NUMBER], &["list"]] {
            let arguments = [&["-vvv"], arguments].concat();
            let run = run_with(&environment, &[("THE_PASSWORD", PASSWORD)], &arguments);
            let run = run.expect_code(0);
            assert!(run.stderr.contains(&format!("the database is {url}\n")), "{run:#?}");
            assert!(!run.stderr.contains(PASSWORD) && !run.stdout.contains(PASSWORD), "{run:#?}");
        }
    }
    assert_eq!(count(&database).as_deref(), Some("1"));
}

#[test]
fn a_password_in_the_settings_is_a_secret() {
    for keys in [
        format!("url = \"postgresql://u:{SECRET}@127.0.0.1:1/d\""),
        format!("url = \"postgresql://u@127.0.0.1:1/d\"\npassword = \"{SECRET}\""),
    ] {
        let environment = Environment::with_settings(&settings(&keys));
        let checks = doctor(&environment);
        checks.expect("settings.secrets", "warning", &["a secret is in the file"]);
        environment.set_mode("phone-verify.toml", 0o644);
        let checks = doctor(&environment);
        checks.expect("settings.permissions", "warning", &["holds a secret"]);
        let run = environment.run(&["list"]).expect_code(1);
        let warning = "warning: phone-verify.toml holds a secret and can be read by others";
        assert!(run.stderr.contains(warning), "{run:#?}");
        assert!(run.stderr.contains("postgresql://u@127.0.0.1:1/d"), "{run:#?}");
        assert!(!run.stderr.contains(SECRET), "{run:#?}");
    }
    let keys = "url = \"postgresql://u@127.0.0.1:1/d\"\npassword = { env = \"UNSET\" }";
    let checks = doctor(&Environment::with_settings(&settings(keys)));
    checks.expect("settings.secrets", "ok", &[]);
    checks.expect("settings.database.password", "failure", &["UNSET is not set"]);
}

#[test]
fn the_option_and_the_variable_take_an_address_too() {
    let Some(database) = Kind::Plain.database() else { return };
    let address = database.address();
    let keywords = format!(
        "host={} port={} dbname={} user=postgres",
        address.directory.display(),
        address.port,
        database.name()
    );
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.run(&["--database", &database.url(), "migrate"]).expect_code(0);
    for text in [database.url(), database.tcp_url(), keywords] {
        environment.run(&["--database", &text, "send", NUMBER]).expect_code(0);
        let variables = [("PHONE_VERIFY_DATABASE", text.as_str())];
        run_with(&environment, &variables, &["send", NUMBER]).expect_code(0);
    }
    assert_eq!(count(&database).as_deref(), Some("1"));
    environment.expect_no_database();
}

#[test]
fn no_text_that_was_meant_as_an_address_is_shown_with_its_password() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    for (text, part) in [
        (format!("postgresql://u:{SECRET}@h/d?sslmod=require"), "did you mean `sslmode`?"),
        (format!("postgresql://u:{SECRET}/@h/d"), "`/` in a password as %2F"),
        (format!("mysql://u:{SECRET}@h/d"), "must begin with postgresql://"),
        (format!("postgresql+psycopg://u:{SECRET}@h/d"), "must begin with postgresql://"),
        (format!("pasword={SECRET} host=h"), "did you mean `password`?"),
        (format!("host=h pasword={SECRET}"), "did you mean `password`?"),
        (format!("host=h port={SECRET}"), "port must be a number"),
    ] {
        for command in [&["list"][..], &["doctor"], &["init", "--backend", "console"]] {
            for options in [&[][..], &["-v"], &["-vvv"], &["--format", "json"]] {
                let given = ["--config", "new.toml", "--database", &text];
                let skipped = if command[0] == "init" { 0 } else { 2 };
                let arguments = [options, &given[skipped..], command].concat();
                let variable = [options, &given[skipped..2], command].concat();
                let variables = [("PHONE_VERIFY_DATABASE", text.as_str())];
                let by_variable = run_with(&environment, &variables, &variable);
                for run in [environment.run(&arguments), by_variable] {
                    let run = run.expect_code(2);
                    assert!(run.stderr.contains("error: --database: "), "{run:#?}");
                    assert!(run.stderr.contains(part), "{part}: {run:#?}");
                    assert!(!run.stderr.contains(SECRET) && run.stdout.is_empty(), "{run:#?}");
                }
            }
        }
        // A stray argument, and an option that is misspelled.
        let text = text.replace(SECRET, "secret");
        for arguments in
            [&["migrate", &text][..], &[&text], &["list", &format!("--databse={text}")]]
        {
            let run = environment.run(arguments).expect_code(2);
            assert!(!run.stderr.contains("secret"), "{run:#?}");
        }
        assert_eq!(environment.files(), ["phone-verify.toml"]);
    }
    let variables = [("PHONE_VERIFY_DATABASE", SECRET)];
    let help = run_with(&environment, &variables, &["list", "--help"]).expect_code(0);
    assert!(help.stdout.contains("PHONE_VERIFY_DATABASE") && !help.stdout.contains(SECRET));
}

#[test]
fn a_program_does_not_inherit_the_password_of_the_database() {
    let Some(database) = Kind::Plain.database() else { return };
    let [with_password, without] = [database.tcp_url(), without_password(&database)];
    let file = "other.sqlite3".to_owned();
    let tables = format!("[hooks]\n{}", hook("sent", "env > seen"));
    for (keys, option, variable, has_pgpassword, has_variable) in [
        (format!("url = \"{without}\""), None, None, false, false),
        (String::new(), None, Some(&with_password), false, false),
        (String::new(), None, Some(&without), false, true),
        (String::new(), Some(&file), Some(&with_password), true, false),
        (String::new(), None, Some(&file), true, true),
    ] {
        let script = "env > order; echo '{\"status\":\"accepted\"}'";
        let database = format!("[database]\n{keys}\n{tables}");
        let environment = Environment::with_sms_script(script, "", &database);
        for command in ["migrate", "send"] {
            let mut arguments = vec![command];
            if command == "send" {
                arguments.push(NUMBER);
            }
            if let Some(option) = option {
                arguments.extend(["--database", option]);
            }
            let mut variables = vec![("PGPASSWORD", PASSWORD)];
            variables.extend(variable.map(|text| ("PHONE_VERIFY_DATABASE", text.as_str())));
            run_with(&environment, &variables, &arguments).expect_code(0);
        }
        for seen in ["order", "seen"] {
            let seen = environment.read(seen);
            assert!(seen.contains("HOME="), "{seen}");
            assert_eq!(seen.contains("PGPASSWORD="), has_pgpassword, "{seen}");
            assert_eq!(seen.contains("PHONE_VERIFY_DATABASE="), has_variable, "{seen}");
        }
    }
}
