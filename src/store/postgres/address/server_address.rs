//! Where a PostgreSQL server is.

use std::fmt;

use secrecy::ExposeSecret;

use super::parameters::{AddressError, Parameters};
use super::syntax;
use crate::system::secret::Secret;

/// Where a PostgreSQL server is, as an operator wrote it. Its Debug output and its Display hide the password.
#[derive(Debug, Clone)]
pub struct ServerAddress {
    /// What was written, without the password.
    shown: String,
    pub(super) parameters: Parameters,
    /// The password, unless the address has one of its own.
    pub(super) password: Option<Secret>,
}

impl ServerAddress {
    /// Returns whether `text` is meant for a server rather than for a file: it is a URL, or it has keywords of libpq.
    pub fn is_meant_by(text: &str) -> bool {
        syntax::is_address(text)
    }

    /// Parses a URL such as `postgresql://USER@HOST/DBNAME`, or keywords such as `host=HOST dbname=DBNAME`.
    ///
    /// # Errors
    /// Returns an error if libpq wouldn't take `text` either, or if it asks for something that isn't supported.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (parameters, shown) = syntax::parse(text)?;
        Ok(Self { shown, parameters, password: None })
    }

    /// Returns the password that the address itself holds, if it does.
    pub fn own_password(&self) -> Option<Secret> {
        let password = self.parameters.password()?;
        Some(Secret::literal(password.expose_secret().to_owned()))
    }

    /// Returns the password that was given beside the address.
    pub fn given_password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Returns this address with `password`, which is looked up only for a connection, and only if the address holds none.
    pub fn with_password(self, password: Secret) -> Self {
        Self { password: Some(password), ..self }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}
