//! Any provider that takes an SMS as one HTTP request: the settings say what the request holds and how its answer is read.
//! `docs/providers.md` has settings for providers, with the document that each was made from.

mod body;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod options;
mod reading;
mod values;

use std::sync::Arc;

use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

use self::body::filled;
use self::options::{Authorization, HttpApi};
use super::checking::reached;
use super::http::{Http, basic_credentials, unmade};
use super::provider::{Attempt, Connection, Kind, Provider};
use super::sms::{Accepted, Sms};
use crate::model::{Check, percent_encoded};
use crate::system::secret::SecretError;

pub(super) const KINDS: &[Kind] = &[Kind {
    names: &["http"],
    summary: "any other; give its options with --set, see docs/providers.md",
    questions: &[],
    codes: None,
    read: |options| Some(Arc::new(HttpApi::read(options)?)),
}];

/// The key of a header that can't be sent, and why.
type HeaderProblem = (String, SecretError);

impl Provider for HttpApi {
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        Box::pin(async {
            let http = connection.http();
            let answer = http.attempt(self.request(http, sms).map_err(unmade)?).await?;
            self.keys.judge(&answer)
        })
    }

    fn own_name(&self) -> Option<&str> {
        self.keys.name.as_deref()
    }

    fn url(&self) -> Option<&Url> {
        Some(&self.sample_url)
    }

    fn check_options(&self, table: &str) -> Option<Check> {
        let check = Check::ok(table, "the body of an answer tells acceptance from refusal");
        Some(check.unless(
            !self.keys.reads_the_body(),
            "nothing but the HTTP status tells acceptance from refusal",
            "unless the provider refuses with a status of its own each time, set accepted_pointer, accepted_text, refused_pointer or message_id_pointer",
        ))
    }

    fn derived_secrets(&self) -> Result<Vec<SecretString>, HeaderProblem> {
        self.headers()?;
        let basic = self.authorization.as_ref().and_then(|authorization| {
            Some(basic_credentials(authorization.user.as_ref()?, &authorization.secret))
        });
        Ok(basic.into_iter().collect())
    }

    /// Asks for the root of the host, and takes any answer as a sign of life. Any other request might be taken for an SMS.
    fn check<'a>(&'a self, connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async {
            let request = || {
                let mut root = self.sample_url.clone();
                root.set_path("/");
                root.set_query(None);
                connection.http().request(Method::HEAD, root)
            };
            let _ = reached(connection.contact(request).await)?;
            Ok(Vec::new())
        })
    }
}

impl HttpApi {
    fn request(&self, http: &Http, sms: &Sms<'_>) -> Result<RequestBuilder, String> {
        let url = filled(&self.url, Some(sms), percent_encoded);
        let mut url = Url::parse(&url).map_err(|error| error.to_string())?;
        let fields: Vec<_> =
            self.form.iter().map(|(name, value)| (name, value.text(Some(sms)))).collect();
        if self.method == Method::GET && !fields.is_empty() {
            url.query_pairs_mut().extend_pairs(&fields);
        }
        let request = http.request(self.method.clone(), url);
        let request = match &self.json {
            Some(json) => {
                let body = json.json(Some(sms)).to_string();
                request.header(CONTENT_TYPE, "application/json").body(body)
            }
            None if self.method == Method::GET => request,
            // RFC 9110, section 8.6; of a body that is empty the client would say nothing.
            None if fields.is_empty() => request.header(CONTENT_LENGTH, 0),
            None => request.form(&fields),
        };
        let headers = self.headers().map_err(|(key, problem)| format!("{key}: {problem}"))?;
        Ok(request.headers(headers))
    }

    fn headers(&self) -> Result<HeaderMap, HeaderProblem> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let key = format!("headers.{name}");
            let value = header_value(&key, &value.text(None))?;
            let name = HeaderName::from_bytes(name.as_bytes());
            headers.insert(name.map_err(|_| (key, SecretError::Unsendable))?, value);
        }
        if let Some(Authorization { key, scheme, user, secret }) = &self.authorization {
            let basic = user.as_ref().map(|user| basic_credentials(user, secret));
            let credentials = basic.as_ref().map_or(secret.expose(), |basic| basic.expose_secret());
            let value = header_value(key, &format!("{scheme} {credentials}"))?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

fn header_value(key: &str, value: &str) -> Result<HeaderValue, HeaderProblem> {
    let value = HeaderValue::from_str(value);
    let mut value = value.map_err(|_| (key.to_owned(), SecretError::Unsendable))?;
    value.set_sensitive(true);
    Ok(value)
}
