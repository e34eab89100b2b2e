//! What the settings say of an HTTP API.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use reqwest::{Method, Url};
use secrecy::SecretString;

use super::reading::Reading;
use super::template::{Body, Fields, PLACEHOLDERS, Placeholders, percent_encoded};
use crate::backends::ConnectError;
use crate::backends::http::BasicAuth;
use crate::backends::options::{Query, check_url};
use crate::model::Template;
use crate::settings_table::{Table, TableError, Tree};
use crate::system::secret::Secret;

/// What stands in for an address that is wrong.
const STAND_IN: &str = "https://localhost/";

/// What the backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) method: Method,
    pub(super) url: Template,
    /// The address with a meaningless number and message, for what doesn't depend on them.
    pub(in crate::backends) sample_url: Url,
    pub(super) headers: Fields<Secret>,
    pub(super) authorization: Option<Authorization>,
    pub(super) body: Body<Secret>,
    pub(super) reading: Reading,
}

/// The `Authorization` header.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    /// The key that its secret stands at.
    pub(super) key: &'static str,
    pub(super) scheme: String,
    /// The user, with HTTP Basic.
    user: Option<String>,
    secret: Secret,
}

impl Authorization {
    /// Returns the secret, and the credentials that are made of it.
    pub(super) fn reveal(&self) -> Result<(SecretString, SecretString), ConnectError> {
        let secret =
            self.secret.reveal().map_err(|source| ConnectError::secret(self.key, source))?;
        let credentials = match &self.user {
            Some(user) => BasicAuth { user: user.clone(), password: secret.clone() }.header(),
            None => secret.clone(),
        };
        Ok((secret, credentials))
    }
}

impl Options {
    pub(in crate::backends) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let method = table.parsed("method", |name| match name {
            "GET" => Ok(Method::GET),
            "POST" => Ok(Method::POST),
            "PUT" => Ok(Method::PUT),
            "PATCH" => Ok(Method::PATCH),
            _ => Err("must be GET, POST, PUT or PATCH"),
        })?;
        let method = method.unwrap_or(Method::POST);
        let stand_in = Template::parse(STAND_IN).expect("a constant template");
        let url = table.required("url", table.parsed("url", Template::parse)?, stand_in)?;
        let sample_url = sample_of(&url).map_err(|problem| table.error("url", problem))?;
        let body = read_body(table, &method)?;
        let checked = Placeholders::of(&url, &body).check();
        let checked = checked.map_err(|(key, problem)| table.error(key, problem));
        table.unless_told(&["url", "form", "json"], checked, ())?;
        Ok(Self {
            method,
            url,
            sample_url,
            headers: table.table("headers", read_headers)?.unwrap_or_default(),
            authorization: read_authorization(table)?,
            body,
            reading: Reading::read(table)?,
        })
    }
}

/// Checks an address, whose placeholders may only stand after its host, and returns a sample of it.
fn sample_of(url: &Template) -> Result<Url, &'static str> {
    let filled = |value: &str| {
        let text = url.fill(|_| Some(percent_encoded(value))).unwrap_or_default();
        check_url(&text, Query::Allowed)
    };
    let (sample, other) = (filled("1")?, filled("2")?);
    if sample.origin() == other.origin() {
        Ok(sample)
    } else {
        Err("must have no placeholder in its host")
    }
}

fn read_body(table: &Table<'_>, method: &Method) -> Result<Body<Secret>, TableError> {
    let tree = |key| read_templates(table, key);
    match (tree("form")?, tree("json")?) {
        (None, None) => Ok(Body::None),
        (Some(Tree::Table(fields)), None) if fields.iter().all(|(_, value)| !value.is_nested()) => {
            Ok(Body::Form(fields))
        }
        (Some(_), None) => {
            Err(table.error("form", "must be a table of texts, numbers and secrets"))
        }
        (None, Some(_)) if *method == Method::GET => {
            Err(table.error("json", "can't go with GET: use form, whose fields go into the query"))
        }
        (None, Some(tree)) => Ok(Body::Json(tree)),
        (Some(_), Some(_)) => {
            Err(table.error("json", "can't stand beside form: keep one of the two"))
        }
    }
}

fn read_templates(
    table: &Table<'_>,
    key: &str,
) -> Result<Option<Tree<Template, Secret>>, TableError> {
    let template =
        |text: &String| Template::parse(text).map_err(|error| table.error(key, &error.to_string()));
    let tree = table.tree(key, &PLACEHOLDERS)?;
    tree.map(|tree| tree.try_map(&template, &|secret| Ok(secret.clone()))).transpose()
}

fn read_headers(table: &Table<'_>) -> Result<Fields<Secret>, TableError> {
    let header = |key: &str| {
        let name = HeaderName::from_bytes(key.as_bytes());
        let name = name.map_err(|_| table.error(key, "is not a valid header name"))?;
        if name == AUTHORIZATION {
            return Err(table.error(key, "stands in basic_auth, bearer or authorization instead"));
        }
        if table.keys().filter(|other| other.eq_ignore_ascii_case(key)).count() > 1 {
            return Err(table.error(key, "is there twice: header names match in any case"));
        }
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(table.error(key, "is set by the program"));
        }
        let value = read_templates(table, key)?.ok_or_else(|| table.missing(key))?;
        match &value {
            Tree::Text(text) if text.placeholders().next().is_some() => {
                Err(table.error(key, "can't hold a placeholder"))
            }
            value if value.is_nested() => Err(table.error(key, "must be a text or a secret")),
            _ => Ok((key.to_owned(), value)),
        }
    };
    table.keys().map(header).collect()
}

fn read_authorization(table: &Table<'_>) -> Result<Option<Authorization>, TableError> {
    let required = |table: &Table<'_>, key| {
        table.required(key, table.secret(key)?, Secret::Literal("".into()))
    };
    let basic = table.table("basic_auth", |basic| {
        let user = basic.required_text("username")?;
        if user.contains(':') {
            let problem =
                "can't hold a colon: HTTP Basic takes what stands behind it for the password";
            return Err(basic.error("username", problem));
        }
        Ok(Authorization {
            key: "basic_auth.password",
            scheme: "Basic".to_owned(),
            user: Some(user.to_owned()),
            secret: required(basic, "password")?,
        })
    })?;
    let bearer = table.secret("bearer")?.map(|secret| Authorization {
        key: "bearer",
        scheme: "Bearer".to_owned(),
        user: None,
        secret,
    });
    let other = table.table("authorization", |other| {
        Ok(Authorization {
            key: "authorization.credentials",
            scheme: other.required_text("scheme")?.to_owned(),
            user: None,
            secret: required(other, "credentials")?,
        })
    })?;
    let mut all = [basic, bearer, other].into_iter().flatten();
    let authorization = match (all.next(), all.next()) {
        (Some(_), Some(_)) => Err(table.error(
            "authorization",
            "and basic_auth and bearer can't stand beside each other: keep one of them",
        )),
        (authorization, _) => Ok(authorization),
    };
    table.unless_told(&["authorization"], authorization, None)
}
