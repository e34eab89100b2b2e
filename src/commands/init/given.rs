//! The keys that the command line sets.

use toml::{Table, Value};

use super::draft::Draft;
use crate::exit::Error;
use crate::settings::is_within;

/// The key of the provider's secret, and of the one that an API key needs in its place.
const SECRET: &str = "options.secret";
const API_KEY_SECRET: &str = "options.api_key_secret";
const API_KEY: &str = "options.api_key_sid";
/// The key of a server's address, which may hold a password, and that of the password alone.
const DATABASE_URL: &str = "database.url";
const DATABASE_PASSWORD: &str = "database.password";

/// The keys of `--backend` and `--set` with their values as text, and the variable of `--secret-env`.
pub(super) struct GivenKeys {
    values: Vec<(String, String)>,
    secret_variable: Option<String>,
}

impl GivenKeys {
    /// Reads the options. No error repeats a value, since it may be a secret.
    ///
    /// # Errors
    /// Returns an error if a `--set` isn't a key and a value, or if a key is there twice.
    pub(super) fn read(
        backend: Option<&str>,
        settings: &[String],
        secret_variable: Option<&str>,
    ) -> Result<Self, Error> {
        let backend = backend.map(|name| ("backend".to_owned(), name.to_owned()));
        let mut values = Vec::from_iter(backend);
        for setting in settings {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            let is_key = |key: &str| {
                key.split('.').all(|name| !name.is_empty() && name.chars().all(is_plain))
            };
            let parts = setting.split_once('=').map(|(key, value)| (key.trim(), value));
            let Some((key, value)) = parts.filter(|(key, _)| is_key(key)) else {
                return Err(Error::usage("--set takes a key and its value")
                    .with_hint("--set options.sid=VALUE sets `sid` in the table [options]"));
            };
            if values.iter().any(|(other, _)| other == key) {
                return Err(Error::usage(format!("`{key}` is set twice")));
            }
            values.push((key.to_owned(), value.to_owned()));
        }
        if let Some(name) = secret_variable {
            check_variable(name).map_err(|error| error.within("--secret-env"))?;
        }
        let given = Self { values, secret_variable: secret_variable.map(str::to_owned) };
        if secret_variable.is_some() && given.has_value_for(SECRET) {
            return Err(Error::usage(format!(
                "`{SECRET}` is what --secret-env sets: give one of the two"
            )));
        }
        Ok(given)
    }

    /// Returns the backend, if one is given.
    pub(super) fn backend(&self) -> Option<&str> {
        self.values.iter().find(|(key, _)| key == "backend").map(|(_, value)| value.as_str())
    }

    /// Returns whether `key`, or a table around it, is given.
    pub(super) fn sets(&self, key: &str) -> bool {
        let is_secret = [SECRET, API_KEY_SECRET].contains(&key) && self.secret_variable.is_some();
        is_secret || self.has_value_for(key)
    }

    fn has_value_for(&self, key: &str) -> bool {
        self.values.iter().any(|(given, _)| is_within(key, given))
    }

    /// Sets the keys in `draft`, whose backend is set or given.
    ///
    /// # Errors
    /// Returns an error if a value is a secret.
    pub(super) fn apply(&self, draft: &mut Draft) -> Result<(), Error> {
        for (key, text) in &self.values {
            // What begins with + is a phone number, although TOML would read it as an integer.
            let typed = text.trim().parse::<Value>().ok().filter(|_| !text.trim().starts_with('+'));
            draft.set(key, typed.unwrap_or_else(|| text.as_str().into()));
        }
        if let Some(name) = &self.secret_variable {
            let has_api_key = draft.get(API_KEY).is_some();
            let key = if has_api_key { API_KEY_SECRET } else { SECRET };
            draft.set(key, Table::from_iter([("env".to_owned(), name.as_str().into())]));
        }
        let problems = draft.findings().problems;
        for (key, text) in &self.values {
            let is_refused = problems.iter().any(|problem| is_within(&problem.key, key));
            let is_simple = draft.get(key).is_some_and(|value| !value.is_table());
            if is_refused && is_simple {
                draft.set(key, text.as_str());
            }
        }
        let findings = draft.findings();
        let Some(key) = findings.literal_secrets().find(|key| self.has_value_for(key)) else {
            return Ok(());
        };
        let (first, own) = match key {
            DATABASE_URL => ("leave the password out of the address, and ", DATABASE_PASSWORD),
            key => ("", key),
        };
        let is_providers = [SECRET, API_KEY_SECRET].contains(&key);
        let option = if is_providers { "--secret-env NAME or " } else { "" };
        Err(Error::usage(format!(
            "`{key}` is a secret, which --set doesn't take: others can see a command line"
        ))
        .with_hint(format!(
            "{first}name an environment variable with {option}`--set '{own}={{ env = \"NAME\" }}'`, or a file with `--set '{own}={{ file = \"PATH\" }}'`"
        )))
    }
}

/// Checks that `name` can be the name of an environment variable. The error doesn't repeat it: it may be the secret itself.
pub(super) fn check_variable(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_name && !name.is_empty() {
        return Ok(());
    }
    Err(Error::usage("the name of a variable has letters, digits and _, and begins with no digit"))
}
