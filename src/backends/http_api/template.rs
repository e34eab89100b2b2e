//! The parts of a request that hold the number and the message, each encoded for where it stands.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::backends::{ConnectError, Sms};
use crate::model::Template;
use crate::settings_table::Tree;
use crate::system::secret::Secret;

const PHONE_NUMBER: &str = "phone_number";
const PHONE_DIGITS: &str = "phone_digits";
const MESSAGE: &str = "message";
/// The names of all placeholders.
pub(super) const PLACEHOLDERS: [&str; 3] = [PHONE_NUMBER, PHONE_DIGITS, MESSAGE];

/// Names and their values.
pub(super) type Fields<S> = Vec<(String, Tree<Template, S>)>;

/// What a request says besides its address and its headers.
#[derive(Debug, Clone)]
pub(super) enum Body<S> {
    /// Nothing.
    None,
    /// Fields, which go into the query with GET.
    Form(Fields<S>),
    /// A JSON document.
    Json(Tree<Template, S>),
}

impl<S> Body<S> {
    /// Returns whether a request other than GET has nothing to carry.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Form(fields) => fields.is_empty(),
            Self::Json(_) => false,
        }
    }
}

impl Body<Secret> {
    /// Returns the same body with its secrets looked up.
    pub(super) fn reveal(&self) -> Result<Body<SecretString>, ConnectError> {
        Ok(match self {
            Self::None => Body::None,
            Self::Form(fields) => Body::Form(reveal_fields("form", fields)?),
            Self::Json(tree) => Body::Json(reveal("json", tree)?),
        })
    }
}

impl Body<SecretString> {
    /// Returns its secrets.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::None => Vec::new(),
            Self::Form(fields) => secrets_of(fields),
            Self::Json(tree) => tree.secrets().cloned().collect(),
        }
    }
}

/// Returns `fields`, which stand at `key`, with their secrets looked up.
pub(super) fn reveal_fields(
    key: &str,
    fields: &Fields<Secret>,
) -> Result<Fields<SecretString>, ConnectError> {
    let field =
        |(name, value): &(String, _)| Ok((name.clone(), reveal(&format!("{key}.{name}"), value)?));
    fields.iter().map(field).collect()
}

fn reveal(
    key: &str,
    tree: &Tree<Template, Secret>,
) -> Result<Tree<Template, SecretString>, ConnectError> {
    let secret =
        |secret: &Secret| secret.reveal().map_err(|source| ConnectError::secret(key, source));
    tree.try_map(&|template| Ok(template.clone()), &secret)
}

/// Returns the secrets of `fields`.
pub(super) fn secrets_of(fields: &Fields<SecretString>) -> Vec<SecretString> {
    fields.iter().flat_map(|(_, value)| value.secrets()).cloned().collect()
}

/// The names of the placeholders of a request, with the keys that they stand at.
pub(super) struct Placeholders<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Placeholders<'a> {
    /// Returns the placeholders of the address and the body.
    pub(super) fn of<S>(url: &'a Template, body: &'a Body<S>) -> Self {
        let mut names: Vec<_> = url.placeholders().map(|name| ("url", name)).collect();
        let mut add = |key, tree: &'a Tree<Template, S>| {
            names.extend(tree.texts().flat_map(Template::placeholders).map(|name| (key, name)));
        };
        match body {
            Body::None => {}
            Body::Form(fields) => fields.iter().for_each(|(_, value)| add("form", value)),
            Body::Json(tree) => add("json", tree),
        }
        Self(names)
    }

    /// Checks that a request that is made of them tells what to send and where to, and that all of them can be filled.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let has = |name| self.0.iter().any(|(_, known)| *known == name);
        let unknown = self.0.iter().find(|(_, name)| !PLACEHOLDERS.contains(name));
        match unknown {
            Some((key, _)) => Err((
                key,
                "can hold {phone_number}, {phone_digits} and {message}, and no other placeholder",
            )),
            None if has(MESSAGE) && (has(PHONE_NUMBER) || has(PHONE_DIGITS)) => Ok(()),
            None => Err((
                "url",
                "and form or json must hold {message}, and {phone_number} or {phone_digits}",
            )),
        }
    }
}

/// Returns `template` with the SMS in place of the placeholders, each value encoded by `encode`.
pub(super) fn filled(template: &Template, sms: &Sms<'_>, encode: fn(&str) -> String) -> String {
    let value = |name: &str| match name {
        PHONE_NUMBER => Some(encode(sms.phone_number.as_str())),
        PHONE_DIGITS => Some(encode(sms.phone_number.digits())),
        MESSAGE => Some(encode(sms.text)),
        _ => None,
    };
    template.fill(value).expect("the placeholders were checked")
}

/// Returns the JSON that `tree` stands for, with the SMS in place of the placeholders.
pub(super) fn json(tree: &Tree<Template, SecretString>, sms: &Sms<'_>) -> Value {
    json_with(tree, &|template| filled(template, sms, str::to_owned))
}

/// Returns the text of a field's value, with the SMS in place of the placeholders.
pub(super) fn field_text(value: &Tree<Template, SecretString>, sms: &Sms<'_>) -> String {
    text_of(json(value, sms))
}

/// Returns the text of a value without placeholders.
pub(super) fn fixed_text(value: &Tree<Template, SecretString>) -> String {
    text_of(json_with(value, &|template| template.fill(|_| None).unwrap_or_default()))
}

fn json_with(tree: &Tree<Template, SecretString>, fill: &dyn Fn(&Template) -> String) -> Value {
    match tree {
        Tree::Text(template) => fill(template).into(),
        Tree::Secret(secret) => secret.expose_secret().into(),
        Tree::SecretNumber(number) => {
            serde_json::from_str(number.expose_secret()).unwrap_or_default()
        }
        Tree::Plain(value) => value.clone(),
        Tree::List(items) => items.iter().map(|item| json_with(item, fill)).collect(),
        Tree::Table(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), json_with(value, fill))).collect()
        }
    }
}

/// Returns a text as it is, and anything else as JSON has it.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Returns `text` encoded for any place in a URL (RFC 3986, section 2.1).
pub(super) fn percent_encoded(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}
