//! The proxy between this machine and a provider, as the environment names it.

use std::ffi::OsString;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// The variables that name a proxy for `https`. The first that isn't empty counts.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The variables that list hosts which are called without a proxy.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy, which may hold a user name and a password.
pub(super) struct Proxy(Url);

/// Why the proxy that an environment variable names can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the proxy in {variable} can't be used: {problem}")]
pub struct ProxyError {
    variable: &'static str,
    problem: &'static str,
}

impl Proxy {
    /// Returns the proxy for calls of `url`, if there is one. Without TLS a proxy could read the secrets and the code, so only TLS
    /// goes through it.
    ///
    /// # Errors
    /// Returns an error if it can't be used.
    pub(super) fn of(
        url: &Url,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, ProxyError> {
        let find = |names: &[&'static str]| {
            names
                .iter()
                .find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let Some((variable, value)) = find(&VARIABLES).filter(|_| url.scheme() == "https") else {
            return Ok(None);
        };
        let exceptions = find(&EXCEPTIONS).map(|(_, hosts)| hosts).unwrap_or_default();
        let exceptions = exceptions.to_string_lossy();
        let passes = |proxy: &str| {
            let matcher = Matcher::builder().all(proxy).no(&*exceptions).build();
            url.as_str().parse().is_ok_and(|url| matcher.intercept(&url).is_some())
        };
        if !passes("http://proxy.invalid") {
            return Ok(None);
        }
        let proxy = value.to_str().ok_or("it isn't text").and_then(parsed);
        let proxy = proxy.and_then(|proxy| match passes(proxy.as_str()) {
            true => Ok(Self(proxy)),
            false => Err("it isn't a URL"),
        });
        proxy.map(Some).map_err(|problem| ProxyError { variable, problem })
    }

    /// Returns it as the client needs it.
    ///
    /// # Errors
    /// Returns an error if the client doesn't take it.
    pub(super) fn for_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        reqwest::Proxy::all(self.0.clone())
    }

    /// Returns it without user name and password.
    pub(super) fn address(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

fn parsed(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    let with_scheme = format!("http://{text}");
    let text = if text.contains("://") { text } else { &with_scheme };
    let url = Url::parse(text).map_err(|_| "it isn't a URL")?;
    match url.scheme() {
        scheme if scheme.starts_with("socks") => Err("SOCKS is not supported"),
        "http" | "https" if url.path() == "/" && url.query().or(url.fragment()).is_none() => {
            Ok(url)
        }
        // What follows may be the rest of a password, and what looks like the host its user name.
        "http" | "https" => Err(
            "something follows its host and port; encode `/`, `?` and `#` in a password as %2F, %3F and %23",
        ),
        _ => Err("it is neither http nor https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the proxy of `url` with these variables: its address, or why it can't be used.
    fn proxy_of(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let url = Url::parse(url).expect("a URL");
        let value = |name: &str| {
            let variable = variables.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| value.into())
        };
        let proxy = Proxy::of(&url, value).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| proxy.address()))
    }

    #[test]
    fn the_first_variable_with_a_value_names_the_proxy() {
        for (variables, address) in [
            (
                &[("HTTPS_PROXY", "http://a.example:3128"), ("ALL_PROXY", "ftp://b")][..],
                "http://a.example:3128",
            ),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "a.example:3128")], "http://a.example:3128"),
            (&[("ALL_PROXY", "https://a.example"), ("all_proxy", "b")], "https://a.example"),
            (&[("all_proxy", " http://user:pa%2Fss@[::1]:8080/ ")], "http://[::1]:8080"),
        ] {
            let proxy = proxy_of("https://provider.example/sms", variables);
            assert_eq!(proxy, Ok(Some(address.to_owned())), "{variables:?}");
        }
    }

    #[test]
    fn a_host_without_a_proxy_needs_none_that_works() {
        let socks = ("ALL_PROXY", "socks5://a.example");
        for (url, variables) in [
            ("https://provider.example", &[("HTTP_PROXY", "socks5://a.example")][..]),
            ("http://127.0.0.1:8080", &[socks]),
            ("https://api.provider.example", &[socks, ("NO_PROXY", "other, provider.example")]),
            ("https://192.0.2.7", &[socks, ("no_proxy", "192.0.2.0/24")]),
            ("https://provider.example", &[socks, ("NO_PROXY", "*")]),
        ] {
            assert_eq!(proxy_of(url, variables), Ok(None), "{url} {variables:?}");
        }
    }

    #[test]
    fn what_is_not_a_proxy_is_an_error_that_repeats_nothing_of_it() {
        for (value, problem) in [
            ("socks5://v4lue:v4lue@v4lue", "SOCKS is not supported"),
            ("socks5h://v4lue:1080", "SOCKS is not supported"),
            ("socks4a://v4lue:1080", "SOCKS is not supported"),
            ("ftp://v4lue", "it is neither http nor https"),
            ("http://", "it isn't a URL"),
            ("http://v4lue:99999", "it isn't a URL"),
            ("http:v4lue:3128", "it isn't a URL"),
            ("v4 lue", "it isn't a URL"),
            ("http://user:12/v4lue@proxy.example", "something follows its host and port"),
            ("http://user:12#v4lue@proxy.example", "something follows its host and port"),
        ] {
            let error = proxy_of("https://provider.example", &[("HTTPS_PROXY", value)]);
            let error = error.expect_err(value);
            let start = format!("the proxy in HTTPS_PROXY can't be used: {problem}");
            assert!(error.starts_with(&start), "{value}: {error}");
            assert!(!error.contains("v4"), "{value}: {error}");
        }
    }
}
