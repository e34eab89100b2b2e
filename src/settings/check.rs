//! What is weak or wrong in the settings.

use chrono::TimeDelta;

use super::preview::preview;
use super::{
    BrokenSettings, Limits, READABLE_BY_OTHERS, Settings, SettingsError, Source, permissions,
};
use crate::backends::BackendOptions;
use crate::model::{Check, Encoding, Message, MessageContext, Segments, is_gsm7, shell_word};
use crate::system::secret::{Secret, SecretError};

/// The permission bit that lets others change a file.
const WRITABLE_BY_OTHERS: u32 = 0o002;
/// The fewest digits of a code that can't be guessed within a few attempts (NIST SP 800-63B, section 5.1.3.2).
const MIN_DIGITS: usize = 6;
/// How long a code may live at most (the same).
const MAX_LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How many wrong codes may be tried at most.
const MAX_ATTEMPTS: u32 = 10;

impl BrokenSettings {
    /// Returns the checks of settings that can't be used.
    pub fn check(&self) -> Vec<Check> {
        let check = |error: &SettingsError| match error {
            SettingsError::Invalid { problem, .. } => {
                let key = if problem.key.is_empty() { "syntax" } else { &problem.key };
                let line = problem.line;
                let hint =
                    format!("correct line {line}; phone-verify.toml.example documents every key");
                Check::failure(format!("settings.{key}"), error.to_string(), hint)
            }
            _ => {
                let hint = error.hint().unwrap_or("check the path and the file's permissions");
                Check::failure("settings.file", error.to_string(), hint)
            }
        };
        self.source.iter().flat_map(check_file).chain(self.errors.iter().map(check)).collect()
    }
}

impl Settings {
    /// Returns the checks of valid settings: what is weak in them, and what they name that isn't there.
    pub fn check(&self) -> Vec<Check> {
        let mut checks = Vec::from(check_file(&self.source));
        checks.push(Check::ok("settings.keys", "every key is known and its value is valid"));
        checks.push(judged(
            "settings.secrets",
            self.source.has_literal_secret(),
            ("no secret stands in the file", "a secret stands in the file"),
            "name an environment variable or a file: `{ env = \"NAME\" }` or `{ file = \"PATH\" }`",
        ));
        // A sandbox needs none of the secrets that its live provider has.
        let is_needed = |key: &str| self.backend.is_live() || !key.starts_with("options.");
        let secrets = self.source.secrets.iter();
        let elsewhere = secrets.filter(|(key, secret)| !secret.is_literal() && is_needed(key));
        checks.extend(
            elsewhere.map(|(key, secret)| check_secret(&format!("settings.{key}"), secret)),
        );
        checks.extend(check_choices(self));
        let fallback = self.fallback.as_ref();
        checks.extend(fallback.map(|it| check_backend("settings.fallback.backend", it)));
        checks.push(check_message(self, "settings.message", self.messages.in_language(None)));
        checks.extend(self.messages.translations().map(|(language, message)| {
            check_message(self, &format!("settings.messages.{language}"), message)
        }));
        let hooks = &self.hooks;
        let hooks =
            [("verified", &hooks.verified), ("sent", &hooks.sent), ("failed", &hooks.failed)];
        checks.extend(hooks.into_iter().filter_map(|(name, program)| {
            Some(program.as_ref()?.check(&format!("settings.hooks.{name}")))
        }));
        checks
    }
}

/// Returns the checks of the file by itself.
fn check_file(source: &Source) -> [Check; 2] {
    const PERMISSIONS: &str = "settings.permissions";
    let mode = source.permissions;
    let file = shell_word(&source.file);
    let permissions = if mode & WRITABLE_BY_OTHERS != 0 {
        let message = format!("others can change it (mode {mode:03o})");
        Check::failure(PERMISSIONS, message, format!("`chmod o-w {file}`"))
    } else if source.has_literal_secret() && mode & READABLE_BY_OTHERS != 0 {
        let message = format!("it holds a secret and others can read it (mode {mode:03o})");
        Check::warning(PERMISSIONS, message, format!("`chmod o-r {file}`"))
    } else {
        Check::ok(PERMISSIONS, format!("mode {mode:03o}"))
    };
    [Check::ok("settings.file", source.file.display().to_string()), permissions]
}

/// Returns the check of something that is weak or not, with the message for each.
fn judged(check: &str, is_weak: bool, (good, weak): (&str, &str), hint: &str) -> Check {
    if is_weak { Check::warning(check, weak, hint) } else { Check::ok(check, good) }
}

fn check_secret(check: &str, secret: &Secret) -> Check {
    match (secret.reveal(), secret.file()) {
        (Err(error @ SecretError::NotSet(_)), _) => Check::failure(
            check,
            error.to_string(),
            "set it where phone-verify runs; cron and systemd have environments of their own",
        ),
        (Err(error), _) => Check::failure(
            check,
            error.to_string(),
            "put the secret there, so that the user who runs phone-verify can read it",
        ),
        (Ok(_), Some(file)) if permissions(file) & READABLE_BY_OTHERS != 0 => Check::warning(
            check,
            format!("{secret} can be read by others"),
            format!("`chmod o-r {}`", shell_word(file)),
        ),
        (Ok(_), _) => Check::ok(check, format!("from {secret}")),
    }
}

fn check_choices(settings: &Settings) -> Vec<Check> {
    let digits = settings.token_length;
    let seconds = settings.code_lifetime.num_seconds();
    let attempts = settings.max_failed_attempts;
    vec![
        check_backend("settings.backend", &settings.backend),
        judged(
            "settings.token_length",
            digits < MIN_DIGITS,
            (&format!("{digits} digits"), &format!("{digits} digits can be guessed")),
            "token_length = 6, or more",
        ),
        judged(
            "settings.security_code_expiration_time",
            settings.code_lifetime > MAX_LIFETIME,
            (
                &format!("a code lives {seconds} s"),
                &format!("a code lives {seconds} s; NIST SP 800-63B allows 600 s"),
            ),
            "security_code_expiration_time = 600, or less",
        ),
        judged(
            "settings.verify_security_code_only_once",
            !settings.verify_only_once,
            ("a code works once", "a code works again and again until it expires"),
            "verify_security_code_only_once = true",
        ),
        judged(
            "settings.max_failed_attempts",
            attempts > MAX_ATTEMPTS,
            (
                &format!("wrong codes that lock a record: {attempts}"),
                &format!("{attempts} wrong codes may be tried before a record is locked"),
            ),
            "max_failed_attempts = 5, or at most 10",
        ),
        check_limits(&settings.limits),
    ]
}

fn check_backend(check: &str, backend: &BackendOptions) -> Check {
    let name = backend.name();
    let weakness = match backend.sandbox_token() {
        Some(_) => format!("{name} sends no SMS, and its code is always the same"),
        None => format!("{name} sends no SMS"),
    };
    judged(
        check,
        !backend.is_live(),
        (name.as_str(), &weakness),
        "for live use name a provider, as in backend = \"twilio\"",
    )
}

fn check_limits(limits: &Limits) -> Check {
    let set: Vec<_> = [
        ("resend_cooldown_seconds", limits.resend_cooldown.is_some()),
        ("max_per_number_per_day", limits.max_per_number_per_day.is_some()),
        ("max_per_hour", limits.max_per_hour.is_some()),
        ("allowed_regions", limits.allowed_regions.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, is_set)| is_set.then_some(key))
    .collect();
    judged(
        "settings.limits",
        set.is_empty(),
        (&set.join(", "), "no limits are set: SMS pumping can empty the provider's account"),
        "in [limits], set resend_cooldown_seconds, max_per_number_per_day and max_per_hour",
    )
}

fn check_message(settings: &Settings, check: &str, message: &Message) -> Check {
    // What fills the other placeholders is known only at a send.
    let unfilled: Vec<_> = message.context_keys().map(|key| format!("{{{key}}}")).collect();
    let context: MessageContext =
        message.context_keys().map(|key| (key.to_owned(), String::new())).collect();
    let text = match preview(settings, message, &context) {
        Ok(text) => text,
        Err(error) => return Check::failure(check, error.to_string(), "shorten the message"),
    };
    let Segments { encoding, count } = Segments::of(&text);
    let segments = if count == 1 { "1 segment" } else { &format!("{count} segments") };
    let mut message = format!("{encoding}, {segments}");
    if !unfilled.is_empty() {
        message += &format!(", without what fills {}", unfilled.join(" and "));
    }
    if count == 1 {
        return Check::ok(check, message);
    }
    let hint = match (encoding, text.chars().find(|c| !is_gsm7(&c.to_string()))) {
        (Encoding::Ucs2, Some(c)) => {
            format!(
                "each segment is charged: shorten the message, or do without characters that GSM-7 lacks, such as {c}"
            )
        }
        _ => "each segment is charged: shorten the message".to_owned(),
    };
    Check::warning(check, message, hint)
}
