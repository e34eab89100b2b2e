//! The composer of the settings' messages.

use super::Settings;
use crate::backends::BackendOptions;
use crate::model::{Composer, SecurityCode};

impl Settings {
    /// Returns the composer for the app and the backends of the settings. Its previews have zeros for the code, or the code of
    /// a sandbox.
    pub fn composer(&self) -> Composer {
        let zeros = || SecurityCode::from_stored("0".repeat(self.token_length));
        Composer {
            app_name: self.app_name.clone(),
            stand_in: self.backend.sandbox_token().cloned().unwrap_or_else(zeros),
            max_length: self.backends().filter_map(BackendOptions::max_message_length).min(),
        }
    }
}
