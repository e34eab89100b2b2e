//! Settings that were found and not named: whether they are trusted, since they name programs to run.

use crate::support::{Environment, NUMBER, hook, is_root, run_command};

/// An environment with a hook that leaves a trace, whose files were changed by the shell commands `changes`.
#[track_caller]
fn environment(changes: &str) -> Environment {
    let settings = format!("backend = \"console\"\n[hooks]\n{}", hook("sent", "touch ran"));
    let environment = Environment::with_settings(&settings);
    run_command(environment.shell(&format!("umask 022; set -e; {changes}"))).expect_code(0);
    environment
}

const MOVED: &str = "mkdir d; mv phone-verify.toml d/a.toml; ln -s d/a.toml phone-verify.toml";

#[test]
fn a_file_that_somebody_else_can_have_written_is_not_trusted() {
    let mut cases = vec![
        ("chmod 664 phone-verify.toml".to_owned(), "`chmod go-w phone-verify.toml`"),
        ("chmod 646 phone-verify.toml".to_owned(), "mode 646"),
        ("chmod 770 .".to_owned(), "the directory /"),
        ("chmod 703 .".to_owned(), "mode 703"),
        (format!("{MOVED}; chmod 664 d/a.toml"), "mode 664"),
        (format!("{MOVED}; chmod 777 d"), "/d can be written"),
        (
            format!(
                "{MOVED}; mkdir e; mv phone-verify.toml e; ln -s ../d/a.toml e/b.toml; ln -s e/b.toml phone-verify.toml; chmod 777 e"
            ),
            "/e can be written",
        ),
    ];
    if is_root() {
        cases.extend([
            ("chown 54321 phone-verify.toml".to_owned(), "it belongs to another user"),
            ("chmod 1777 .; chown 54321 .".to_owned(), "belongs to another user"),
            (
                format!("{MOVED}; chown -h 54321 phone-verify.toml"),
                "the link phone-verify.toml belongs",
            ),
            (format!("{MOVED}; chown 54321 d"), "/d belongs to another user"),
        ]);
    }
    for (changes, words) in cases {
        let environment = environment(&changes);
        for arguments in [&["send", NUMBER][..], &["list"], &["migrate"]] {
            let run = environment.run(arguments).expect_code(2);
            assert_eq!(run.stdout, "", "{changes}: {run:#?}");
            assert!(run.stderr.starts_with("error: settings file phone-verify.toml: "), "{run:#?}");
            assert!(run.stderr.contains(words), "{changes}: {run:#?}");
            assert!(run.stderr.contains("name it: --config phone-verify.toml\n"), "{run:#?}");
        }
        let checks = environment.doctor(1, &[]);
        checks.expect("settings.permissions", "failure", &[words, "--config"]);
        assert!(!environment.path("ran").exists(), "{changes}");
        environment.expect_no_database();
        // Whoever names the file trusts it.
        environment.run(&["--config", "phone-verify.toml", "send", NUMBER]).expect_code(0);
        assert!(environment.path("ran").exists(), "{changes}");
    }
}

#[test]
fn doctor_points_out_that_others_can_change_the_file_that_is_named() {
    let environment = environment("chmod 646 phone-verify.toml");
    let checks = environment.doctor(1, &["--config", "phone-verify.toml"]);
    let parts = ["others can change it (mode 646)", "`chmod o-w phone-verify.toml`"];
    checks.expect("settings.permissions", "failure", &parts);
}

#[test]
fn a_file_that_nobody_else_can_have_written_is_trusted() {
    for changes in [
        "chmod 644 phone-verify.toml; chmod 755 .",
        "chmod 1777 .",
        "chmod 1770 .",
        MOVED,
        // In another place the system's permissions are the operator's own choice.
        "mkdir -p .config/phone-verify; mv phone-verify.toml .config/phone-verify; chmod 666 .config/phone-verify/*",
    ] {
        let environment = environment(changes);
        let run = environment.run(&["send", NUMBER]).expect_code(0);
        assert!(environment.path("ran").exists(), "{changes}: {run:#?}");
    }
}
