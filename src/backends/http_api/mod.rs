//! Any provider that takes an SMS as one HTTP request: the settings say what the request holds and how its answer is read.
//! `docs/providers.md` has settings for providers, with the document that each was made from.

mod options;
mod reading;
mod template;

use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

use self::options::Authorization;
use self::reading::Reading;
use self::template::{
    Body, Fields, field_text, filled, fixed_text, json, percent_encoded, secrets_of,
};
use super::answer::AttemptError;
use super::examination::{Examiner, Finding, was_not_reached};
use super::http::Http;
use super::{Attempted, Caller, ConnectError, Sms, SmsError, SmsErrorKind};
use crate::model::Template;
use crate::system::secret::SecretError;

pub use options::Options;

/// An HTTP API that is ready to send.
pub(super) struct HttpApi {
    http: Http,
    caller: Caller,
    /// The root of the host.
    root: Url,
    method: Method,
    url: Template,
    headers: HeaderMap,
    body: Body<SecretString>,
    reading: Reading,
    secrets: Vec<SecretString>,
}

impl HttpApi {
    pub(super) fn connect(
        options: &Options,
        http: Http,
        caller: Caller,
    ) -> Result<Self, ConnectError> {
        let headers = template::reveal_fields("headers", &options.headers)?;
        let body = options.body.reveal()?;
        let mut secrets = secrets_of(&headers);
        secrets.extend(body.secrets());
        let mut headers = header_map(&headers)?;
        if let Some(authorization) = &options.authorization {
            let Authorization { key, scheme, .. } = authorization;
            let (secret, credentials) = authorization.reveal()?;
            let value = format!("{scheme} {}", credentials.expose_secret());
            headers.insert(AUTHORIZATION, header_value(key, &value)?);
            secrets.extend([secret, credentials]);
        }
        let (method, url) = (options.method.clone(), options.url.clone());
        let reading = options.reading.clone();
        let mut root = options.sample_url.clone();
        root.set_path("/");
        root.set_query(None);
        Ok(Self { http, caller, root, method, url, headers, body, reading, secrets })
    }

    /// Returns what must never be shown: every secret of the request, and the header that holds one.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        self.secrets.clone()
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let attempt = async || {
            let request = self.request(sms).map_err(|problem| {
                let message = format!("the request can't be made: {problem}");
                AttemptError::Final(SmsError::new(SmsErrorKind::Unavailable, None, message))
            })?;
            self.reading.judge(&self.http.attempt(request).await?)
        };
        self.caller.call(attempt).await
    }

    /// Asks for the root of the host, and takes any answer as a sign of life. Any other request might be taken for an SMS.
    pub(super) async fn examine(&self) -> Vec<Finding> {
        let examiner = Examiner::new(&self.http, &self.caller, &self.root);
        let contact = examiner.contact(|| self.http.request(Method::HEAD, self.root.clone())).await;
        let mut findings = Vec::from(examiner.reached(&contact).await);
        if !contact.as_ref().is_err_and(was_not_reached) {
            findings.push(examiner.clock());
        }
        findings
    }

    fn request(&self, sms: &Sms<'_>) -> Result<RequestBuilder, String> {
        let url = filled(&self.url, sms, percent_encoded);
        let mut url = Url::parse(&url).map_err(|error| error.to_string())?;
        let begin = |url| self.http.request(self.method.clone(), url);
        let request = match &self.body {
            Body::None => begin(url),
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| (name, field_text(value, sms)));
                if self.method == Method::GET {
                    url.query_pairs_mut().extend_pairs(fields);
                    begin(url)
                } else {
                    begin(url).form(&fields.collect::<Vec<_>>())
                }
            }
            Body::Json(tree) => {
                let body = json(tree, sms).to_string();
                begin(url).header(CONTENT_TYPE, "application/json").body(body)
            }
        };
        let request = request.headers(self.headers.clone());
        // RFC 9110, section 8.6; of a body that is empty the client would say nothing.
        let says_length = self.body.is_empty() && self.method != Method::GET;
        Ok(if says_length { request.header(CONTENT_LENGTH, 0) } else { request })
    }
}

fn header_map(fields: &Fields<SecretString>) -> Result<HeaderMap, ConnectError> {
    let header = |(name, value): &(String, _)| {
        let key = format!("headers.{name}");
        let value = header_value(&key, &fixed_text(value))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable(&key))?;
        Ok((name, value))
    };
    fields.iter().map(header).collect()
}

fn header_value(key: &str, value: &str) -> Result<HeaderValue, ConnectError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unsendable(key))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unsendable(key: &str) -> ConnectError {
    ConnectError::secret(key, SecretError::Unsendable)
}
