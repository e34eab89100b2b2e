//! What a Django site's settings module says, as far as it says it in plain literals.

use std::path::Path;

use serde::Serialize;
use toml::Value;

use super::python::{Item, Literal, Uses, uses_of};
use crate::exit::Error;
use crate::model::percent_encoded;
use crate::system::small_file;

const SETTING: &str = "PHONE_VERIFICATION";
const DATABASES: &str = "DATABASES";
const DEFAULT: &str = "DATABASES['default']";
const PATH_KEY: &str = "database.path";
const URL_KEY: &str = "database.url";
const PASSWORD_KEY: &str = "database.password";
/// How Django and GeoDjango call PostgreSQL: the last part of the engine's name.
const POSTGRESQL: [&str; 3] = ["postgresql", "postgresql_psycopg2", "postgis"];
const NOT_PLAIN: &str = "it isn't a plain literal";

/// What was read from a settings module.
#[derive(Default)]
pub(super) struct DjangoSettings {
    pub(super) values: Vec<Origin<Value>>,
    pub(super) left_out: Vec<Origin<String>>,
}

/// Where something comes from in the module, and what it is there: a value, or why it can't be taken over.
#[derive(Serialize)]
pub(super) struct Origin<T> {
    /// The key of the settings.
    #[serde(skip)]
    pub(super) key: String,
    /// The expression that a site would write.
    pub(super) setting: String,
    pub(super) line: usize,
    #[serde(rename = "reason")]
    pub(super) content: T,
}

impl<T> Origin<T> {
    /// Returns the same origin with another content.
    pub(super) fn with<U>(self, content: U) -> Origin<U> {
        let Self { key, setting, line, .. } = self;
        Origin { key, setting, line, content }
    }
}

/// Reads the settings module at `path` as text.
///
/// # Errors
/// Returns an error if it can't be read or has no plain `PHONE_VERIFICATION`.
pub(super) fn read(path: &Path) -> Result<DjangoSettings, Error> {
    let unusable = |reason: &str| Error::usage(format!("{}: {reason}", path.display()));
    let bytes = small_file::open(path)
        .and_then(small_file::read)
        .map_err(|error| unusable(&error.to_string()).caused_by(error))?;
    let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text"))?;
    let Uses { assigned, others } = uses_of(SETTING, &text);
    let Some((line, value)) = assigned else {
        return Err(unusable(&format!("it doesn't set {SETTING} at the top level"))
            .with_hint("name the module that sets it, such as settings/base.py"));
    };
    let Literal::Dict(items) = value else {
        return Err(unusable(&format!("line {line}: {SETTING} isn't a plain dict")));
    };
    let mut found = DjangoSettings::default();
    found.take_items("", SETTING, items);
    found.leave_out_uses("", SETTING, others);
    if let Some((line, value)) = uses_of("SECRET_KEY", &text).assigned {
        found.take("secret_key", "SECRET_KEY", line, value);
    }
    let Uses { assigned, others } = uses_of(DATABASES, &text);
    if let Some((line, value)) = assigned {
        found.take_database(line, &value);
        found.leave_out_uses(PATH_KEY, DATABASES, others);
    }
    Ok(found)
}

impl DjangoSettings {
    /// Takes the items of the dict `setting` into the table `table`.
    fn take_items(&mut self, table: &str, setting: &str, items: Vec<Item>) {
        for Item { key, value, line } in items {
            let Literal::Text(name) = key else {
                self.leave_out(table, setting, line, "it has a key that isn't a plain string");
                continue;
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                self.leave_out(table, setting, line, "it has a key that the settings can't have");
                continue;
            }
            let key = format!("{table}{}", name.to_lowercase());
            let setting = format!("{setting}['{name}']");
            match value {
                Literal::Dict(items) => self.take_items(&format!("{key}."), &setting, items),
                value => self.take(&key, &setting, line, value),
            }
        }
    }

    fn take(&mut self, key: &str, setting: &str, line: usize, value: Literal) {
        let (key, setting) = (key.to_owned(), setting.to_owned());
        match in_toml(value) {
            Ok(content) => {
                self.values.retain(|earlier| earlier.key != key);
                self.values.push(Origin { key, setting, line, content });
            }
            Err(reason) => self.leave_out(&key, &setting, line, reason),
        }
    }

    fn take_database(&mut self, line: usize, databases: &Literal) {
        let setting = format!("{DEFAULT}['NAME']");
        let default = item(databases, "default").map(|default| &default.value);
        let engine =
            default.and_then(|default| item(default, "ENGINE")).map(|engine| &engine.value);
        let name = default.and_then(|default| item(default, "NAME"));
        let line = name.map_or(line, |name| name.line);
        let (Some(default), Some(Literal::Text(engine)), Some(name)) = (default, engine, name)
        else {
            return self.leave_out(PATH_KEY, &setting, line, "it isn't written in plain literals");
        };
        match (engine.rsplit('.').next().unwrap_or_default(), &name.value) {
            (engine, _) if POSTGRESQL.contains(&engine) => self.take_server(line, default),
            (engine, _) if engine != "sqlite3" => {
                let reason = "it isn't a database of SQLite or PostgreSQL";
                self.leave_out(PATH_KEY, &setting, line, reason);
            }
            (_, Literal::Text(path)) if !path.starts_with('/') => {
                self.leave_out(PATH_KEY, &setting, line, "it isn't an absolute path");
            }
            (_, path) => self.take(PATH_KEY, &setting, line, path.clone()),
        }
    }

    /// Takes the address of the server in the dict `default`, and its password.
    fn take_server(&mut self, line: usize, default: &Literal) {
        let part = |name: &'static str| {
            let text = match item(default, name).map(|item| &item.value) {
                None | Some(Literal::None) => String::new(),
                Some(Literal::Text(text)) => percent_encoded(text),
                Some(Literal::Integer(number)) => number.to_string(),
                Some(_) => return Err(name),
            };
            Ok(Some(text).filter(|text| !text.is_empty()))
        };
        let parts = || Ok::<_, &str>([part("USER")?, part("HOST")?, part("PORT")?, part("NAME")?]);
        let [user, host, port, name] = match parts() {
            Ok(parts) => parts,
            Err(name) => {
                let setting = format!("{DEFAULT}['{name}']");
                return self.leave_out(URL_KEY, &setting, line, NOT_PLAIN);
            }
        };
        let user = user.map(|user| user + "@");
        let port = port.map(|port| format!(":{port}"));
        let [user, host, port, name] = [user, host, port, name].map(Option::unwrap_or_default);
        let url = Literal::Text(format!("postgresql://{user}{host}{port}/{name}"));
        self.take(URL_KEY, DEFAULT, line, url);
        if let Some(Item { value, line, .. }) = item(default, "PASSWORD")
            && ![Literal::None, Literal::Text(String::new())].contains(value)
        {
            self.take(PASSWORD_KEY, &format!("{DEFAULT}['PASSWORD']"), *line, value.clone());
        }
        if let Some(Item { value, line, .. }) = item(default, "OPTIONS")
            && *value != Literal::Dict(Vec::new())
        {
            let reason = "add what applies, such as sslmode, to database.url";
            self.leave_out(URL_KEY, &format!("{DEFAULT}['OPTIONS']"), *line, reason);
        }
    }

    /// Leaves out what these lines, which have the name `setting` again, may change.
    fn leave_out_uses(&mut self, key: &str, setting: &str, lines: Vec<usize>) {
        for line in lines {
            let reason = "it is used again, which may change what is taken over";
            self.leave_out(key, setting, line, reason);
        }
    }

    fn leave_out(&mut self, key: &str, setting: &str, line: usize, reason: &str) {
        let (key, setting, content) = (key.to_owned(), setting.to_owned(), reason.to_owned());
        self.left_out.push(Origin { key, setting, line, content });
    }
}

/// Returns the last item of a dict with this key, as Python does.
fn item<'a>(dict: &'a Literal, name: &str) -> Option<&'a Item> {
    let Literal::Dict(items) = dict else { return None };
    items.iter().rfind(|item| item.key == Literal::Text(name.to_owned()))
}

/// Returns the value in TOML, or why it has none.
fn in_toml(value: Literal) -> Result<Value, &'static str> {
    match value {
        Literal::Text(text) => Ok(text.into()),
        Literal::Integer(number) => Ok(number.into()),
        Literal::Float(number) => Ok(number.into()),
        Literal::Boolean(boolean) => Ok(boolean.into()),
        Literal::List(items) => {
            let items = items.into_iter().map(in_toml);
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Literal::None => Err("it is None"),
        Literal::Dict(_) | Literal::Other => Err(NOT_PLAIN),
    }
}
