//! The checks of a provider that don't send an SMS.

use chrono::TimeDelta;
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;

use super::answer::HttpAnswer;
use super::provider::Connection;
use super::resolver::look_up;
use super::sms::{SmsError, SmsErrorKind};
use crate::model::{Check, span, with_code};
use crate::system::secret::Secret;
use crate::system::waiting::Wait;

/// An account with less than this, in any currency, is soon empty.
const LOW_BALANCE: f64 = 1.0;
/// How far the clocks may differ. An answer takes some time.
const TOLERANCE: TimeDelta = TimeDelta::seconds(30);

impl Connection {
    /// Gets the JSON at `url`, for the check of this name. Any status but 200 is left to `refused`.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        check: &str,
        url: &Url,
        (user, password): (&str, &Secret),
        refused: impl Fn(&HttpAnswer) -> SmsError,
    ) -> Result<T, SmsError> {
        let attempt = async || {
            let answer = self.http().attempt(self.http().get(url, user, password)).await?;
            if answer.status == 200 { answer.json() } else { Err(refused(&answer)) }
        };
        self.question(&format!("asking {} about its {check}", self.name), attempt).await
    }

    /// Sends `request`. Any answer shows that the host can be reached.
    pub(super) async fn contact(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(), SmsError> {
        let attempt = async || self.http().attempt(request()).await.map(|_| ());
        self.question(&format!("connecting to {}", self.name), attempt).await
    }

    async fn question<T>(
        &self,
        purpose: &str,
        attempt: impl AsyncFn() -> Result<T, SmsError>,
    ) -> Result<T, SmsError> {
        let attempt = async || attempt().await.map_err(|error| self.mask.error(error));
        self.calling.call(purpose, None, attempt).await.result
    }

    /// Returns the checks of the connection to `url`. `problem` says why it wasn't reached, if so.
    pub(super) async fn reached(&self, url: &Url, problem: Option<&SmsError>) -> Vec<Check> {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        let name = match self.resolve(url).await {
            Ok(()) => Check::ok("name", format!("{host} resolves")),
            Err(_) if problem.is_none() => Check::ok("name", format!("the proxy knows {host}")),
            Err(cause) => Check::failure(
                "name",
                format!("{host} doesn't resolve: {cause}"),
                "check this machine's name server and network, or HTTPS_PROXY if there is a proxy",
            ),
        };
        let connection = match problem {
            None if url.scheme() == "https" => {
                Check::ok("tls", format!("the certificate of {host} is trusted"))
            }
            None => Check::ok("tls", format!("{host} is this machine: no TLS")),
            Some(error) => Check::failure(
                "tls",
                format!("{host}: {error}"),
                error.more_info.as_deref().unwrap_or(
                    "check the network, the firewall and the proxy, this machine's clock and its certificates (package ca-certificates)",
                ),
            ),
        };
        vec![name, connection]
    }

    async fn resolve(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or_default();
        let _wait = Wait::start(format!("looking up {host}"));
        let lookup = look_up(host.to_owned(), port);
        match tokio::time::timeout(self.http().connect_timeout, lookup).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no name server answered in time".to_owned()),
        }
    }

    /// Compares this machine's clock with the last answer that had a date.
    pub(super) fn clock(&self) -> Check {
        const CHECK: &str = "clock";
        match self.http().ahead_by.get() {
            None => Check::ok(CHECK, "it isn't compared: no answer of the provider had a date"),
            Some(ahead_by) if ahead_by.abs() <= TOLERANCE => {
                Check::ok(CHECK, "this machine's clock agrees with the provider's")
            }
            Some(ahead_by) => {
                let side = if ahead_by > TimeDelta::zero() { "ahead of" } else { "behind" };
                let message =
                    format!("this machine's clock is {} {side} the provider's", span(ahead_by));
                Check::warning(CHECK, message, "set the clock: timedatectl set-ntp true")
            }
        }
    }
}

/// Returns an error only if the provider wasn't reached, so that no other question makes sense.
pub(super) fn reached<T>(answer: Result<T, SmsError>) -> Result<Result<T, SmsError>, SmsError> {
    match answer {
        Err(error) if error.kind == SmsErrorKind::Unavailable && error.code.is_none() => Err(error),
        answer => Ok(answer),
    }
}

/// The provider accepts the credentials.
pub(super) fn accepted_credentials() -> Check {
    Check::ok("credentials", "the provider accepts them")
}

/// The provider doesn't answer a question about the account.
pub(super) fn refused_account(error: &SmsError) -> Check {
    let words = words_and_code(error);
    let (check, message, hint) = match error.status {
        Some(300..400) => (
            "api",
            words,
            "check base_url in [options]: what answers there is not the provider's API",
        ),
        Some(404) => (
            "api",
            format!("the provider has nothing at this address: {words}"),
            "check the account and base_url in [options]",
        ),
        _ if error.kind == SmsErrorKind::Rejected => (
            "credentials",
            format!("the provider refuses them: {words}"),
            "compare the account and the secret in [options] with the provider's console",
        ),
        _ => ("credentials", words, "try again, and look at the provider's status page"),
    };
    Check::failure(check, message, hint)
}

/// The provider doesn't say whether it accepts the sender.
pub(super) fn unchecked_sender(sender: &str) -> Check {
    let message = format!("{sender} isn't checked: the provider checks it only when it sends");
    Check::ok("sender", message)
}

/// Checks what an account has left: an amount and its currency.
pub(super) fn balance(balance: Result<(String, String), SmsError>) -> Check {
    const CHECK: &str = "balance";
    const CONSOLE: &str = "look at the provider's console; a subaccount has no balance of its own";
    let (amount, currency) = match balance {
        Ok(balance) => balance,
        Err(error) => {
            let message = format!("the provider doesn't say: {}", words_and_code(&error));
            return Check::warning(CHECK, message, CONSOLE);
        }
    };
    let message = format!("{amount} {currency}");
    match amount.parse::<f64>() {
        Ok(amount) if amount < LOW_BALANCE => Check::warning(
            CHECK,
            format!("{message}: it is soon empty"),
            "top the account up, unless it is paid by invoice",
        ),
        Ok(amount) if amount.is_finite() => Check::ok(CHECK, message),
        _ => Check::warning(CHECK, format!("the balance isn't a number: {message}"), CONSOLE),
    }
}

/// Returns the provider's words and code.
pub(super) fn words_and_code(error: &SmsError) -> String {
    with_code(&error.message, error.code.as_deref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backends::calling::{CallSettings, Calling};
    use crate::backends::http::Http;
    use crate::backends::masking::Mask;
    use crate::backends::name::BackendName;
    use crate::model::CheckStatus;
    use crate::system::clock::Clock;

    #[test]
    fn a_host_that_only_the_proxy_knows_is_no_fault_if_it_answers() {
        let (settings, clock) = (CallSettings::default(), Clock::system());
        let connection = Connection {
            name: BackendName::new("twilio", "twilio"),
            client: Some(Http::new(None, &settings, &clock).unwrap()),
            calling: Arc::new(Calling::new(settings, clock)),
            mask: Mask::default(),
        };
        let url = Url::parse("https://provider.invalid").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let unreached = SmsError::new(SmsErrorKind::Unavailable, None, "lost");
        for (problem, expected) in [
            (None, (CheckStatus::Ok, "the proxy knows provider.invalid")),
            (Some(&unreached), (CheckStatus::Failure, "provider.invalid doesn't resolve")),
        ] {
            let checks = runtime.block_on(connection.reached(&url, problem));
            let words = checks[0].message.split(':').next().unwrap();
            assert_eq!((checks[0].status, words), expected, "{checks:?}");
        }
    }
}
