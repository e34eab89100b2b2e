//! Where the numbers are read from.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What `--file` names: `-` is stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputFile {
    Stdin,
    Path(PathBuf),
}

impl From<OsString> for InputFile {
    fn from(argument: OsString) -> Self {
        if argument == "-" { Self::Stdin } else { Self::Path(argument.into()) }
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => formatter.write_str("stdin"),
            Self::Path(path) => path.display().fmt(formatter),
        }
    }
}
