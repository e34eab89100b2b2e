//! What the settings say of an HTTP API.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use reqwest::{Method, Url};
use serde::{Deserialize, Deserializer};
use toml::Value;

use super::body::{Fields, MESSAGE, PHONE_DIGITS, PHONE_NUMBER, PLACEHOLDERS, Tree};
use super::values::{Beginning, Code, Pointer, Scalar, Status, one_or_many, pointer_or_whole};
use crate::backends::http::check_url;
use crate::document::Section;
use crate::model::values::{Text, list, parsed};
use crate::model::{Template, percent_encoded, steers_terminal};
use crate::system::secret::Secret;

/// What the settings may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Keys {
    #[serde(deserialize_with = "name")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "method")]
    method: Option<Method>,
    url: Option<Template>,
    headers: Option<toml::Table>,
    basic_auth: Option<BasicAuth>,
    bearer: Option<Secret>,
    authorization: Option<OtherAuth>,
    form: Option<Value>,
    json: Option<Value>,
    #[serde(deserialize_with = "list")]
    pub(super) accepted_status: Option<Vec<Status<200, 299>>>,
    #[serde(deserialize_with = "pointer_or_whole")]
    pub(super) accepted_pointer: Option<Pointer>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) accepted_value: Option<Vec<Scalar>>,
    pub(super) accepted_text: Option<Beginning>,
    pub(super) refused_pointer: Option<Pointer>,
    pub(super) message_id_pointer: Option<Pointer>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) error_code_pointer: Vec<Pointer>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) error_message_pointer: Vec<Pointer>,
    pub(super) retry_status: Option<Vec<Status<400, 599>>>,
    pub(super) fallback_codes: Vec<Code>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct BasicAuth {
    #[serde(deserialize_with = "user_name")]
    username: Option<Text>,
    password: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct OtherAuth {
    scheme: Option<Text>,
    credentials: Option<Secret>,
}

/// Reads what the provider is called. The ledger's column holds 32 characters.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parsed(deserializer, |name| match name.trim() {
        name if !(1..=32).contains(&name.chars().count()) || name.contains(steers_terminal) => {
            Err("must have 1 to 32 characters that can be seen")
        }
        name => Ok(Some(name.to_owned())),
    })
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Method>, D::Error> {
    parsed(deserializer, |name| match name {
        "GET" | "POST" | "PUT" | "PATCH" => Ok(name.parse().ok()),
        _ => Err("must be GET, POST, PUT or PATCH"),
    })
}

fn user_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    let name = Text::deserialize(deserializer)?;
    if name.contains(':') {
        let problem = "can't hold a colon: HTTP Basic takes what follows it for the password";
        return Err(serde::de::Error::custom(problem));
    }
    Ok(Some(name))
}

/// An HTTP API.
#[derive(Debug)]
pub(super) struct HttpApi {
    pub(super) url: Template,
    /// The address with some number and message, for what doesn't depend on them.
    pub(super) sample_url: Url,
    pub(super) method: Method,
    pub(super) headers: Fields,
    pub(super) authorization: Option<Authorization>,
    /// The fields of the body, which go into the query with GET.
    pub(super) form: Fields,
    pub(super) json: Option<Tree>,
    /// How the answer is read.
    pub(super) keys: Keys,
}

/// The `Authorization` header.
#[derive(Debug)]
pub(super) struct Authorization {
    /// The key of its secret.
    pub(super) key: &'static str,
    pub(super) scheme: String,
    /// The user, with HTTP Basic.
    pub(super) user: Option<Text>,
    pub(super) secret: Secret,
}

impl HttpApi {
    pub(super) fn read(options: &mut Section<'_, '_>) -> Option<Self> {
        let mut keys: Keys = options.read();
        let method = keys.method.take().unwrap_or(Method::POST);
        let headers = read_headers(options, keys.headers.take().unwrap_or_default());
        let authorization = read_authorization(options, &mut keys);
        let form = read_form(options, keys.form.take());
        let json = keys.json.take();
        if json.is_some() && method == Method::GET {
            let problem = "can't go with GET: use form, whose fields go into the query";
            options.error(&["json", "method"], problem);
        } else if json.is_some() && options.has("form") {
            options
                .error(&["json", "form"], "can't be used together with form: keep one of the two");
        }
        let json = json.and_then(|json| Tree::read(options, "json", json));
        let is_empty = keys.accepted_value.as_ref().is_some_and(Vec::is_empty);
        options.refuse(&["accepted_value"], is_empty, "must not be an empty list");
        if keys.accepted_pointer.is_some() != keys.accepted_value.is_some() {
            options.required("accepted_pointer", keys.accepted_pointer.as_ref());
            options.required("accepted_value", keys.accepted_value.as_ref());
        }
        let url = options.required("url", keys.url.take())?;
        let sample_url = options.checked(&["url"], sample_of(&url));
        let in_form = form.iter().flat_map(|(_, value)| value.placeholders());
        let in_json = json.iter().flat_map(Tree::placeholders);
        let placeholders: Vec<_> = (url.placeholders().map(|name| ("url", name)))
            .chain(in_form.map(|name| ("form", name)))
            .chain(in_json.map(|name| ("json", name)))
            .collect();
        let problem =
            "can hold {phone_number}, {phone_digits} and {message}, and no other placeholder";
        for (key, name) in &placeholders {
            options.refuse(&[key, "url", "form", "json"], !PLACEHOLDERS.contains(name), problem);
        }
        let has = |name| placeholders.iter().any(|(_, known)| *known == name);
        options.refuse(
            &["url", "form", "json"],
            !has(MESSAGE) || !has(PHONE_NUMBER) && !has(PHONE_DIGITS),
            "and form or json must hold {message}, and {phone_number} or {phone_digits}",
        );
        let sample_url = sample_url?;
        Some(Self { url, sample_url, method, headers, authorization, form, json, keys })
    }
}

/// Returns a sample of an address. Its placeholders must come after its host.
fn sample_of(url: &Template) -> Result<Url, &'static str> {
    let filled = |value: &str| {
        let text = url.fill(|_| Some(percent_encoded(value))).unwrap_or_default();
        check_url(&text)
    };
    let (sample, other) = (filled("1")?, filled("2")?);
    if sample.origin() == other.origin() {
        Ok(sample)
    } else {
        Err("must have no placeholder in its host")
    }
}

fn read_form(options: &mut Section<'_, '_>, form: Option<Value>) -> Fields {
    let form = form.and_then(|form| Tree::read(options, "form", form));
    match form.unwrap_or(Tree::Table(Fields::new())) {
        Tree::Table(fields) if !fields.iter().any(|(_, value)| value.is_nested()) => fields,
        _ => {
            options.error(&["form"], "must be a table of texts, numbers and secrets");
            Fields::new()
        }
    }
}

fn read_headers(options: &mut Section<'_, '_>, table: toml::Table) -> Fields {
    let mut headers = Fields::new();
    let names: Vec<_> = table.keys().map(|name| name.to_ascii_lowercase()).collect();
    for (key, value) in table {
        let full_key = format!("headers.{key}");
        let keys = [&*full_key];
        let name = HeaderName::from_bytes(key.as_bytes()).ok();
        let is = |names: &[HeaderName]| name.as_ref().is_some_and(|name| names.contains(name));
        let is_twice = names.iter().filter(|name| name.eq_ignore_ascii_case(&key)).count() > 1;
        let elsewhere = "belongs in basic_auth, bearer or authorization";
        options.refuse(&keys, name.is_none(), "is not a valid header name");
        options.refuse(&keys, is(&[AUTHORIZATION]), elsewhere);
        options.refuse(&keys, is_twice, "is there twice: header names match in any case");
        let is_reserved = is(&[HOST, CONTENT_LENGTH, TRANSFER_ENCODING]);
        options.refuse(&keys, is_reserved, "is set by the program");
        if let Some(value) = Tree::read(options, &full_key, value) {
            options.refuse(&keys, value.is_nested(), "must be a text or a secret");
            let has_placeholder = !value.placeholders().is_empty();
            options.refuse(&keys, has_placeholder, "can't hold a placeholder");
            headers.push((key, value));
        }
    }
    headers
}

fn read_authorization(options: &mut Section<'_, '_>, keys: &mut Keys) -> Option<Authorization> {
    let (basic, bearer) = (keys.basic_auth.take(), keys.bearer.take());
    let other = keys.authorization.take();
    if [basic.is_some(), bearer.is_some(), other.is_some()].iter().filter(|it| **it).count() > 1 {
        options.error(
            &["authorization", "basic_auth", "bearer"],
            "and basic_auth and bearer can't be used together: keep one of them",
        );
    }
    let (key, scheme, user, secret) = match (basic, bearer, other) {
        (Some(BasicAuth { username, password }), ..) => {
            let user = options.required("basic_auth.username", username);
            ("basic_auth.password", "Basic".to_owned(), user, password)
        }
        (_, Some(secret), _) => ("bearer", "Bearer".to_owned(), None, Some(secret)),
        (.., Some(OtherAuth { scheme, credentials })) => {
            let scheme = options.required("authorization.scheme", scheme);
            let scheme = scheme.map_or_else(String::new, |scheme| scheme.to_string());
            ("authorization.credentials", scheme, None, credentials)
        }
        _ => return None,
    };
    let secret = options.secret(key, secret);
    Some(Authorization { key, scheme, user, secret: options.required(key, secret)? })
}
