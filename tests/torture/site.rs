//! A Django site with django-phone-verify on the same database: the one of `tests/interop`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::chance::report_missing;
use crate::support::{DATABASE, Environment, run_command};

/// What signs the session tokens of the site, as its `settings.py` says.
pub(crate) const SECRET_KEY: &str = "a key for the interop tests and for nothing else";

/// A process of the site. It ends when this is dropped.
pub(crate) struct Site {
    process: Child,
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Site {
    /// Starts `count` processes of a site on the database of `environment`, which has the tables already. If the site isn't
    /// installed on this machine, there are none.
    pub(crate) fn start(environment: &Environment, count: usize) -> Vec<Self> {
        if !python().exists() {
            report_missing("a Django site, which tests/interop/install installs");
            return Vec::new();
        }
        // What the site's own migrations would make is there.
        let manage = script(environment, "manage.py", &["migrate", "--fake", "--verbosity=0"]);
        run_command(manage).expect_code(0);
        let start = |_| {
            let mut process = script(environment, "serve.py", &[])
                .stdin(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .expect("Python starts");
            let stdin = process.stdin.take().expect("stdin is piped");
            let stdout = process.stdout.take().expect("stdout is piped");
            Self { process, pipes: Mutex::new(Some((stdin, BufReader::new(stdout)))) }
        };
        (0..count).map(start).collect()
    }

    /// Has the site do `work`, and returns its answer.
    pub(crate) fn ask(&self, work: &Value) -> Value {
        let mut pipes = self.pipes.lock().expect("no other thread panicked");
        let (stdin, stdout) = pipes.as_mut().expect("they are there until the end");
        writeln!(stdin, "{work}").expect("the site reads");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("the site answers");
        serde_json::from_str(&answer).expect("the answer is JSON")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        *self.pipes.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        let _ = self.process.wait();
    }
}

fn script(environment: &Environment, name: &str, arguments: &[&str]) -> Command {
    let site = directory().join("site");
    let (python, script) = (python(), site.join(name));
    let words = [python.to_str(), script.to_str()].map(|word| word.expect("a path in UTF-8"));
    let mut command = environment.tool(&[&words, arguments].concat());
    let database = match &environment.server {
        None => json!({
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": environment.path(DATABASE),
            // As long as the program waits for its lock to store an outcome.
            "OPTIONS": {"timeout": 60},
        }),
        Some(server) => json!({
            "ENGINE": "django.db.backends.postgresql",
            "NAME": server.name(),
            "HOST": server.address().directory,
            "PORT": server.address().port,
            "USER": "postgres",
        }),
    };
    let settings = json!({
        "BACKEND": "phone_verify.backends.nexmo.NexmoBackend",
        "OPTIONS": {"KEY": "fake", "SECRET": "fake", "FROM": "+14755292729"},
        "TOKEN_LENGTH": 6,
        "MESSAGE": "{app} {security_code}",
        "APP_NAME": "Phone Verify",
        "SECURITY_CODE_EXPIRATION_SECONDS": 600,
        "VERIFY_SECURITY_CODE_ONLY_ONCE": true,
    });
    command
        .env("DJANGO_SETTINGS_MODULE", "settings")
        .env("SITE_DATABASE", database.to_string())
        .env("SITE_PHONE_VERIFICATION", settings.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

fn python() -> PathBuf {
    directory().join(".venv/bin/python")
}
