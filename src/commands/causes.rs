//! The errors of the layers below, as the commands tell them to an operator.

use crate::backends::ConnectError;
use crate::exit::Error;
use crate::service::hooks::HookError;
use crate::settings::SettingsError;
use crate::store::StoreError;

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let failed = Self::failed(error.to_string());
        let failed = match &error.hint {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        };
        failed.caused_by(error)
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        let usage = Self::usage(error.to_string());
        let usage = match error.hint() {
            Some(hint) => usage.with_hint(hint),
            None => usage,
        };
        usage.caused_by(error)
    }
}

impl From<HookError> for Error {
    fn from(error: HookError) -> Self {
        Self::failed(error.to_string()).caused_by(error)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        let told = match &error {
            ConnectError::Secret { .. } => Self::usage(error.to_string()),
            ConnectError::Client(_) => Self::failed(error.to_string()),
        };
        told.with_hint(error.hint()).caused_by(error)
    }
}
