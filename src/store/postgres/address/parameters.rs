//! The parameters of a connection: their keywords, the environment variables that stand in for them, and the values that they can
//! have.

use std::collections::BTreeMap;
use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};

use Accepts::{Addresses, Name, Nothing, Number, OneOf, Ports, Text};

use crate::store::error::StoreError;

/// The values that a parameter can have.
#[derive(Debug)]
enum Accepts {
    Text,
    /// A name that can't be mistaken for a whole address, which may hold a password.
    Name,
    Number,
    /// Ports with commas between them.
    Ports,
    /// IP addresses with commas between them.
    Addresses,
    OneOf(&'static [&'static str]),
    /// libpq has this parameter, but nothing here could do what it asks for.
    Nothing,
}

/// The keywords of libpq, each with its environment variable. A variable is missing if libpq has none, or if it says how to talk to
/// the server rather than where it is.
const KEYWORDS: [(&str, &str, Accepts); 51] = [
    ("host", "PGHOST", Text),
    ("hostaddr", "PGHOSTADDR", Addresses),
    ("port", "PGPORT", Ports),
    ("dbname", "PGDATABASE", Name),
    ("user", "PGUSER", Text),
    ("password", "PGPASSWORD", Text),
    ("passfile", "PGPASSFILE", Text),
    ("service", "PGSERVICE", Text),
    ("servicefile", "PGSERVICEFILE", Text),
    ("application_name", "PGAPPNAME", Text),
    ("fallback_application_name", "", Text),
    ("client_encoding", "", OneOf(&["UTF8", "UTF-8", "utf8", "utf-8", "auto"])),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Number),
    ("tcp_user_timeout", "", Number),
    ("keepalives", "", Number),
    ("keepalives_idle", "", Number),
    ("keepalives_interval", "", Number),
    ("keepalives_count", "", Number),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", OneOf(&["any", "read-write", "read-only"])),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", OneOf(&["disable", "random"])),
    ("channel_binding", "PGCHANNELBINDING", OneOf(&["disable", "prefer", "require"])),
    (
        "sslmode",
        "PGSSLMODE",
        OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
    ),
    ("sslnegotiation", "PGSSLNEGOTIATION", OneOf(&["postgres", "direct"])),
    ("sslrootcert", "PGSSLROOTCERT", Text),
    ("sslcert", "PGSSLCERT", Text),
    ("sslkey", "PGSSLKEY", Text),
    ("sslcertmode", "PGSSLCERTMODE", OneOf(&["disable", "allow"])),
    (
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        OneOf(&["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
    ),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", OneOf(&["TLSv1.3"])),
    ("sslcompression", "", OneOf(&["0"])),
    ("sslsni", "", OneOf(&["1"])),
    ("gssencmode", "PGGSSENCMODE", OneOf(&["disable", "prefer"])),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", OneOf(&["3.0"])),
    ("max_protocol_version", "", OneOf(&["3.0", "3.2", "latest"])),
    // What follows asks for protection, so that its variables mustn't be passed over in silence.
    ("requirepeer", "PGREQUIREPEER", Nothing),
    ("require_auth", "PGREQUIREAUTH", Nothing),
    ("sslcrl", "PGSSLCRL", Nothing),
    ("sslcrldir", "PGSSLCRLDIR", Nothing),
    ("sslpassword", "", Nothing),
    ("sslkeylogfile", "", Nothing),
    ("scram_client_key", "", Nothing),
    ("scram_server_key", "", Nothing),
    ("gssdelegation", "", Nothing),
    ("gsslib", "", Nothing),
    ("krbsrvname", "", Nothing),
    ("oauth_issuer", "", Nothing),
    ("oauth_client_id", "", Nothing),
    ("oauth_client_secret", "", Nothing),
    ("oauth_scope", "", Nothing),
    ("options", "", Nothing),
    ("replication", "", Nothing),
];

/// How similar two keywords are if one is likely a misspelling of the other.
const SIMILAR: f64 = 0.8;
/// The most characters of a word that may be a misspelled keyword.
const LONGEST: usize = 40;

/// Why an address can't be used. It never holds a value, which might be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub(super) String);

/// Returns whether libpq has a parameter with the keyword `name`.
pub(super) fn is_keyword(name: &str) -> bool {
    KEYWORDS.iter().any(|(known, ..)| *known == name)
}

/// What is known of a connection. An empty value asks for the default. Its Debug output hides the password.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    values: BTreeMap<&'static str, String>,
    password: Option<SecretString>,
}

impl Parameters {
    /// Sets a parameter, or sets it again.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), AddressError> {
        let Some((name, _, accepts)) = KEYWORDS.iter().find(|(known, ..)| *known == name) else {
            return Err(unknown(name));
        };
        accepts.check(name, &value)?;
        if *name == "password" {
            self.set_password(value.into());
        } else {
            self.values.insert(name, value);
        }
        Ok(())
    }

    /// Sets a parameter unless it is set.
    pub(super) fn set_missing(&mut self, name: &str, value: &str) -> Result<(), AddressError> {
        if self.is_set(name) { Ok(()) } else { self.set(name, value.to_owned()) }
    }

    /// Sets the parameters that aren't set to what the environment says of them.
    pub(super) fn set_missing_from(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), StoreError> {
        for (name, its_variable, _) in
            KEYWORDS.iter().filter(|(_, variable, _)| !variable.is_empty())
        {
            if let Some(value) = variable(its_variable) {
                self.set_missing(name, &value).map_err(|error| {
                    let problem = format!("the environment variable {its_variable}: {error}");
                    StoreError::new(problem, format!("correct {its_variable}, or unset it"))
                })?;
            }
        }
        Ok(())
    }

    /// Returns a parameter that doesn't ask for the default.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a number that doesn't ask for the default.
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.get(name)?.parse().ok()
    }

    /// Returns the items of a list, which are empty if they ask for the default.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|list| list.split(',').collect()).unwrap_or_default()
    }

    /// Returns the password.
    pub(super) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// Sets the password. None is known if it is empty.
    pub(super) fn set_password(&mut self, password: SecretString) {
        self.password = Some(password).filter(|password| !password.expose_secret().is_empty());
    }

    fn is_set(&self, name: &str) -> bool {
        match name {
            "password" => self.password.is_some(),
            _ => self.values.contains_key(name),
        }
    }
}

impl Accepts {
    fn check(&self, name: &str, value: &str) -> Result<(), AddressError> {
        let mut items = value.split(',').filter(|item| !item.is_empty());
        let (is_accepted, expected) = match self {
            Text => (!value.contains('\0'), "text without a NUL character".to_owned()),
            Name => {
                (!value.contains([':', '=', '\0']), "a name without `:`, `=` and NUL".to_owned())
            }
            Number => (value.parse::<i32>().is_ok(), "a whole number".to_owned()),
            Ports => {
                let is_port = |item: &str| item.parse::<u16>().is_ok_and(|port| port > 0);
                (items.all(is_port), "a number from 1 to 65535, or a list with commas; in a URL, an IPv6 address is in brackets, and an `@` or `:` of a password is %40 or %3A".to_owned())
            }
            Addresses => {
                let is_address = |item: &str| item.parse::<IpAddr>().is_ok();
                (items.all(is_address), "an IP address, or a list with commas".to_owned())
            }
            OneOf([only]) => (value == *only, format!("{only}, if it is given")),
            OneOf(values) => {
                let (last, others) = values.split_last().expect("a value");
                (values.contains(&value), format!("{} or {last}", others.join(", ")))
            }
            Nothing => return Err(AddressError(format!("{name} isn't supported"))),
        };
        if is_accepted || value.is_empty() {
            return Ok(());
        }
        Err(AddressError(format!("{name} must be {expected}")))
    }
}

/// Returns the error about a keyword that libpq doesn't have. What doesn't look like one might be a part of a password.
fn unknown(name: &str) -> AddressError {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(is_word) {
        return AddressError("something before a `=` isn't a keyword".to_owned());
    }
    let written = name.to_lowercase();
    let known = KEYWORDS.iter().map(|(known, ..)| (strsim::jaro_winkler(known, &written), known));
    let nearest = known.max_by(|a, b| a.0.total_cmp(&b.0));
    AddressError(match nearest.filter(|(similarity, _)| *similarity > SIMILAR) {
        Some((_, known)) => format!("`{name}` is unknown; did you mean `{known}`?"),
        None => format!("`{name}` is unknown"),
    })
}
