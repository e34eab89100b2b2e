//! The `[hooks]` table: what it may hold, and where its programs are looked for.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{
    Environment, KEEP, VERIFY, expect_accepted, expect_refused, expect_valid, run_command,
};

#[test]
fn what_is_no_program_with_arguments_is_refused() {
    for key in ["verified", "sent", "failed"] {
        for value in [
            "\"/usr/bin/9876543\"",
            "[]",
            "[\"\"]",
            "[\"\", \"9876543\"]",
            "[\"/bin/true\", 9876543]",
            "[[\"/bin/true\"]]",
            "true",
            "{ command = [\"/bin/true\"] }",
        ] {
            let settings = format!("backend = \"console\"\n[hooks]\n\n{key} = {value}\n");
            expect_refused(&settings, 4, &format!("hooks.{key}"));
        }
        expect_accepted(&format!(
            "backend = \"console\"\n[hooks]\n{key} = [\"/bin/true\", \"\"]\n"
        ));
    }
}

#[test]
fn a_hook_that_there_is_not_is_refused() {
    for key in ["verifed", "purged", "timeout"] {
        let settings = format!("backend = \"console\"\n[hooks]\n{key} = [\"9876543\"]\n");
        expect_refused(&settings, 3, key);
    }
    expect_refused("backend = \"console\"\nhooks = [\"9876543\"]\n", 2, "hooks");
}

#[test]
fn the_time_of_a_hook_is_held_to_its_range() {
    for value in ["0", "-1", "86401", "1.5", "\"9876543\""] {
        let settings = format!("backend = \"console\"\n[hooks]\ntimeout_seconds = {value}\n");
        expect_refused(&settings, 3, "hooks.timeout_seconds");
    }
    for value in ["1", "86400"] {
        expect_accepted(&format!("backend = \"console\"\n[hooks]\ntimeout_seconds = {value}\n"));
    }
}

/// Makes `name` in the environment's folder another name of the shell.
fn link_shell(environment: &Environment, name: &str) {
    symlink("/bin/sh", environment.path(name)).expect("a new name");
}

#[test]
fn a_relative_path_starts_from_the_folder_of_the_settings() {
    for path in ["bin/hook", "./bin/hook"] {
        let environment =
            Environment::with_hooks("", &format!("verified = [\"{path}\", \"-c\", \"{KEEP}\"]\n"));
        for folder in ["bin", "elsewhere"] {
            fs::create_dir(environment.path(folder)).expect("a new folder");
        }
        link_shell(&environment, "bin/hook");
        let settings = environment.path("phone-verify.toml");
        let mut command = environment.command(&VERIFY);
        command.env("PHONE_VERIFY_CONFIG", settings).current_dir(environment.path("elsewhere"));
        expect_valid(run_command(command), 0);
        // The program runs where it was started, and so does the hook.
        assert!(environment.path("elsewhere/events").exists());
    }
}

#[test]
fn a_bare_name_is_looked_for_in_path_and_not_in_the_folder() {
    let environment = Environment::with_hooks(
        "verify_security_code_only_once = false",
        &format!("verified = [\"a-hook\", \"-c\", \"{KEEP}\"]\n"),
    );
    link_shell(&environment, "a-hook");
    expect_valid(environment.run(&VERIFY), 20);
    let mut command = environment.command(&VERIFY);
    let path = format!("{}:/usr/bin:/bin", environment.path("").display());
    command.env("PATH", path);
    expect_valid(run_command(command), 0);
    assert_eq!(environment.hook_events().len(), 1);
}

#[test]
fn no_shell_reads_the_arguments() {
    let environment = Environment::with_hooks(
        "",
        "verified = [\"/bin/sh\", \"-c\", 'printf \"%s\\n\" \"$@\" > arguments', \"hook\", \
         \"$HOME *; exit 1\", \"\", \"two  words\"]\n",
    );
    expect_valid(environment.run(&VERIFY), 0);
    assert_eq!(environment.read("arguments"), "$HOME *; exit 1\n\ntwo  words\n");
}
