//! How the errors of the layers below become errors for an operator.

use crate::backends::ConnectError;
use crate::exit::Error;
use crate::service::hooks::HookError;
use crate::settings::SettingsError;
use crate::store::StoreError;

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let mut failed = Self::failed(&error);
        failed.hint.clone_from(&error.hint);
        failed.caused_by(error)
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        let mut usage = Self::usage(&error);
        usage.hint = error.hint().map(Into::into);
        usage.caused_by(error)
    }
}

impl From<HookError> for Error {
    fn from(error: HookError) -> Self {
        Self::failed(&error).caused_by(error)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        let shown = match &error {
            ConnectError::Secret { .. } | ConnectError::Proxy(_) => Self::usage(&error),
            ConnectError::Client(_) => Self::failed(&error),
        };
        shown.with_hint(error.hint()).caused_by(error)
    }
}
