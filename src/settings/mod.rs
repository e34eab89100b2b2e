//! The settings file, which a command finds, reads and validates before it does anything else.

mod check;
mod database;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hooks;
mod limits;
mod test_numbers;
mod trust;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::backends::{self, BackendOptions, CallSettings};
use crate::document::{Document, Section, keys_of};
use crate::model::values::{Text, count, days, number, parsed, seconds};
use crate::model::{
    Composer, Message, Messages, Region, SecurityCode, is_language_tag, normalized_tag,
    parse_region,
};
use crate::store::Database;
use crate::system::access::Access;
use crate::system::secret::Secret;
use crate::system::small_file;

pub use crate::document::{Problem, is_within};
use database::DatabaseKeys;
pub use hooks::Hooks;
pub use limits::Limits;
pub use test_numbers::{TestCodes, TestNumber};

/// The name of a settings file that nobody has named.
pub const FILE_NAME: &str = "phone-verify.toml";
const DEFAULT_MESSAGE: &str =
    "Welcome to {app}! Please use security code {security_code} to proceed.";

/// What a settings file says, with the defaults for what it leaves out.
#[derive(Debug)]
pub struct Settings {
    /// The backend and its options.
    pub backend: BackendOptions,
    /// The digits of a security code.
    pub token_length: usize,
    /// The message and its translations.
    pub messages: Messages,
    /// The name that fills `{app}`.
    pub app_name: String,
    /// How long a security code is valid.
    pub code_lifetime: TimeDelta,
    /// Whether a code works only once.
    pub verify_only_once: bool,
    /// How many wrong codes lock a record.
    pub max_failed_attempts: u32,
    /// How long `purge` keeps a record, if not just as long as its code is valid.
    pub record_retention: Option<TimeDelta>,
    /// The key that signs session tokens, unless each run makes its own.
    pub secret_key: Option<Secret>,
    /// The region of numbers without `+`.
    pub default_region: Option<Region>,
    /// The database.
    pub database: Database,
    /// How the provider is called.
    pub delivery: CallSettings,
    /// What may be sent.
    pub limits: Limits,
    /// The backend that is called if the first one refuses for a reason of its own.
    pub fallback: Option<BackendOptions>,
    /// The programs that run after an event.
    pub hooks: Hooks,
    /// The numbers that get no SMS.
    pub test_numbers: Vec<TestNumber>,
    /// The environment variables that hold secrets. Programs must not inherit them.
    pub secret_variables: Vec<String>,
    file: SettingsFile,
}

/// A settings file.
#[derive(Debug, Default)]
pub struct SettingsFile {
    path: PathBuf,
    access: Access,
    /// The secrets that it names or holds, with their keys.
    secrets: Vec<(String, Secret)>,
}

impl SettingsFile {
    fn has_literal_secret(&self) -> bool {
        self.secrets.iter().any(|(_, secret)| secret.is_literal())
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no file at any of these paths.
    #[error("no settings file: looked for {0}")]
    NotFound(String),
    /// The file can't be read.
    #[error("settings file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file was found in the current directory, and somebody else can have written it.
    #[error("settings file {}: it isn't trusted, because {problem}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The file has one or more problems. The message names the first.
    #[error("settings file {}, {}", file.path.display(), problems[0])]
    Invalid {
        /// The file.
        file: SettingsFile,
        /// What is wrong, and on which lines.
        problems: Vec<Problem>,
    },
}

impl Settings {
    /// Reads the settings from the file at `path`, or else from the first file that exists at one of the usual places.
    ///
    /// # Errors
    /// Returns an error if there is no such file, if it can't be read or trusted, or if it isn't valid.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let is_named = path.is_some();
        let path = path.map_or_else(locate, |path| Ok(path.to_owned()))?;
        let unreadable = |source| SettingsError::Unreadable { path: path.clone(), source };
        let file = small_file::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !is_named
            && path == Path::new(FILE_NAME)
            && let Some(distrust) = trust::distrust(&path, &metadata).map_err(unreadable)?
        {
            let hint = distrust.hint(&path);
            return Err(SettingsError::Untrusted { path, problem: distrust.problem, hint });
        }
        let access = Access::from(&metadata);
        let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
        let text = small_file::read(file)
            .and_then(|bytes| String::from_utf8(bytes).map_err(not_text))
            .map_err(unreadable)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let (settings, Findings { problems, secrets }) = parse(&text, directory);
        let variables = secrets.iter().filter_map(|(_, secret)| secret.variable());
        let secret_variables = variables.map(str::to_owned).collect();
        let file = SettingsFile { access, path, secrets };
        match settings {
            Some(settings) if problems.is_empty() => {
                Ok(Self { file, secret_variables, ..settings })
            }
            _ => Err(SettingsError::Invalid { file, problems }),
        }
    }

    /// Returns the path of the settings file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Returns the backend and its fallback.
    pub fn backends(&self) -> impl Iterator<Item = &BackendOptions> {
        std::iter::once(&self.backend).chain(&self.fallback)
    }

    /// Returns the longest time that one SMS may take, with the fallback.
    pub fn longest_send(&self) -> TimeDelta {
        self.delivery.longest_send() * self.backends().count() as i32
    }

    /// Returns where the SMS of the backend with this name in the ledger come from, if the settings say so.
    pub fn sender_of(&self, stored: &str) -> Option<&str> {
        self.backends().find(|options| **options.name().stored() == *stored)?.sender()
    }

    /// Returns what the settings call the backend with this name in the ledger.
    pub fn name_in_words(&self, stored: &str) -> String {
        let name =
            self.backends().map(BackendOptions::name).find(|name| &**name.stored() == stored);
        name.map_or_else(|| stored.to_owned(), ToString::to_string)
    }

    /// Returns the composer of the messages. Its previews show zeros instead of the code, or the code of a sandbox.
    pub fn composer(&self) -> Composer {
        let zeros = || SecurityCode::from_stored("0".repeat(self.token_length));
        Composer {
            app_name: self.app_name.clone(),
            stand_in: self.backend.sandbox_token().cloned().unwrap_or_else(zeros),
            max_length: self.backends().filter_map(BackendOptions::max_message_length).min(),
        }
    }

    /// Returns the codes of the numbers that get no SMS at `now`.
    pub fn test_codes(&self, now: DateTime<Utc>) -> TestCodes {
        let numbers = self.test_numbers.iter().filter(|number| !number.has_ended(now)).cloned();
        numbers.map(|number| (number.phone_number, number.security_code)).collect()
    }

    /// Returns whether somebody could do something with the secret `key`: that of a sandbox opens nothing.
    fn has_use_for(&self, key: &str) -> bool {
        self.is_live() || is_within(key, "database")
    }

    /// Returns whether an SMS can leave: the backend or its fallback isn't a sandbox or the console.
    fn is_live(&self) -> bool {
        self.backends().any(BackendOptions::is_live)
    }

    /// Returns what the operator should know about the file, whatever the command.
    pub fn warning(&self) -> Option<String> {
        let SettingsFile { path, access, .. } = &self.file;
        let is_worth_it =
            |(key, secret): &(String, Secret)| secret.is_literal() && self.has_use_for(key);
        let is_weak = access.others_can_read() && self.file.secrets.iter().any(is_worth_it);
        let advice = "`chmod o-r` it, or name an environment variable or a file";
        is_weak.then(|| {
            format!("{} holds a secret and can be read by others; {advice}", path.display())
        })
    }
}

impl SettingsError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotFound(_) => {
                Some("write one with `phone-verify init`, or name a file with --config")
            }
            Self::Untrusted { hint, .. } => Some(hint),
            Self::Unreadable { .. } | Self::Invalid { .. } => None,
        }
    }
}

/// What is known about a text that is meant to be a settings file.
pub struct Findings {
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
    /// The secrets that it names or holds, with their keys.
    secrets: Vec<(String, Secret)>,
}

impl Findings {
    /// Returns the keys of the secrets that the text holds literally.
    pub fn literal_secrets(&self) -> impl Iterator<Item = &str> {
        let literal = self.secrets.iter().filter(|(_, secret)| secret.is_literal());
        literal.map(|(key, _)| key.as_str())
    }
}

/// Examines `text`, which is no file yet.
pub fn examine(text: &str) -> Findings {
    parse(text, Path::new("")).1
}

/// Returns the settings of `text`, unless something is wrong with them, and what is known about it.
fn parse(text: &str, directory: &Path) -> (Option<Settings>, Findings) {
    match Document::parse(text, directory) {
        Ok(mut document) => {
            let settings = read(document.root());
            let (problems, secrets) = document.finish();
            (settings, Findings { problems, secrets })
        }
        Err(problem) => (None, Findings { problems: vec![problem], secrets: Vec::new() }),
    }
}

/// Returns the first settings file that exists: in the working directory, the user's configuration directory, or the system's.
fn locate() -> Result<PathBuf, SettingsError> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG Base Directory Specification says to ignore relative paths.
    let user_directory = variable("XDG_CONFIG_HOME")
        .filter(|directory| directory.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".config")));
    let user_directory = user_directory.map(|directory| directory.join("phone-verify"));
    let directories = [Some(PathBuf::new()), user_directory, Some("/etc/phone-verify".into())];
    let paths: Vec<_> = directories.iter().flatten().map(|path| path.join(FILE_NAME)).collect();
    let found = paths.iter().find(|path| path.symlink_metadata().is_ok()).cloned();
    let names = paths.iter().map(|path| path.display().to_string());
    found.ok_or_else(|| SettingsError::NotFound(names.collect::<Vec<_>>().join(", ")))
}

/// The keys of the file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    backend: Option<Text>,
    #[serde(deserialize_with = "number::<_, usize, _, 1, 120>")]
    token_length: Option<usize>,
    #[serde(deserialize_with = "number::<_, usize, _, 1, 120>")]
    min_token_length: Option<usize>,
    message: Option<Message>,
    app_name: Option<Text>,
    #[serde(deserialize_with = "seconds")]
    security_code_expiration_time: Option<TimeDelta>,
    #[serde(deserialize_with = "seconds")]
    security_code_expiration_seconds: Option<TimeDelta>,
    verify_security_code_only_once: Option<bool>,
    #[serde(deserialize_with = "count")]
    max_failed_attempts: Option<u32>,
    #[serde(deserialize_with = "days")]
    record_retention_days: Option<TimeDelta>,
    secret_key: Option<Secret>,
    #[serde(deserialize_with = "region")]
    default_region: Option<Region>,
    messages: BTreeMap<String, Message>,
    database: DatabaseKeys,
    delivery: CallSettings,
    limits: Limits,
    hooks: Hooks,
    fallback: Option<Fallback>,
    /// Its keys depend on the backend.
    options: IgnoredAny,
    /// Each of its tables is read on its own.
    test_numbers: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Fallback {
    backend: Option<Text>,
    options: IgnoredAny,
}

fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
    parsed(deserializer, parse_region).map(Some)
}

/// Reads the settings, unless something is wrong with them.
fn read(mut root: Section<'_, '_>) -> Option<Settings> {
    let keys: Keys = root.read();
    root.expect_table::<BTreeMap<String, Message>>("messages");
    root.expect_table::<DatabaseKeys>("database");
    root.expect_table::<CallSettings>("delivery");
    root.expect_table::<Limits>("limits");
    root.expect_table::<Hooks>("hooks");
    root.expect_table::<Fallback>("fallback");
    let token_length = token_length(&mut root, &keys);
    let code_lifetime = code_lifetime(&mut root, &keys);
    let ledger_retention = keys.delivery.ledger_retention;
    root.refuse(
        &["limits.resend_cooldown_seconds", "delivery.record_retention_days"],
        keys.limits.resend_cooldown.is_some_and(|cooldown| cooldown > ledger_retention),
        "is longer than delivery.record_retention_days: purge would end the wait",
    );
    check_languages(&mut root, &keys.messages);
    if keys.backend.is_none() {
        check_unknown_options(&mut root);
    }
    let database = database::read(&mut root, keys.database);
    let default_message = || Message::parse(DEFAULT_MESSAGE).expect("a constant message");
    let secret_key = root.secret("secret_key", keys.secret_key);
    let fallback = keys.fallback.and_then(|keys| read_fallback(&mut root, keys));
    Some(Settings {
        token_length,
        messages: Messages::new(keys.message.unwrap_or_else(default_message), keys.messages),
        app_name: keys.app_name.as_deref().unwrap_or("Phone Verify").to_owned(),
        code_lifetime,
        verify_only_once: keys.verify_security_code_only_once.unwrap_or(true),
        max_failed_attempts: keys.max_failed_attempts.unwrap_or(5),
        record_retention: keys.record_retention_days,
        secret_key,
        default_region: keys.default_region,
        database: database?,
        limits: keys.limits,
        delivery: keys.delivery,
        hooks: keys.hooks.within(root.directory()),
        test_numbers: test_numbers::read(&mut root),
        fallback,
        backend: backends::read(&mut root, keys.backend)?,
        secret_variables: Vec::new(),
        file: SettingsFile::default(),
    })
}

/// Returns the digits of a code, and checks that they aren't fewer than the fewest.
fn token_length(root: &mut Section<'_, '_>, keys: &Keys) -> usize {
    let (length, least) = (keys.token_length.unwrap_or(6), keys.min_token_length.unwrap_or(6));
    let mut names = ["token_length", "min_token_length"];
    if keys.token_length.is_none() {
        names.reverse();
    }
    if length < least {
        let problem =
            format!("makes token_length ({length}) shorter than min_token_length ({least})");
        root.error(&names, problem);
    }
    length
}

/// Returns how long a code is valid, which has two names, and checks that its record is kept as long.
fn code_lifetime(root: &mut Section<'_, '_>, keys: &Keys) -> TimeDelta {
    const TIME: &str = "security_code_expiration_time";
    const SECONDS: &str = "security_code_expiration_seconds";
    let times = [keys.security_code_expiration_seconds, keys.security_code_expiration_time];
    root.refuse(
        &[SECONDS, TIME],
        times.iter().all(Option::is_some),
        "is another name for security_code_expiration_time: keep one of the two",
    );
    let lifetime = times.into_iter().flatten().next().unwrap_or(TimeDelta::minutes(10));
    root.refuse(
        &["record_retention_days", TIME, SECONDS],
        keys.record_retention_days.is_some_and(|retention| retention < lifetime),
        "is shorter than the life of a code: purge would delete valid codes",
    );
    lifetime
}

fn check_languages(root: &mut Section<'_, '_>, messages: &BTreeMap<String, Message>) {
    for tag in messages.keys() {
        let key = &*format!("messages.{tag}");
        let is_same = |other: &&String| normalized_tag(other) == normalized_tag(tag);
        let is_twice = messages.keys().filter(is_same).count() > 1;
        root.refuse(&[key], !is_language_tag(tag), "isn't a language tag such as de or de-AT");
        root.refuse(&[key], is_twice, "is there twice: case doesn't matter in tags");
    }
}

/// Refuses the options that belong above them. Without a backend, the others may be right.
fn check_unknown_options(root: &mut Section<'_, '_>) {
    let mut options = root.inner("options");
    let known = keys_of::<Keys>();
    let read: BTreeMap<String, IgnoredAny> = options.read();
    for key in read.keys().filter(|key| known.contains(key)) {
        options.error(&[key], "is unknown");
    }
}

fn read_fallback(root: &mut Section<'_, '_>, keys: Fallback) -> Option<BackendOptions> {
    let mut table = root.inner("fallback");
    let name = keys.backend.as_deref().map(backends::stored_name);
    if name.is_some_and(|name| name.ends_with("-sandbox")) {
        table.error(&["backend"], "can't be a sandbox: it sends no SMS");
        return None;
    }
    backends::read(&mut table, keys.backend)
}

#[cfg(test)]
mod tests;
