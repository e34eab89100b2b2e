//! What the settings say of an HTTP API.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use reqwest::{Method, Url};
use serde::{Deserialize, Deserializer};
use toml::Value;

use super::body::{Fields, Tree, percent_encoded, placeholder_problem};
use super::reading::{Pointer, Reading, Scalar, Status, one_or_many};
use crate::backends::http::check_url;
use crate::document::Section;
use crate::model::Template;
use crate::model::values::{Text, list, parsed};
use crate::system::secret::Secret;

/// What the settings may say.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
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
    accepted_status: Option<Vec<Status<200, 299>>>,
    accepted_pointer: Option<Pointer>,
    #[serde(deserialize_with = "one_or_many")]
    accepted_value: Option<Vec<Scalar>>,
    message_id_pointer: Option<Pointer>,
    #[serde(deserialize_with = "one_or_many")]
    error_code_pointer: Option<Vec<Pointer>>,
    #[serde(deserialize_with = "one_or_many")]
    error_message_pointer: Option<Vec<Pointer>>,
    retry_status: Option<Vec<Status<400, 599>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct BasicAuth {
    #[serde(deserialize_with = "user_name")]
    username: Option<Text>,
    password: Option<Secret>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct OtherAuth {
    scheme: Option<Text>,
    credentials: Option<Secret>,
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

/// What a request holds, and how its answer is read.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) method: Method,
    pub(super) url: Template,
    /// The address with a meaningless number and message, for what doesn't depend on them.
    pub(super) sample_url: Url,
    pub(super) headers: Fields,
    pub(super) authorization: Option<Authorization>,
    pub(super) body: Body,
    pub(super) reading: Reading,
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

/// What a request says besides its address and its headers.
#[derive(Debug)]
pub(super) enum Body {
    /// Fields, which go into the query with GET.
    Form(Fields),
    /// A JSON document.
    Json(Tree),
}

impl Options {
    pub(super) fn read(options: &mut Section<'_, '_>) -> Option<Self> {
        let keys: Keys = options.read();
        let method = keys.method.unwrap_or(Method::POST);
        let headers = read_headers(options, keys.headers.unwrap_or_default());
        let authorization =
            read_authorization(options, keys.basic_auth, keys.bearer, keys.authorization);
        let body = read_body(options, &method, keys.form, keys.json);
        let url = options.required("url", keys.url);
        let sample_url = url.as_ref().and_then(|url| match sample_of(url) {
            Ok(sample) => Some(sample),
            Err(problem) => {
                options.error(&["url"], problem);
                None
            }
        });
        if let (Some(url), Some(body)) = (&url, &body)
            && let Some((key, problem)) = {
                let mut names: Vec<_> = url.placeholders().map(|name| ("url", name)).collect();
                names.extend(body.placeholders());
                placeholder_problem(&names)
            }
        {
            options.error(&[key, "url", "form", "json"], problem);
        }
        if keys.accepted_value.as_ref().is_some_and(Vec::is_empty) {
            options.error(&["accepted_value"], "must not be an empty list");
        }
        let accepted = match (keys.accepted_pointer, keys.accepted_value) {
            (Some(pointer), Some(values)) => Some((pointer, values)),
            (None, None) => None,
            (Some(_), None) => {
                options.error(&["accepted_value"], "is missing");
                None
            }
            (None, Some(_)) => {
                options.error(&["accepted_pointer"], "is missing");
                None
            }
        };
        Some(Self {
            method,
            url: url?,
            sample_url: sample_url?,
            headers,
            authorization,
            body: body?,
            reading: Reading {
                accepted_status: keys.accepted_status,
                accepted,
                message_id: keys.message_id_pointer,
                error_code: keys.error_code_pointer.unwrap_or_default(),
                error_message: keys.error_message_pointer.unwrap_or_default(),
                retry_status: keys.retry_status,
            },
        })
    }
}

impl Body {
    /// Returns the names of all placeholders in it, each with its key.
    fn placeholders(&self) -> Vec<(&'static str, &str)> {
        let (key, names) = match self {
            Self::Form(fields) => {
                ("form", fields.iter().flat_map(|(_, value)| value.placeholders()).collect())
            }
            Self::Json(tree) => ("json", tree.placeholders()),
        };
        names.into_iter().map(|name| (key, name)).collect()
    }
}

/// Checks an address, whose placeholders may only stand after its host, and returns a sample of it.
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

fn read_body(
    options: &mut Section<'_, '_>,
    method: &Method,
    form: Option<Value>,
    json: Option<Value>,
) -> Option<Body> {
    if form.is_some() && json.is_some() {
        options.error(&["json", "form"], "can't stand beside form: keep one of the two");
    } else if json.is_some() && *method == Method::GET {
        let problem = "can't go with GET: use form, whose fields go into the query";
        options.error(&["json", "method"], problem);
    }
    if let Some(json) = json {
        return Tree::read(options, "json", json).map(Body::Json);
    }
    match form {
        None => Some(Body::Form(Vec::new())),
        Some(form) => match Tree::read(options, "form", form)? {
            Tree::Table(fields) if fields.iter().all(|(_, value)| !value.is_nested()) => {
                Some(Body::Form(fields))
            }
            _ => {
                options.error(&["form"], "must be a table of texts, numbers and secrets");
                None
            }
        },
    }
}

fn read_headers(options: &mut Section<'_, '_>, table: toml::Table) -> Fields {
    let mut headers = Fields::new();
    let names: Vec<_> = table.keys().cloned().collect();
    for (key, value) in table {
        let full_key = format!("headers.{key}");
        let name = HeaderName::from_bytes(key.as_bytes()).ok();
        let value = Tree::read(options, &full_key, value);
        let is_same = |other: &&String| other.eq_ignore_ascii_case(&key);
        let problem = match (name, &value) {
            (None, _) => "is not a valid header name",
            (Some(name), _) if name == AUTHORIZATION => {
                "stands in basic_auth, bearer or authorization instead"
            }
            _ if names.iter().filter(is_same).count() > 1 => {
                "is there twice: header names match in any case"
            }
            (Some(name), _) if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) => {
                "is set by the program"
            }
            (_, Some(value)) if value.is_nested() => "must be a text or a secret",
            (_, Some(value)) if !value.placeholders().is_empty() => "can't hold a placeholder",
            _ => {
                headers.extend(value.map(|value| (key, value)));
                continue;
            }
        };
        options.error(&[&full_key], problem);
    }
    headers
}

fn read_authorization(
    options: &mut Section<'_, '_>,
    basic: Option<BasicAuth>,
    bearer: Option<Secret>,
    other: Option<OtherAuth>,
) -> Option<Authorization> {
    let ways = [basic.is_some(), bearer.is_some(), other.is_some()];
    if ways.into_iter().filter(|is_there| *is_there).count() > 1 {
        options.error(
            &["authorization", "basic_auth", "bearer"],
            "and basic_auth and bearer can't stand beside each other: keep one of them",
        );
    }
    let (key, scheme, user, secret) = match (basic, bearer, other) {
        (Some(BasicAuth { username, password }), _, _) => {
            let user = options.required("basic_auth.username", username);
            ("basic_auth.password", user.as_ref().map(|_| "Basic".to_owned()), user, password)
        }
        (_, Some(secret), _) => ("bearer", Some("Bearer".to_owned()), None, Some(secret)),
        (_, _, Some(OtherAuth { scheme, credentials })) => {
            let scheme = options.required("authorization.scheme", scheme);
            let scheme = scheme.map(|scheme| scheme.to_string());
            ("authorization.credentials", scheme, None, credentials)
        }
        _ => return None,
    };
    let secret = options.required(key, secret)?;
    let secret = options.secret(key, secret);
    Some(Authorization { key, scheme: scheme?, user, secret })
}
