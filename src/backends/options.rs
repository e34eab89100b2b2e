//! Which backend the settings name, and its `[options]`.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Serialize, Serializer};

use super::{command, http_api, nexmo, twilio};
use crate::model::SecurityCode;
use crate::settings_table::{Table, TableError};

/// A backend's canonical name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendName {
    /// Twilio's Programmable Messaging.
    Twilio,
    /// Twilio's settings, and no SMS.
    TwilioSandbox,
    /// Vonage's SMS API, Nexmo by its former name.
    Nexmo,
    /// Vonage's settings, and no SMS.
    NexmoSandbox,
    /// No provider at all.
    Console,
    /// A program of the operator's.
    Command,
    /// Any provider with an HTTP API.
    Http,
}

impl FromStr for BackendName {
    type Err = &'static str;

    /// Reads a name, another name of it, or the dotted name of the class in django-phone-verify.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "twilio" | "phone_verify.backends.twilio.TwilioBackend" => Self::Twilio,
            "twilio-sandbox" | "phone_verify.backends.twilio.TwilioSandboxBackend" => {
                Self::TwilioSandbox
            }
            "nexmo" | "vonage" | "phone_verify.backends.nexmo.NexmoBackend" => Self::Nexmo,
            "nexmo-sandbox"
            | "vonage-sandbox"
            | "phone_verify.backends.nexmo.NexmoSandboxBackend" => Self::NexmoSandbox,
            "console" => Self::Console,
            "command" => Self::Command,
            "http" => Self::Http,
            _ => {
                return Err(
                    "must be twilio, twilio-sandbox, nexmo, nexmo-sandbox, console, command or http",
                );
            }
        })
    }
}

impl BackendName {
    /// Returns the name as settings, results and the ledger have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::TwilioSandbox => "twilio-sandbox",
            Self::Nexmo => "nexmo",
            Self::NexmoSandbox => "nexmo-sandbox",
            Self::Console => "console",
            Self::Command => "command",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for BackendName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A backend's own options.
#[derive(Debug, Clone)]
pub enum BackendOptions {
    /// Those of Twilio.
    Twilio(twilio::Options),
    /// Those of Vonage.
    Nexmo(nexmo::Options),
    /// Those of a sandbox.
    Sandbox(Sandbox),
    /// The console has none.
    Console,
    /// Those of a program of the operator's.
    Command(command::Options),
    /// Those of any HTTP API.
    Http(Box<http_api::Options>),
}

/// A sandbox: the name of its backend and the code that it always sends and accepts.
#[derive(Debug, Clone)]
pub struct Sandbox {
    name: BackendName,
    sandbox_token: SecurityCode,
}

impl BackendOptions {
    /// Reads the options of the backend `name`. A sandbox accepts its live backend's keys and the other way round, so that
    /// only the backend's name changes between test and live.
    ///
    /// # Errors
    /// A key is missing, or a value has the wrong type or form.
    pub fn read(name: BackendName, table: &Table<'_>) -> Result<Self, TableError> {
        let base_url = || read_base_url(table);
        let sandbox_token = || table.parsed("sandbox_token", SecurityCode::from_input);
        let sandbox = || {
            base_url()?;
            let stand_in = SecurityCode::from_stored(String::new());
            let sandbox_token = table.required("sandbox_token", sandbox_token()?, stand_in)?;
            Ok(Self::Sandbox(Sandbox { name, sandbox_token }))
        };
        match name {
            BackendName::Twilio => {
                sandbox_token()?;
                Ok(Self::Twilio(twilio::Draft::read(table)?.complete(table, base_url()?)?))
            }
            BackendName::TwilioSandbox => twilio::Draft::read(table).and_then(|_| sandbox()),
            BackendName::Nexmo => {
                sandbox_token()?;
                Ok(Self::Nexmo(nexmo::Draft::read(table)?.complete(table, base_url()?)?))
            }
            BackendName::NexmoSandbox => nexmo::Draft::read(table).and_then(|_| sandbox()),
            BackendName::Console => base_url().map(|_| Self::Console),
            BackendName::Command => command::Options::read(table).map(Self::Command),
            BackendName::Http => {
                http_api::Options::read(table).map(|options| Self::Http(Box::new(options)))
            }
        }
    }

    /// Returns the backend's canonical name.
    pub fn name(&self) -> BackendName {
        match self {
            Self::Twilio(_) => BackendName::Twilio,
            Self::Nexmo(_) => BackendName::Nexmo,
            Self::Sandbox(sandbox) => sandbox.name,
            Self::Console => BackendName::Console,
            Self::Command(_) => BackendName::Command,
            Self::Http(_) => BackendName::Http,
        }
    }

    /// Returns the code that a sandbox always sends, and accepts for any number.
    pub fn sandbox_token(&self) -> Option<&SecurityCode> {
        match self {
            Self::Sandbox(sandbox) => Some(&sandbox.sandbox_token),
            _ => None,
        }
    }

    /// Returns whether the backend sends SMS, rather than showing what it would send.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Sandbox(_) | Self::Console)
    }

    /// Returns the most characters that the provider takes in one message; a sandbox keeps to its live backend's limit.
    pub fn max_message_length(&self) -> Option<usize> {
        match self.name() {
            BackendName::Twilio | BackendName::TwilioSandbox => Some(twilio::MAX_BODY_LENGTH),
            _ => None,
        }
    }
}

/// Reads `base_url`.
fn read_base_url(table: &Table<'_>) -> Result<Option<Url>, TableError> {
    table.parsed("base_url", |text| check_url(text, Query::Refused))
}

/// Whether an address may have a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Allowed,
    Refused,
}

/// Reads an address: `https`, or `http` to this machine, so that no secret travels in clear.
pub(super) fn check_url(text: &str, query: Query) -> Result<Url, &'static str> {
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
        _ if query == Query::Refused && url.query().is_some() => Err("must have no query"),
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err("must be https, or http to this machine"),
    }
}
