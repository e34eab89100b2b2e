//! Any provider that takes an SMS as one HTTP request: the settings say what the request holds and how its answer is read.
//! `docs/providers.md` has settings for providers, with the document that each was made from.

mod body;
mod options;
mod reading;

use futures_util::future::FutureExt;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

use self::body::filled;
use self::options::{Authorization, Body, Options};
use super::checking::{Examiner, reached};
use super::http::{Http, basic_credentials, unmade};
use super::provider::{Attempt, Checks, Connection, Kind, Provider};
use super::sms::{Accepted, Sms};
use crate::system::secret::SecretError;

pub(super) const KINDS: &[Kind] =
    &[Kind { names: &["http"], read: |options| Some(Box::new(HttpApi(Options::read(options)?))) }];

/// An HTTP API.
#[derive(Debug)]
struct HttpApi(Options);

/// The key of a header that can't be sent, and why.
type HeaderProblem = (String, SecretError);

impl Provider for HttpApi {
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        async {
            let http = connection.http();
            let answer = http.attempt(self.request(http, sms).map_err(unmade)?).await?;
            self.0.reading.judge(&answer)
        }
        .boxed_local()
    }

    fn url(&self) -> Option<&Url> {
        Some(&self.0.sample_url)
    }

    fn derived_secrets(&self) -> Result<Vec<SecretString>, HeaderProblem> {
        self.headers()?;
        let basic = self.0.authorization.as_ref().and_then(|authorization| {
            Some(basic_credentials(authorization.user.as_ref()?, &authorization.secret))
        });
        Ok(basic.into_iter().collect())
    }

    /// Asks for the root of the host, and takes any answer as a sign of life. Any other request might be taken for an SMS.
    fn check<'a>(&'a self, examiner: &'a Examiner<'_>) -> Checks<'a> {
        async {
            let request = || {
                let mut root = self.0.sample_url.clone();
                root.set_path("/");
                root.set_query(None);
                examiner.http().request(Method::HEAD, root)
            };
            let _ = reached(examiner.contact(request).await)?;
            Ok(vec![examiner.clock()])
        }
        .boxed_local()
    }
}

impl HttpApi {
    fn request(&self, http: &Http, sms: &Sms<'_>) -> Result<RequestBuilder, String> {
        let Options { method, url, body, .. } = &self.0;
        let url = filled(url, Some(sms), body::percent_encoded);
        let mut url = Url::parse(&url).map_err(|error| error.to_string())?;
        let begin = |url| http.request(method.clone(), url);
        let request = match body {
            Body::Form(fields) if fields.is_empty() => match *method {
                Method::GET => begin(url),
                // RFC 9110, section 8.6; of a body that is empty the client would say nothing.
                _ => begin(url).header(CONTENT_LENGTH, 0),
            },
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| (name, value.text(Some(sms))));
                if *method == Method::GET {
                    url.query_pairs_mut().extend_pairs(fields);
                    begin(url)
                } else {
                    begin(url).form(&fields.collect::<Vec<_>>())
                }
            }
            Body::Json(tree) => {
                let body = tree.json(Some(sms)).to_string();
                begin(url).header(CONTENT_TYPE, "application/json").body(body)
            }
        };
        let headers = self.headers().map_err(|(key, problem)| format!("{key}: {problem}"))?;
        Ok(request.headers(headers))
    }

    fn headers(&self) -> Result<HeaderMap, HeaderProblem> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0.headers {
            let key = format!("headers.{name}");
            let value = header_value(&key, &value.text(None))?;
            let name = HeaderName::from_bytes(name.as_bytes());
            headers.insert(name.map_err(|_| (key, SecretError::Unsendable))?, value);
        }
        if let Some(Authorization { key, scheme, user, secret }) = &self.0.authorization {
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
