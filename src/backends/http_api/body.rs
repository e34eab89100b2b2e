//! The parts of a request whose shape the operator chooses: texts with the number and the message, and secrets.

use heck::ToSnakeCase;
use serde::Deserialize;
use serde_json::Value as Json;
use toml::Value;

use crate::backends::sms::Sms;
use crate::document::Section;
use crate::model::Template;
use crate::system::secret::Secret;

pub(super) const PHONE_NUMBER: &str = "phone_number";
pub(super) const PHONE_DIGITS: &str = "phone_digits";
pub(super) const MESSAGE: &str = "message";
pub(super) const PLACEHOLDERS: [&str; 3] = [PHONE_NUMBER, PHONE_DIGITS, MESSAGE];

/// A value made of texts, secrets, plain values, lists and tables.
#[derive(Debug)]
pub(super) enum Tree {
    Text(Template),
    /// `{ env = "NAME" }`, `{ file = "PATH" }`, or a text whose key says that it's a secret.
    Secret(Secret),
    /// A whole number whose key says that it's a secret.
    SecretNumber(Secret),
    /// A number, or true or false.
    Plain(Json),
    List(Vec<Self>),
    Table(Fields),
}

/// Names and their values.
pub(super) type Fields = Vec<(String, Tree)>;

impl Tree {
    /// Returns the tree of `value`, or None if something is wrong with it. All values at a `key` that names a secret are secrets.
    pub(super) fn read(options: &mut Section<'_, '_>, key: &str, value: Value) -> Option<Self> {
        Self::read_inner(options, key, names_a_secret(key), value)
    }

    fn read_inner(
        options: &mut Section<'_, '_>,
        key: &str,
        is_secret: bool,
        value: Value,
    ) -> Option<Self> {
        let mut read = |name: &str, is_secret, value| {
            Self::read_inner(options, &format!("{key}{name}"), is_secret, value)
        };
        Some(match value {
            Value::Array(items) => {
                Self::List(all(items.into_iter().map(|item| read("", is_secret, item)))?)
            }
            Value::Table(table) if !names_a_place(&table) => {
                Self::Table(all(table.into_iter().map(|(name, value)| {
                    let is_secret = is_secret || names_a_secret(&name);
                    Some((name.clone(), read(&format!(".{name}"), is_secret, value)?))
                }))?)
            }
            Value::Table(table) => {
                let bad = table.iter().find(|(_, value)| !value.is_str());
                let bad = bad.map(|(name, _)| format!("{key}.{name}"));
                let secret = Secret::deserialize(Value::Table(table));
                let problem = "must be { env = \"NAME\" } or { file = \"PATH\" }";
                let keys = [bad.as_deref().unwrap_or(key)];
                let secret = options.checked(&keys, secret.map_err(|_| problem));
                Self::Secret(options.secret(key, secret)?)
            }
            Value::String(text) if is_secret && !may_hold_placeholder(&text) => {
                Self::Secret(options.secret(key, Some(Secret::literal(text)))?)
            }
            Value::String(text) => Self::Text(options.checked(&[key], Template::parse(&text))?),
            // A number of three digits is easy to guess, and masking it would spoil other numbers.
            Value::Integer(number) if is_secret && number.unsigned_abs() > 999 => {
                Self::SecretNumber(options.secret(key, Some(Secret::literal(number.to_string())))?)
            }
            value => {
                let problem = "must be a text, a number, true or false, a list or a table";
                Self::Plain(options.checked(&[key], plain(value).ok_or(problem))?)
            }
        })
    }

    /// Returns whether it's a list or a table.
    pub(super) fn is_nested(&self) -> bool {
        matches!(self, Self::List(_) | Self::Table(_))
    }

    /// Returns the names of all placeholders in it.
    pub(super) fn placeholders(&self) -> Vec<&str> {
        match self {
            Self::Text(template) => template.placeholders().collect(),
            Self::List(items) => items.iter().flat_map(Self::placeholders).collect(),
            Self::Table(fields) => {
                fields.iter().flat_map(|(_, value)| value.placeholders()).collect()
            }
            Self::Secret(_) | Self::SecretNumber(_) | Self::Plain(_) => Vec::new(),
        }
    }

    /// Returns it as JSON, with its placeholders filled from the SMS.
    pub(super) fn json(&self, sms: Option<&Sms<'_>>) -> Json {
        match self {
            Self::Text(template) => filled(template, sms, str::to_owned).into(),
            Self::Secret(secret) => secret.expose().into(),
            Self::SecretNumber(number) => serde_json::from_str(number.expose()).unwrap_or_default(),
            Self::Plain(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.json(sms)).collect(),
            Self::Table(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.json(sms))).collect()
            }
        }
    }

    /// Returns it as a field of a form or a header has it: a text as it is, anything else as in JSON.
    pub(super) fn text(&self, sms: Option<&Sms<'_>>) -> String {
        match self.json(sms) {
            Json::String(text) => text,
            other => other.to_string(),
        }
    }
}

/// Returns `template` with the SMS in place of the placeholders, each value encoded by `encode`.
pub(super) fn filled(
    template: &Template,
    sms: Option<&Sms<'_>>,
    encode: fn(&str) -> String,
) -> String {
    let value = |name: &str| {
        let sms = sms?;
        match name {
            PHONE_NUMBER => Some(encode(sms.phone_number.as_str())),
            PHONE_DIGITS => Some(encode(sms.phone_number.digits())),
            _ => Some(encode(sms.text)),
        }
    };
    template.fill(value).unwrap_or_default()
}

/// Collects the values after all of them were read, if nothing is wrong with any.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    values.collect::<Vec<_>>().into_iter().collect()
}

/// Returns the JSON of a number, of true or of false, or of a text.
pub(super) fn plain(value: Value) -> Option<Json> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Integer(number) => Some(number.into()),
        Value::Float(number) => serde_json::Number::from_f64(number).map(Json::from),
        Value::Boolean(value) => Some(value.into()),
        _ => None,
    }
}

fn names_a_place(table: &toml::Table) -> bool {
    !table.is_empty() && table.keys().all(|key| matches!(key.as_str(), "env" | "file"))
}

fn may_hold_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|name| text.contains(&format!("{{{name}}}")))
}

/// Returns whether a key of the provider's choice says that its value is a secret.
fn names_a_secret(key: &str) -> bool {
    const PARTS: [&str; 9] = [
        "key",
        "token",
        "secret",
        "password",
        "passphrase",
        "passwd",
        "pwd",
        "credential",
        "authorization",
    ];
    // Only as whole words: others contain them, such as `compass` and `author`.
    const WORDS: [&str; 2] = ["pass", "auth"];
    let lower_case = key.to_lowercase();
    let words = key.replace(|c: char| !c.is_alphabetic(), "_").to_snake_case();
    PARTS.iter().any(|part| lower_case.contains(part))
        || words.split('_').any(|word| WORDS.contains(&word))
}
