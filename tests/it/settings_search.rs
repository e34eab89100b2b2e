//! Settings: where the file is looked for, and what is said where it can't be read.

use std::fs;
use std::path::Path;

use crate::support::{Environment, NUMBER, Run, run_command};

/// An environment without `phone-verify.toml` in its folder.
fn without_settings() -> Environment {
    let environment = Environment::with_settings("");
    fs::remove_file(environment.path("phone-verify.toml")).expect("it was just written");
    environment
}

/// Writes settings to `file` whose database says which file it was.
fn write(environment: &Environment, file: &str, database: &str) {
    let path = environment.path(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let database = environment.path(database);
    environment.write(
        file,
        &format!("backend = \"console\"\n[database]\npath = \"{}\"\n", database.display()),
    );
}

/// Runs `migrate` with variables and options and returns the databases that it made.
#[track_caller]
fn migrated(
    environment: &Environment,
    variables: &[(&str, &Path)],
    options: &[&str],
) -> Vec<String> {
    let mut command = environment.command(&[options, &["migrate"]].concat());
    command.envs(variables.iter().copied());
    run_command(command).expect_code(0);
    let made: Vec<_> = environment.files().into_iter().filter(|it| it.ends_with(".db")).collect();
    for file in &made {
        fs::remove_file(environment.path(file)).expect("a database");
    }
    made
}

#[test]
fn the_first_file_in_the_order_of_places_is_taken() {
    let environment = without_settings();
    let variable = environment.path("variable.toml");
    let xdg = environment.path("xdg");
    let [config, xdg] = [("PHONE_VERIFY_CONFIG", &*variable), ("XDG_CONFIG_HOME", &*xdg)];

    write(&environment, "xdg/phone-verify/phone-verify.toml", "xdg.db");
    assert_eq!(migrated(&environment, &[xdg], &[]), ["xdg.db"]);
    write(&environment, "phone-verify.toml", "here.db");
    assert_eq!(migrated(&environment, &[xdg], &[]), ["here.db"]);
    write(&environment, "variable.toml", "variable.db");
    assert_eq!(migrated(&environment, &[config, xdg], &[]), ["variable.db"]);
    write(&environment, "option.toml", "option.db");
    let option = ["--config", "option.toml"];
    assert_eq!(migrated(&environment, &[config, xdg], &option), ["option.db"]);
}

/// The XDG Base Directory Specification gives `$HOME/.config` as the value of a variable that is not set.
#[test]
fn the_home_folders_config_is_meant_where_xdg_config_home_is_not_set() {
    let environment = without_settings();
    write(&environment, ".config/phone-verify/phone-verify.toml", "home.db");
    assert_eq!(migrated(&environment, &[], &[]), ["home.db"]);
}

#[track_caller]
fn expect_error(run: Run, environment: &Environment, name: &str) {
    let run = run.expect_code(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert!(run.stderr.contains(name), "{name} is not named: {run:#?}");
    assert!(!environment.files().iter().any(|it| it.contains(".sqlite3")), "{run:#?}");
}

#[test]
fn where_no_file_is_found_the_error_says_what_is_looked_for() {
    let environment = without_settings();
    for arguments in [["list"], ["migrate"], ["purge"]] {
        expect_error(environment.run(&arguments), &environment, "phone-verify.toml");
    }
}

#[test]
fn a_file_that_was_asked_for_and_is_missing_is_not_replaced_by_another() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let run = environment.run(&["--config", "missing.toml", "migrate"]);
    expect_error(run, &environment, "missing.toml");
    let mut command = environment.command(&["migrate"]);
    command.env("PHONE_VERIFY_CONFIG", "missing.toml");
    expect_error(run_command(command), &environment, "missing.toml");
}

#[test]
fn a_file_that_cannot_be_read_is_not_skipped() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    write(&environment, ".config/phone-verify/phone-verify.toml", "home.db");
    environment.set_mode("phone-verify.toml", 0o000);
    let run = run_command(environment.without_privileges(&["migrate"]));
    expect_error(run, &environment, "phone-verify.toml");

    fs::create_dir(environment.path("folder.toml")).expect("a folder");
    let run = environment.run(&["--config", "folder.toml", "migrate"]);
    expect_error(run, &environment, "folder.toml");
}

#[test]
fn help_completions_and_the_manual_need_no_settings() {
    let environment = Environment::with_settings("this is no TOML");
    for arguments in
        [&["--help"][..], &["-V"], &["list", "--help"], &["completions", "bash"], &["man"]]
    {
        environment.run(arguments).expect_code(0);
    }
}

#[test]
fn a_device_or_a_pipe_in_place_of_a_file_costs_neither_memory_nor_patience() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    run_command(environment.tool(&["mkfifo", "pipe"])).expect_code(0);
    let refused = |arguments: &[&str]| {
        let limits = "ulimit -v 1000000; exec timeout 20 \"$0\" \"$@\"";
        let mut command = environment.wrapped(&["/bin/sh", "-c", limits], arguments);
        command.env("PATH", "/usr/bin:/bin");
        let run = run_command(command).expect_code(2);
        environment.expect_no_database();
        run.stderr
    };
    for (path, words) in [("/dev/zero", "larger than 1 MiB"), ("pipe", "`backend` is missing")] {
        let stderr = refused(&["--config", path, "list"]);
        assert!(stderr.contains(path) && stderr.contains(words), "{stderr}");
    }
    for (path, words) in
        [("/dev/zero", "larger than 1 MiB"), ("pipe", "it isn't complete after 5 s")]
    {
        let settings = format!("backend = \"console\"\nsecret_key = {{ file = \"{path}\" }}\n");
        environment.write("phone-verify.toml", &settings);
        let stderr = refused(&["send", NUMBER]);
        assert!(stderr.contains(path) && stderr.contains(words), "{stderr}");
    }
}

#[test]
fn settings_may_come_through_a_pipe() {
    let environment = without_settings();
    let line = "{ sleep 0.1; echo 'backend = \"console\"'; } | phone-verify --config /dev/stdin --database d migrate";
    run_command(environment.shell(line)).expect_code(0);
}

#[test]
fn of_errors_without_end_the_first_are_told() {
    let keys: String = (0..30_000).map(|number| format!("k{number} = 1\n")).collect();
    let environment = Environment::with_settings(&keys);
    let checks = environment.run(&["--format", "json", "doctor"]).expect_code(1).json_lines();
    assert!(checks.len() < 100, "{} checks", checks.len());
    assert_eq!(checks[2]["check"], "settings.k0");
}
