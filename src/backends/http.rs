//! The only HTTP client. It limits time and size, and follows no redirects.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, InvalidMessage};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::answer::HttpAnswer;
use super::calling::CallSettings;
use super::proxy::Proxy;
use super::resolver::SystemResolver;
use super::sms::{SmsError, SmsErrorKind};
use crate::model::values::parsed;
use crate::model::{distance, words};
use crate::system::clock::Clock;
use crate::system::secret::Secret;

/// The longest answer to read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long an unused connection is kept. Providers keep theirs longer. So no request leaves on a connection that the other
/// side is closing, which would leave its outcome unknown.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How hyper-util says that a proxy answered 407 (RFC 9110, "Proxy Authentication Required").
const UNAUTHORIZED: &str = "tunnel error: proxy authorization required";
/// How it says that a proxy answered anything else than success.
const REFUSED: &str = "tunnel error: unsuccessful";
/// How webpki says that a server showed a certificate with `CA:TRUE`.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// A client for one provider.
pub(super) struct Http {
    client: Client,
    proxy: Option<Proxy>,
    pub(super) connect_timeout: Duration,
    clock: Clock,
    /// How far this machine's clock is ahead of the provider's, by the last answer that had a date.
    pub(super) ahead_by: Cell<Option<TimeDelta>>,
}

/// Returns the credentials of HTTP Basic authentication (RFC 7617) in the form of the header.
pub(super) fn basic_credentials(user: &str, password: &Secret) -> SecretString {
    BASE64_STANDARD.encode(format!("{user}:{}", password.expose())).into()
}

/// An address of a provider's API in the settings.
#[derive(Debug)]
pub(super) struct BaseUrl(Url);

impl BaseUrl {
    /// Returns `url`, or the `usual` address if there is none.
    pub(super) fn or(url: Option<Self>, usual: &str) -> Url {
        url.map_or_else(|| Url::parse(usual).expect("a constant URL"), |Self(url)| url)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| match check_url(text)? {
            url if url.query().is_some() => Err("must have no query"),
            url => Ok(Self(url)),
        })
    }
}

/// Parses an address: `https`, or `http` to this machine, so that no secret travels unencrypted.
pub(super) fn check_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be a URL")?;
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let names_user = !url.username().is_empty() || url.password().is_some();
    match url.scheme() {
        _ if names_user || url.fragment().is_some() => Err("must have no user name or fragment"),
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err("must be https, or http to this machine"),
    }
}

impl Http {
    /// Returns a client with the time-outs of `settings` that calls through `proxy`, if there is one.
    ///
    /// # Errors
    /// Returns an error if the certificate store can't be used.
    #[expect(clippy::disallowed_methods, reason = "the one place that builds a client")]
    pub(super) fn new(
        proxy: Option<Proxy>,
        settings: &CallSettings,
        clock: &Clock,
    ) -> Result<Self, reqwest::Error> {
        // Installing fails only if a provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Connecting has to time out before the whole attempt does. Such a time-out proves that the request never left.
        let connect_timeout = settings.connect_timeout.min(settings.timeout.mul_f32(0.9));
        let builder = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(KEEP_ALIVE)
            .dns_resolver(SystemResolver::default())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        let builder = match &proxy {
            Some(proxy) => builder.proxy(proxy.for_client()?),
            None => builder.no_proxy(),
        };
        let (client, clock) = (builder.build()?, clock.clone());
        Ok(Self { client, proxy, connect_timeout, clock, ahead_by: Cell::default() })
    }

    /// Returns a request of `url` by `method`, without a body.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Returns a request that gets `url` with HTTP Basic authentication.
    pub(super) fn get(&self, url: &Url, user: &str, password: &Secret) -> RequestBuilder {
        self.request(Method::GET, url.clone()).basic_auth(user, Some(password.expose()))
    }

    /// Sends `request` once and returns the answer.
    ///
    /// # Errors
    /// Returns an error if the provider can't be reached or doesn't answer.
    pub(super) async fn attempt(&self, request: RequestBuilder) -> Result<HttpAnswer, SmsError> {
        let before = self.clock.now();
        let response = request.send().await.map_err(|error| self.unanswered(&error))?;
        let status = response.status().as_u16();
        let host = response.url().host_str().unwrap_or_default();
        let waited = (self.clock.now() - before).num_milliseconds();
        log::info!("{host} answered HTTP {status} after {waited} ms");
        let retry_after = self.retry_after(&response);
        // The date was taken at some moment in between, and has whole seconds.
        if let Some(date) = header(&response, DATE).and_then(http_date) {
            let least = before - (date + TimeDelta::seconds(1));
            let (most, zero) = (self.clock.now() - date, TimeDelta::zero());
            self.ahead_by.set(Some(if least > zero { least } else { most.min(zero) }));
        }
        let content_type = header(&response, CONTENT_TYPE).and_then(|it| it.split(';').next());
        let is_plain_text =
            content_type.is_some_and(|it| it.trim().eq_ignore_ascii_case("text/plain"));
        let body = match encoding(&response) {
            // No request asks for one (RFC 9110, section 12.5.3).
            Some(encoding) => {
                Err(format!("its Content-Encoding is {encoding}, which was not asked for"))
            }
            None => read_body(response).await,
        };
        Ok(HttpAnswer { status, retry_after, is_plain_text, body })
    }

    /// Returns the error of a request that got no answer.
    fn unanswered(&self, error: &reqwest::Error) -> SmsError {
        let cause = root_cause(error);
        let proxy =
            self.proxy.as_ref().map(|proxy| format!(" through the proxy {}", proxy.address()));
        let proxy = proxy.unwrap_or_default();
        if error.is_connect() {
            let message = format!("the provider could not be reached{proxy}: {cause}");
            let unavailable = SmsError::new(SmsErrorKind::Unavailable, None, message);
            let more_info = advice(error).map(str::to_owned);
            return SmsError { may_retry: true, more_info, ..unavailable };
        }
        // For example, the URL is too long: nothing left.
        if error.is_builder() {
            return unmade(cause);
        }
        let message = if error.is_timeout() {
            format!("the provider did not answer{proxy} in time")
        } else {
            format!("the connection{proxy} was lost before the provider answered: {cause}")
        };
        SmsError::new(SmsErrorKind::Unknown, None, message)
    }

    /// Returns how long `Retry-After` (RFC 9110, section 10.2.3) asks to wait: seconds, or until a date.
    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let value = header(response, RETRY_AFTER)?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        // A date in the past asks for no wait, but must not start all attempts at once.
        (http_date(value)? - self.clock.now()).to_std().ok()
    }
}

/// Returns the error of a request that can't be made.
pub(super) fn unmade(cause: impl Display) -> SmsError {
    let message = format!("the request can't be made: {cause}");
    SmsError::new(SmsErrorKind::Unavailable, None, message)
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    Some(response.headers().get(name)?.to_str().ok()?.trim())
}

fn http_date(value: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(value).ok().map(DateTime::from)
}

/// Returns the first `Content-Encoding` that changes the body (RFC 9110, section 8.4).
fn encoding(response: &Response) -> Option<String> {
    let values = response.headers().get_all(CONTENT_ENCODING).iter();
    let values = values.map(|value| words(&String::from_utf8_lossy(value.as_bytes())));
    let encodings = values.collect::<Vec<_>>().join(",");
    let mut encodings = encodings.split(',').map(str::trim);
    encodings.find(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity")).map(str::to_owned)
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| format!("it broke off: {}", root_cause(&error)))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err("it is larger than 1 MiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the words of the innermost cause, without the layers around it.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(
        || if error.is_builder() { "it can't be built" } else { "no reason is known" }.to_owned(),
        |cause| tls_problem(cause).unwrap_or_else(|| in_words(cause)),
    )
}

/// Returns what an operator can do about a provider that can't be reached, if that is known.
fn advice(error: &reqwest::Error) -> Option<&'static str> {
    causes(error).find_map(|cause| match tls_error(cause) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Some(
            "install the system's certificates (package ca-certificates), or name a file with the issuer's certificate in SSL_CERT_FILE",
        ),
        _ if cause.to_string() == UNAUTHORIZED => {
            Some("give the proxy's user name and password, as in http://user:password@proxy.example:3128")
        }
        _ => None,
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}

/// Returns the words of `cause`. Those of the system end in a number, and those of hyper-util about a proxy name no subject,
/// and no status that the proxy answered.
fn in_words(cause: &(dyn Error + 'static)) -> String {
    use io::ErrorKind::*;
    let system_error = cause.downcast_ref::<io::Error>();
    let known = system_error.and_then(|error| match error.kind() {
        ConnectionRefused => Some("the connection was refused"),
        ConnectionReset | ConnectionAborted | BrokenPipe => Some("the connection was cut off"),
        HostUnreachable => Some("there is no route to the host"),
        NetworkUnreachable | NetworkDown => Some("the network can't be reached"),
        TimedOut => Some("the connection took too long"),
        UnexpectedEof => Some("the connection ended too early"),
        _ => None,
    });
    let words = cause.to_string();
    let words = match words.split(" (os error").next().unwrap_or_default() {
        // The words of getaddrinfo, with its reason behind them.
        words if words.starts_with("failed to lookup address information") => {
            "the host's name can't be resolved"
        }
        UNAUTHORIZED => "the proxy asks for a user name and a password",
        REFUSED => "the proxy refuses the connection",
        words => words,
    };
    known.unwrap_or(words).to_owned()
}

/// Returns the error of TLS that `cause` is or holds.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match cause.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => cause.downcast_ref(),
    }
}

/// Returns what is wrong with the provider's certificate or its TLS, if rustls's own words don't say it well: times are in seconds
/// since 1970.
fn tls_problem(cause: &(dyn Error + 'static)) -> Option<String> {
    let problem = match tls_error(cause)? {
        rustls::Error::InvalidCertificate(problem) => problem,
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return Some("it answers without TLS, as plain HTTP does".to_owned());
        }
        _ => return None,
    };
    let time = |time: &UnixTime| DateTime::from_timestamp(time.as_secs().try_into().ok()?, 0);
    match problem {
        CertificateError::UnknownIssuer => {
            Some("the issuer of its certificate is unknown".to_owned())
        }
        CertificateError::ExpiredContext { time: now, not_after } => {
            Some(format!("its certificate expired {}", distance(time(not_after)?, time(now)?)))
        }
        CertificateError::NotValidYetContext { time: now, not_before } => Some(format!(
            "its certificate is not valid yet: {}",
            distance(time(not_before)?, time(now)?)
        )),
        CertificateError::Other(problem) if problem.to_string() == AUTHORITY => {
            Some("its certificate is a CA certificate, not a server's".to_owned())
        }
        _ => None,
    }
}

/// Returns `base` with `segments` appended to its path, each encoded.
pub(super) fn joined(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn what_the_system_says_of_a_connection_is_said_in_plain_words() {
        use io::ErrorKind::*;
        for (kind, words) in [
            (ConnectionRefused, "the connection was refused"),
            (ConnectionReset, "the connection was cut off"),
            (ConnectionAborted, "the connection was cut off"),
            (BrokenPipe, "the connection was cut off"),
            (HostUnreachable, "there is no route to the host"),
            (NetworkUnreachable, "the network can't be reached"),
            (NetworkDown, "the network can't be reached"),
            (TimedOut, "the connection took too long"),
            (UnexpectedEof, "the connection ended too early"),
        ] {
            assert_eq!(in_words(&io::Error::new(kind, "of the system")), words);
        }
        assert_eq!(in_words(&io::Error::other("odd (os error 7)")), "odd");
        let unknown = ("provider.invalid", 0).to_socket_addrs().unwrap_err();
        assert_eq!(in_words(&unknown), "the host's name can't be resolved");
    }

    #[test]
    fn a_fault_of_a_certificate_is_said_in_words_only_if_it_is_known() {
        let known = "its certificate is a CA certificate, not a server's";
        for (fault, words) in [(AUTHORITY, Some(known)), ("another", None)] {
            let fault = OtherError(Arc::new(io::Error::other(fault)));
            let error = rustls::Error::InvalidCertificate(CertificateError::Other(fault));
            assert_eq!(tls_problem(&error).as_deref(), words);
        }
    }
}
