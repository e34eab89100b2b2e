//! The checks of the settings: what is weak or wrong in them.

use std::fs::Metadata;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Hooks, Limits, Settings, SettingsError, SettingsFile, TestNumber};
use crate::backends::BackendOptions;
use crate::document::Problem;
use crate::model::{Check, Message, SecurityCode, Segments, counted, is_gsm7, shell_word};
use crate::system::access::Access;
use crate::system::secret::{Secret, SecretError};

/// The longest that a code may be valid (NIST SP 800-63B, section 5.1.3.2).
const MAX_LIFETIME: TimeDelta = TimeDelta::minutes(10);
const MAX_ATTEMPTS: u32 = 10;
/// The check of who else can read or write the settings file.
const PERMISSIONS: &str = "permissions";

impl SettingsError {
    /// Returns the checks of settings that can't be used.
    pub fn check(&self) -> Vec<Check> {
        let Self::Invalid { file, problems } = self else {
            let hint = self.hint().unwrap_or("check the path and the file's permissions");
            let name = if matches!(self, Self::Untrusted { .. }) { PERMISSIONS } else { "file" };
            return in_settings(vec![Check::failure(name, self.to_string(), hint)]);
        };
        let problems = problems.iter().map(|problem @ Problem { line, key, .. }| {
            let name = if key.is_empty() { "syntax" } else { key };
            let message = format!("settings file {}, {problem}", file.path.display());
            let hint =
                format!("correct line {line}; `phone-verify init --example` documents every key");
            Check::failure(name, message, hint)
        });
        in_settings(check_file(file).into_iter().chain(problems))
    }
}

impl Settings {
    /// Returns the checks of valid settings at `now`: what is weak in them, and what they name that isn't there.
    pub fn check(&self, now: DateTime<Utc>) -> Vec<Check> {
        let mut checks = Vec::from(check_file(&self.file));
        checks.push(Check::ok("keys", "every key is known and its value is valid"));
        checks.push(Check::ok("secrets", "no secret is in the file").unless(
            self.file.has_literal_secret(),
            "a secret is in the file",
            "name an environment variable or a file: `{ env = \"NAME\" }` or `{ file = \"PATH\" }`",
        ));
        checks.extend(self.needed_secrets().filter_map(|(key, secret)| check_secret(key, secret)));
        checks.push(check_backend("backend", &self.backend));
        checks.extend(self.backend.check());
        checks.extend(check_choices(self));
        checks.push(check_limits(&self.limits));
        let check_fallback =
            |backend| [Some(check_backend("fallback.backend", backend)), backend.check()];
        checks.extend(self.fallback.iter().flat_map(check_fallback).flatten());
        checks.push(check_message(self, "message", self.messages.in_language(None)));
        checks.extend(self.messages.translations().map(|(language, message)| {
            check_message(self, &format!("messages.{language}"), message)
        }));
        let Hooks { verified, sent, failed, .. } = &self.hooks;
        let hooks = [("hooks.verified", verified), ("hooks.sent", sent), ("hooks.failed", failed)];
        checks.extend(hooks.iter().filter_map(|(key, hook)| Some(hook.as_ref()?.check(key))));
        checks.extend(self.test_numbers.iter().map(|number| check_test_number(number, now)));
        in_settings(checks)
    }

    /// Returns what the operator should know about the secrets that a send has looked up.
    pub fn secret_warnings(&self) -> impl Iterator<Item = String> {
        let secrets = self.needed_secrets();
        let secrets = secrets.filter(|(key, secret)| self.has_use_for(key) || !secret.is_literal());
        secrets.filter_map(|(key, secret)| {
            weakness(secret).map(|(problem, hint)| format!("{key}: {problem}; {hint}"))
        })
    }

    /// Returns the secrets that a send looks up. A sandbox doesn't need those of its live provider.
    fn needed_secrets(&self) -> impl Iterator<Item = &(String, Secret)> {
        let is_needed = |key: &str| self.backend.is_live() || !key.starts_with("options.");
        self.file.secrets.iter().filter(move |(key, _)| is_needed(key))
    }
}

fn in_settings(checks: impl IntoIterator<Item = Check>) -> Vec<Check> {
    checks.into_iter().map(|check| check.within("settings")).collect()
}

fn check_file(file: &SettingsFile) -> [Check; 2] {
    let access = file.access;
    let path = shell_word(&file.path);
    let permissions = if access.others_can_write() {
        let message = format!("others can change it ({access})");
        Check::failure(PERMISSIONS, message, format!("`chmod o-w {path}`"))
    } else {
        Check::ok(PERMISSIONS, access.to_string()).unless(
            file.has_literal_secret() && access.others_can_read(),
            format!("it holds a secret and others can read it ({access})"),
            format!("`chmod o-r {path}`"),
        )
    };
    [Check::ok("file", file.path.display().to_string()), permissions]
}

/// Returns the check of a secret. Nothing is to be said of a sound one in the settings file.
fn check_secret(key: &str, secret: &Secret) -> Option<Check> {
    let hint = "put the secret there, so that the user who runs phone-verify can read it";
    Some(match (secret.reveal().map(|_| weakness(secret)), secret.is_literal()) {
        (Ok(Some((problem, hint))), _) => Check::warning(key, problem, hint),
        (Ok(None), true) => return None,
        (Ok(None), false) => Check::ok(key, format!("from {secret}")),
        (Err(error @ SecretError::NotSet(_)), _) => {
            let hint = "set it for phone-verify: cron and systemd have environments of their own";
            Check::failure(key, error.to_string(), hint)
        }
        (Err(error), _) => Check::failure(key, error.to_string(), hint),
    })
}

/// Returns what is weak about a secret that was looked up, and what to do.
fn weakness(secret: &Secret) -> Option<(String, String)> {
    let file = secret.file().unwrap_or(Path::new(""));
    // The mode of a pipe or a device says little about what comes through it.
    let metadata = file.metadata().ok().filter(Metadata::is_file);
    let is_readable = metadata.is_some_and(|metadata| Access::from(&metadata).others_can_read());
    let readable =
        is_readable.then(|| ("can be read by others", format!("`chmod o-r {}`", shell_word(file))));
    let quoted = secret.is_quoted().then(|| {
        let problem = "is in quotation marks, which are taken as a part of it";
        (problem, "remove them, unless they belong to it".to_owned())
    });
    let (problems, hints): (Vec<_>, Vec<_>) = readable.into_iter().chain(quoted).unzip();
    let is_weak = !problems.is_empty();
    is_weak.then(|| (format!("{secret} {}", problems.join(", and ")), hints.join(", and ")))
}

fn check_choices(settings: &Settings) -> [Check; 4] {
    let digits = settings.token_length;
    let seconds = settings.code_lifetime.num_seconds();
    let attempts = settings.max_failed_attempts;
    [
        Check::ok("token_length", format!("{digits} digits")).unless(
            digits < SecurityCode::SAFE_LENGTH,
            format!("{digits} digits can be guessed"),
            "token_length = 6, or more",
        ),
        Check::ok("security_code_expiration_time", format!("a code is valid for {seconds} s"))
            .unless(
                settings.code_lifetime > MAX_LIFETIME,
                format!("a code is valid for {seconds} s; NIST SP 800-63B allows 600 s"),
                "security_code_expiration_time = 600, or less",
            ),
        Check::ok("verify_security_code_only_once", "a code works once").unless(
            !settings.verify_only_once,
            "a code works again and again until it expires",
            "verify_security_code_only_once = true",
        ),
        Check::ok("max_failed_attempts", format!("wrong codes that lock a record: {attempts}"))
            .unless(
                attempts > MAX_ATTEMPTS,
                format!("{attempts} wrong codes may be tried before a record is locked"),
                "max_failed_attempts = 5, or at most 10",
            ),
    ]
}

fn check_backend(key: &str, backend: &BackendOptions) -> Check {
    let name = backend.name();
    let is_sandbox = backend.sandbox_token().is_some();
    let further = if is_sandbox { ", and its code is always the same" } else { "" };
    Check::ok(key, name.to_string()).unless(
        !backend.is_live(),
        format!("{name} sends no SMS{further}"),
        "for live use name a provider, as in backend = \"twilio\"",
    )
}

fn check_limits(limits: &Limits) -> Check {
    let keys = [
        limits.resend_cooldown.map(|_| "resend_cooldown_seconds"),
        limits.max_per_number_per_day.map(|_| "max_per_number_per_day"),
        limits.max_per_hour.map(|_| "max_per_hour"),
        limits.allowed_regions.as_ref().map(|_| "allowed_regions"),
    ];
    let set: Vec<_> = keys.into_iter().flatten().collect();
    Check::ok("limits", set.join(", ")).unless(
        set.is_empty(),
        "no limits are set: SMS pumping can empty the provider's account",
        "in [limits], set resend_cooldown_seconds, max_per_number_per_day and max_per_hour",
    )
}

fn check_test_number(number: &TestNumber, now: DateTime<Utc>) -> Check {
    let TestNumber { phone_number, security_code, until } = number;
    let key = format!("test_numbers.{phone_number}");
    if number.has_ended(now) {
        let message = format!("it has been an ordinary number since the end of {until}");
        return Check::warning(key, message, "remove its table, or set a later `until`");
    }
    Check::ok(key, format!("until {until}")).unless(
        security_code.is_easy_to_guess(),
        "its code is easy to guess, and whoever knows the number can try",
        "choose 6 digits or more at random",
    )
}

fn check_message(settings: &Settings, check: &str, message: &Message) -> Check {
    // The values of the other placeholders are known only when a message is sent.
    let unfilled: Vec<_> = message.context_keys().map(|key| format!("{{{key}}}")).collect();
    let composer = settings.composer();
    let text = match composer.compose(message, |_| Some("")) {
        Ok(text) => composer.preview(&text),
        Err(error) => return Check::failure(check, error.to_string(), "shorten the message"),
    };
    let Segments { encoding, count } = Segments::of(&text);
    let segments = counted(count, "segment");
    let mut message = format!("{encoding}, {segments}");
    if !unfilled.is_empty() {
        message += &format!(", without the values of {}", unfilled.join(" and "));
    }
    let mut hint = "each segment is charged: shorten the message".to_owned();
    if let Some(c) = text.chars().find(|c| !is_gsm7(&c.to_string())) {
        hint += &format!(", or avoid characters that GSM-7 lacks, such as {c}");
    }
    Check::ok(check, message.clone()).unless(count > 1, message, hint)
}
