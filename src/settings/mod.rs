//! The settings file: found, read and validated before anything else happens.

mod composer;
mod hooks;
mod limits;

use std::io;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use crate::backends::{BackendOptions, CallSettings};
use crate::model::{Message, Messages, Region, is_language_tag, normalized_tag, parse_region};
use crate::settings_table::{Document, Table, TableError};
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
const SECONDS_OF_365_DAYS: i64 = 365 * 86_400;

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
    pub source: Source,
    /// What the operator should know about the file.
    pub warnings: Vec<String>,
}

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Its permission bits.
    pub permissions: u32,
    /// Whether a secret stands in it, rather than in an environment variable or a file of its own.
    pub has_literal_secret: bool,
    /// The secrets that stand elsewhere, with the keys that name the place.
    pub secrets: Vec<(String, Secret)>,
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
    #[error("settings file {0}")]
    Invalid(#[from] TableError),
}

/// Settings that can't be used.
#[derive(Debug)]
pub struct BrokenSettings {
    /// What is wrong, one error or more.
    pub errors: Vec<SettingsError>,
    /// The file, where there is one that can be read, with the secrets that were found in it.
    pub source: Option<Source>,
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
        let document = Document::new(file.clone(), text);
        let settings = document.read(read);
        let source = Source {
            permissions: permissions(&file),
            has_literal_secret: document.has_literal_secret(),
            secrets: document.secrets_elsewhere(),
            file,
        };
        let mut settings = match settings {
            Ok(settings) => settings,
            Err(errors) => {
                let errors = errors.into_iter().map(SettingsError::Invalid).collect();
                return Err(BrokenSettings { errors, source: Some(source) });
            }
        };
        let variables = source.secrets.iter().filter_map(|(_, secret)| secret.variable());
        settings.secret_variables = variables.map(str::to_owned).collect();
        if source.has_literal_secret && source.permissions & READABLE_BY_OTHERS != 0 {
            settings.warnings.push(format!(
                "{} holds a secret and can be read by others; `chmod o-r` it, or name an environment variable or a file",
                source.file.display()
            ));
        }
        settings.source = source;
        Ok(settings)
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
            Self::Unreadable { .. } | Self::Invalid(_) => None,
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

fn read(root: &Table<'_>) -> Result<Settings, TableError> {
    let code_lifetime = read_code_lifetime(root)?;
    let default_message = root.parsed("message", Message::parse)?;
    let delivery = root.table("delivery", CallSettings::read)?.unwrap_or_default();
    let fallback = root.table("fallback", read_fallback);
    let backend = read_backend(root);
    Ok(Settings {
        token_length: read_token_length(root)?,
        messages: Messages::new(
            default_message
                .unwrap_or_else(|| Message::parse(DEFAULT_MESSAGE).expect("a constant message")),
            root.table("messages", read_translations)?.unwrap_or_default(),
        ),
        app_name: root.text("app_name")?.unwrap_or(DEFAULT_APP_NAME).to_owned(),
        code_lifetime,
        verify_only_once: root.boolean("verify_security_code_only_once")?.unwrap_or(true),
        max_failed_attempts: root
            .integer("max_failed_attempts", 1..=i64::from(u32::MAX))?
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(5),
        record_retention: read_record_retention(root, code_lifetime)?,
        secret_key: root.secret("secret_key")?,
        default_region: root.parsed("default_region", parse_region)?,
        database: root
            .table("database", |database| {
                Ok(database.text("path")?.map(|path| database.folder().join(path)))
            })?
            .flatten()
            .unwrap_or_else(|| root.folder().join(DEFAULT_DATABASE)),
        limits: root
            .table("limits", |limits| Limits::read(limits, delivery.ledger_retention))?
            .unwrap_or_default(),
        delivery,
        hooks: root.table("hooks", Hooks::read)?.unwrap_or_default(),
        secret_variables: Vec::new(),
        // Behind the keys that do not exist: one of them may be the backend's, misspelled.
        backend: root.finish().and(backend)?,
        fallback: fallback?,
        source: Source::default(),
        warnings: Vec::new(),
    })
}

/// Reads a backend's name and its options.
fn read_backend(table: &Table<'_>) -> Result<BackendOptions, TableError> {
    let name = table.parsed("backend", str::parse);
    // The options are no unknown key where it is the backend that is missing; what they may be is then unknown.
    table.has("options");
    let options =
        |name| table.table_or_empty("options", |options| BackendOptions::read(name, options));
    match name? {
        Some(name) => options(name),
        None => table.required("backend", None, BackendOptions::Console),
    }
}

fn read_fallback(table: &Table<'_>) -> Result<BackendOptions, TableError> {
    let fallback = read_backend(table)?;
    match fallback.sandbox_token() {
        Some(_) => Err(table.error("backend", "can't be a sandbox: nobody would get the code")),
        None => Ok(fallback),
    }
}

fn read_token_length(root: &Table<'_>) -> Result<usize, TableError> {
    let length = root.integer("token_length", 1..=120)?.unwrap_or(6);
    let least = root.integer("min_token_length", 1..=120)?.unwrap_or(6);
    let length = if length < least {
        let key = if root.has("token_length") { "token_length" } else { "min_token_length" };
        Err(root.error(key, "makes token_length shorter than min_token_length"))
    } else {
        Ok(length)
    };
    let length = root.unless_told(&["token_length", "min_token_length"], length, least)?;
    Ok(usize::try_from(length).expect("a number up to 120"))
}

fn read_code_lifetime(root: &Table<'_>) -> Result<TimeDelta, TableError> {
    let [time, seconds] = ["security_code_expiration_time", "security_code_expiration_seconds"]
        .map(|key| root.integer(key, 1..=SECONDS_OF_365_DAYS));
    match (time?, seconds?) {
        (Some(_), Some(_)) => Err(root.error(
            "security_code_expiration_seconds",
            "is another name for security_code_expiration_time: keep one of the two",
        )),
        (time, seconds) => Ok(TimeDelta::seconds(time.or(seconds).unwrap_or(600))),
    }
}

fn read_record_retention(
    root: &Table<'_>,
    code_lifetime: TimeDelta,
) -> Result<Option<TimeDelta>, TableError> {
    const KEY: &str = "record_retention_days";
    let retention = root.integer(KEY, 1..=36_500)?.map(TimeDelta::days);
    if retention.is_some_and(|retention| retention < code_lifetime) {
        return Err(root.error(KEY, "is shorter than a code lives: purge would delete live codes"));
    }
    Ok(retention)
}

fn read_translations(table: &Table<'_>) -> Result<Vec<(String, Message)>, TableError> {
    let mut translations: Vec<(String, Message)> = Vec::new();
    for tag in table.keys() {
        if !is_language_tag(tag) {
            return Err(table.error(tag, "is no language tag such as de or de-AT"));
        }
        let message = table.parsed(tag, Message::parse)?.ok_or_else(|| table.missing(tag))?;
        let tag_in_lower_case = normalized_tag(tag);
        if translations.iter().any(|(known, _)| *known == tag_in_lower_case) {
            return Err(table.error(tag, "is there twice: tags match in any case"));
        }
        translations.push((tag_in_lower_case, message));
    }
    Ok(translations)
}
