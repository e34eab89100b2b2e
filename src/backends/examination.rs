//! What can be found out about a provider without sending an SMS.

use std::cell::Cell;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;

use super::answer::{AttemptError, HttpAnswer, presentable, presentable_words};
use super::http::Http;
use super::masking::Mask;
use super::{Caller, SmsError, SmsErrorKind};
use crate::system::program::Program;

/// Something that was found out, without any secret.
#[derive(Debug)]
pub enum Finding {
    /// Whether the host's name resolves.
    Name {
        /// The host.
        host: String,
        /// The number of its addresses, 0 where only a proxy knows them; or why there are none.
        addresses: Result<usize, String>,
    },
    /// Whether the host can be reached.
    Connection {
        /// The host.
        host: String,
        /// How the connection is secured, or why there is none.
        security: Result<Security, String>,
    },
    /// Whether the provider accepts the credentials, and the state of their account.
    Credentials(Result<AccountState, SmsError>),
    /// Whether the account can send as the sender of the settings.
    Sender {
        /// The sender.
        sender: String,
        /// What the provider says of it.
        state: Result<SenderState, SmsError>,
    },
    /// What the account has left.
    Balance(Result<Balance, SmsError>),
    /// The program that sends.
    Program(Program),
    /// How far this machine's clock is ahead of the provider's; negative where it is behind.
    Clock {
        /// So far; None where no answer told the provider's time.
        ahead_by: Option<TimeDelta>,
    },
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By TLS, with a certificate that this machine trusts.
    Tls,
    /// It goes to this machine, and needs no TLS.
    Loopback,
}

/// The state of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountState {
    /// It can send.
    Active,
    /// It can send to numbers alone that were verified by its owner.
    Trial,
    /// It can't send; the provider calls this state so.
    Closed(String),
}

/// What a provider says of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderState {
    /// It can send SMS.
    CanSend,
    /// It is a number of the account that can't send SMS.
    NoSms,
    /// It is no number of the account.
    NotFound,
    /// It is no number, and the provider tells of others only when they send.
    NotTold,
}

/// What an account has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The amount, as the provider writes it.
    pub amount: String,
    /// Its currency.
    pub currency: String,
}

impl Finding {
    /// Returns the finding with what `mask` holds masked.
    pub(super) fn presentable(self, mask: &Mask) -> Self {
        let text = |text: String| presentable_words(&text, mask);
        let error = |error| presentable(error, mask);
        match self {
            Self::Credentials(result) => Self::Credentials(match result {
                Ok(AccountState::Closed(state)) => Ok(AccountState::Closed(text(state))),
                other => other.map_err(error),
            }),
            Self::Sender { sender, state } => {
                Self::Sender { sender: text(sender), state: state.map_err(error) }
            }
            Self::Balance(Ok(Balance { amount, currency })) => {
                Self::Balance(Ok(Balance { amount: text(amount), currency: text(currency) }))
            }
            Self::Balance(Err(refusal)) => Self::Balance(Err(error(refusal))),
            Self::Connection { host, security } => {
                Self::Connection { host, security: security.map_err(text) }
            }
            Self::Name { .. } | Self::Program(_) | Self::Clock { .. } => self,
        }
    }
}

/// The statuses that refuse the credentials (RFC 9110): "Unauthorized" and "Forbidden".
const REFUSED: [u16; 2] = [401, 403];

/// Asks one provider.
pub(super) struct Examiner<'a> {
    http: &'a Http,
    caller: &'a Caller,
    url: &'a Url,
    ahead_by: Cell<Option<TimeDelta>>,
}

impl<'a> Examiner<'a> {
    /// Returns an examiner for the provider at `url`.
    pub(super) fn new(http: &'a Http, caller: &'a Caller, url: &'a Url) -> Self {
        Self { http, caller, url, ahead_by: Cell::default() }
    }

    /// Asks `request`, whose answer is a 200 with the JSON that is wanted; `refused` judges any other.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        refused: impl Fn(&HttpAnswer) -> AttemptError,
    ) -> Result<T, SmsError> {
        let attempt = async || {
            let answer = self.attempt(request()).await?;
            match answer.status {
                200 => answer.json(),
                status => Err(match refused(&answer) {
                    // A question has no outcome that could be unknown: these statuses refuse it whatever the body says.
                    AttemptError::Final(error)
                        if REFUSED.contains(&status) && error.kind == SmsErrorKind::Unknown =>
                    {
                        AttemptError::Final(answer.refused(None, None))
                    }
                    error => error,
                }),
            }
        };
        self.caller.call(attempt).await.result
    }

    /// Makes `request`, whose answer means nothing but that there is one.
    pub(super) async fn contact(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(), SmsError> {
        self.caller.call(async || self.attempt(request()).await.map(|_| ())).await.result
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<HttpAnswer, AttemptError> {
        let before = self.http.now();
        let answer = self.http.attempt(request).await?;
        // The date was taken somewhere between, and has whole seconds.
        if let Some(date) = answer.date {
            let least = before - (date + TimeDelta::seconds(1));
            let most = self.http.now() - date;
            let zero = TimeDelta::zero();
            self.ahead_by.set(Some(if least > zero { least } else { most.min(zero) }));
        }
        Ok(answer)
    }

    /// Returns whether the provider's name resolves and whether it was reached, given how the first question to it ended.
    pub(super) async fn reached<T>(&self, first: &Result<T, SmsError>) -> [Finding; 2] {
        let unreached = first.as_ref().err().filter(|error| was_not_reached(error));
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", self.url.host_str().unwrap_or_default());
        let addresses = match resolve(self.url, self.http.connect_timeout()).await {
            Err(_) if unreached.is_none() => Ok(0),
            addresses => addresses,
        };
        let security = match unreached {
            Some(error) => Err(error.message.clone()),
            None if self.url.scheme() == "https" => Ok(Security::Tls),
            None => Ok(Security::Loopback),
        };
        [Finding::Name { host: host.clone(), addresses }, Finding::Connection { host, security }]
    }

    /// Returns how far this machine's clock is ahead, as the last answer that told the time has it.
    pub(super) fn clock(&self) -> Finding {
        Finding::Clock { ahead_by: self.ahead_by.get() }
    }
}

/// Returns whether nothing can be asked of a provider, because it was not reached.
pub(super) fn was_not_reached(error: &SmsError) -> bool {
    error.kind == SmsErrorKind::Unavailable && error.code.is_none()
}

async fn resolve(url: &Url, limit: Duration) -> Result<usize, String> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or_default();
    match tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.count()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no name server answered in time".to_owned()),
    }
}
