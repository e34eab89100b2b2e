//! The settings file: found, read and validated before anything else happens.

mod check;
mod composer;
mod hooks;
mod limits;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::backends::{self, BackendOptions, CallSettings};
use crate::document::{Document, Problem, Section, keys_of};
use crate::model::values::{Text, count, days, number, parsed, seconds};
use crate::model::{Message, Messages, Region, is_language_tag, normalized_tag, parse_region};
use crate::system::secret::Secret;
use crate::system::small_file;

pub use hooks::Hooks;
pub use limits::Limits;

const FILE_NAME: &str = "phone-verify.toml";
const DEFAULT_DATABASE: &str = "phone-verify.sqlite3";
const DEFAULT_MESSAGE: &str =
    "Welcome to {app}! Please use security code {security_code} to proceed.";
const DEFAULT_APP_NAME: &str = "Phone Verify";
/// The permission bit that lets others read a file.
pub const READABLE_BY_OTHERS: u32 = 0o004;

/// What a settings file says, with the defaults for what it leaves out.
#[derive(Debug)]
pub struct Settings {
    /// The backend and its options.
    pub backend: BackendOptions,
    /// The digits of a security code.
    pub token_length: usize,
    /// The message and its translations.
    pub messages: Messages,
    /// The name that `{app}` stands for.
    pub app_name: String,
    /// How long a security code is valid.
    pub code_lifetime: TimeDelta,
    /// Whether a code can be verified once only.
    pub verify_only_once: bool,
    /// How many wrong codes lock a record.
    pub max_failed_attempts: u32,
    /// How long `purge` spares a record, where that is not the life of its code.
    pub record_retention: Option<TimeDelta>,
    /// The key that signs session tokens, where it is not a fresh one each run.
    pub secret_key: Option<Secret>,
    /// The region of numbers without `+`.
    pub default_region: Option<Region>,
    /// The database file.
    pub database: PathBuf,
    /// How the provider is called.
    pub delivery: CallSettings,
    /// What may be sent.
    pub limits: Limits,
    /// The backend that is called where the first one refuses for a reason of its own.
    pub fallback: Option<BackendOptions>,
    /// The programs that are run once something has happened.
    pub hooks: Hooks,
    /// The environment variables that hold secrets, which no program is to inherit.
    pub secret_variables: Vec<String>,
    /// The file that they come from.
    source: Source,
}

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Source {
    /// The file.
    file: PathBuf,
    /// Its permission bits.
    permissions: u32,
    /// The secrets that it names or holds, with their keys.
    secrets: Vec<(String, Secret)>,
}

impl Source {
    fn has_literal_secret(&self) -> bool {
        self.secrets.iter().any(|(_, secret)| secret.is_literal())
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no settings file where one is looked for.
    #[error("no settings file: looked for {}", list(.0))]
    NotFound(Vec<PathBuf>),
    /// The file can't be read.
    #[error("settings file {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that it may not.
    #[error("settings file {}, {problem}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What's wrong, and on which line.
        problem: Problem,
    },
}

/// Settings that can't be used.
#[derive(Debug)]
pub struct BrokenSettings {
    /// What's wrong, one error or more.
    errors: Vec<SettingsError>,
    /// The file, if there is one that can be read, with the secrets that were found in it.
    source: Option<Source>,
}

impl Settings {
    /// Reads the settings from `file`, or from the first file that exists where settings are looked for.
    ///
    /// # Errors
    /// There is no such file, it can't be read, or what it says is not valid.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::examine(file).map_err(|mut broken| broken.errors.swap_remove(0))
    }

    /// Reads the settings as [`Settings::load`] does.
    ///
    /// # Errors
    /// Everything that can be told to be wrong.
    pub fn examine(file: Option<&Path>) -> Result<Self, BrokenSettings> {
        let file = file.map_or_else(locate, |file| Ok(file.to_owned()))?;
        let unreadable = |source| SettingsError::Unreadable { file: file.clone(), source };
        let bytes = small_file::read(&file).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
        })?;
        let directory = file.parent().unwrap_or(Path::new(""));
        let (settings, (problems, secrets)) = match Document::parse(&text, directory) {
            Ok(mut document) => (read(document.root()), document.finish()),
            Err(problem) => (None, (vec![problem], Vec::new())),
        };
        let permissions = permissions(&file);
        let variables =
            secrets.iter().filter_map(|(_, secret)| secret.variable().map(str::to_owned));
        let secret_variables = variables.collect();
        let source = Source { file: file.clone(), permissions, secrets };
        match settings.filter(|_| problems.is_empty()) {
            Some(settings) => Ok(Self { source, secret_variables, ..settings }),
            None => {
                let error = |problem| SettingsError::Invalid { file: file.clone(), problem };
                let errors = problems.into_iter().map(error).collect();
                Err(BrokenSettings { errors, source: Some(source) })
            }
        }
    }

    /// Returns the backends: the first, and the one that it may be handed over to.
    pub fn backends(&self) -> impl Iterator<Item = &BackendOptions> {
        std::iter::once(&self.backend).chain(&self.fallback)
    }

    /// Returns what the operator should know about the file, whatever the command.
    pub fn warning(&self) -> Option<String> {
        let Source { file, permissions, .. } = &self.source;
        let is_weak = self.source.has_literal_secret() && permissions & READABLE_BY_OTHERS != 0;
        let advice = "`chmod o-r` it, or name an environment variable or a file";
        is_weak.then(|| {
            format!("{} holds a secret and can be read by others; {advice}", file.display())
        })
    }
}

impl From<SettingsError> for BrokenSettings {
    fn from(error: SettingsError) -> Self {
        Self { errors: vec![error], source: None }
    }
}

impl SettingsError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound(_) => {
                Some("copy phone-verify.toml.example, or name a file with --config")
            }
            Self::Unreadable { .. } | Self::Invalid { .. } => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Returns the first settings file that exists: here, in the user's configuration folder, in the system's.
fn locate() -> Result<PathBuf, SettingsError> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG Base Directory Specification has relative paths ignored.
    let user_folder = variable("XDG_CONFIG_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".config")));
    let candidates: Vec<PathBuf> = std::iter::once(PathBuf::from(FILE_NAME))
        .chain(user_folder.map(|folder| folder.join("phone-verify").join(FILE_NAME)))
        .chain([Path::new("/etc/phone-verify").join(FILE_NAME)])
        .collect();
    let found = candidates.iter().find(|path| path.symlink_metadata().is_ok()).cloned();
    found.ok_or(SettingsError::NotFound(candidates))
}

/// Returns the permission bits of `file`, or none where it can't be looked at.
pub fn permissions(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode() & 0o777)
}

/// The settings as the file has them.
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
    database: Database,
    delivery: CallSettings,
    limits: Limits,
    hooks: Hooks,
    fallback: Option<Fallback>,
    /// What it may hold depends on the backend.
    options: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Database {
    path: Option<Text>,
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
    root.expect_table::<Database>("database");
    root.expect_table::<CallSettings>("delivery");
    root.expect_table::<Limits>("limits");
    root.expect_table::<Hooks>("hooks");
    root.expect_table::<Fallback>("fallback");
    let (length, least) = (keys.token_length.unwrap_or(6), keys.min_token_length.unwrap_or(6));
    let mut names = ["token_length", "min_token_length"];
    if keys.token_length.is_none() {
        names.reverse();
    }
    root.refuse(&names, length < least, "makes token_length shorter than min_token_length");
    const TIME: &str = "security_code_expiration_time";
    const SECONDS: &str = "security_code_expiration_seconds";
    let times = [keys.security_code_expiration_seconds, keys.security_code_expiration_time];
    root.refuse(
        &[SECONDS, TIME],
        times.iter().all(Option::is_some),
        "is another name for security_code_expiration_time: keep one of the two",
    );
    let code_lifetime = times.into_iter().flatten().next().unwrap_or(TimeDelta::minutes(10));
    root.refuse(
        &["record_retention_days", TIME, SECONDS],
        keys.record_retention_days.is_some_and(|retention| retention < code_lifetime),
        "is shorter than a code lives: purge would delete live codes",
    );
    let ledger_retention = keys.delivery.ledger_retention;
    root.refuse(
        &["limits.resend_cooldown_seconds", "delivery.record_retention_days"],
        keys.limits.resend_cooldown.is_some_and(|cooldown| cooldown > ledger_retention),
        "is longer than delivery.record_retention_days: purge would end the wait",
    );
    for tag in keys.messages.keys() {
        let key = &*format!("messages.{tag}");
        let is_same = |other: &&String| normalized_tag(other) == normalized_tag(tag);
        let is_twice = keys.messages.keys().filter(is_same).count() > 1;
        root.refuse(&[key], !is_language_tag(tag), "is no language tag such as de or de-AT");
        root.refuse(&[key], is_twice, "is there twice: tags match in any case");
    }
    if keys.backend.is_none() {
        // What the options may be isn't known then, but keys that were meant to be above them are.
        let mut options = root.inner("options");
        let known = keys_of::<Keys>();
        let read: BTreeMap<String, IgnoredAny> = options.read();
        for key in read.keys().filter(|key| known.contains(key)) {
            options.error(&[key], "is unknown");
        }
    }
    let default_message = || Message::parse(DEFAULT_MESSAGE).expect("a constant message");
    Some(Settings {
        token_length: length,
        messages: Messages::new(keys.message.unwrap_or_else(default_message), keys.messages),
        app_name: keys.app_name.map_or(DEFAULT_APP_NAME.to_owned(), |name| name.to_string()),
        code_lifetime,
        verify_only_once: keys.verify_security_code_only_once.unwrap_or(true),
        max_failed_attempts: keys.max_failed_attempts.unwrap_or(5),
        record_retention: keys.record_retention_days,
        secret_key: root.secret("secret_key", keys.secret_key),
        default_region: keys.default_region,
        database: root.directory().join(keys.database.path.as_deref().unwrap_or(DEFAULT_DATABASE)),
        limits: keys.limits,
        delivery: keys.delivery,
        hooks: keys.hooks.within(root.directory()),
        fallback: keys
            .fallback
            .and_then(|fallback| read_fallback(root.inner("fallback"), fallback.backend)),
        backend: backends::read(&mut root, keys.backend)?,
        secret_variables: Vec::new(),
        source: Source::default(),
    })
}

fn read_fallback(mut table: Section<'_, '_>, name: Option<Text>) -> Option<BackendOptions> {
    let backend = backends::read(&mut table, name)?;
    let is_sandbox = backend.sandbox_token().is_some();
    table.refuse(&["backend"], is_sandbox, "can't be a sandbox: nobody would get the code");
    Some(backend)
}

#[cfg(test)]
mod tests;
