//! Where a database is.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use super::postgres::{AddressError, ServerAddress};
use crate::system::secret::Secret;

/// Where the records and the ledger are.
#[derive(Debug, Clone)]
pub enum Database {
    /// In this file, an SQLite database.
    File(PathBuf),
    /// On this server.
    Server(ServerAddress),
}

impl Database {
    /// Returns the database that `text` means: a server's if it is meant for one, otherwise a file.
    ///
    /// # Errors
    /// Returns an error if the address can't be read.
    pub fn from_argument(text: &OsStr) -> Result<Self, AddressError> {
        match text.to_str().filter(|text| ServerAddress::is_meant_by(text)) {
            Some(address) => ServerAddress::parse(address).map(Self::Server),
            None => Ok(Self::File(text.into())),
        }
    }

    /// Returns whether its address holds a password.
    pub fn has_password(&self) -> bool {
        matches!(self, Self::Server(address) if address.own_password().is_some())
    }

    /// Returns the password that the settings have for its address, if they have one.
    pub fn password(&self) -> Option<&Secret> {
        if let Self::Server(address) = self { address.given_password() } else { None }
    }

    /// Returns the file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        if let Self::File(path) = self { Some(path) } else { None }
    }
}

impl Display for Database {
    /// Writes the path or the address, never a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Server(address) => address.fmt(formatter),
        }
    }
}
