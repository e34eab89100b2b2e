//! The `http` backend, with a provider that a test describes in the settings.

use super::{Environment, FakeProvider};

/// Options with the fewest keys that are valid: an address, and a body with the number and the message.
pub(crate) const HTTP_OPTIONS: &str =
    "url = \"{url}/send\"\njson = { to = \"{phone_number}\", text = \"{message}\" }";

impl FakeProvider {
    /// Returns settings of the `http` backend with these options, in which `{url}` becomes this provider's address.
    pub(crate) fn http_settings(&self, options: &str, tables: &str) -> String {
        let options = options.replace("{url}", &self.base_url());
        format!("backend = \"http\"\n[options]\n{options}\n{tables}\n")
    }

    /// Returns an environment with [`FakeProvider::http_settings`].
    pub(crate) fn http_environment(&self, options: &str, tables: &str) -> Environment {
        Environment::with_settings(&self.http_settings(options, tables))
    }
}
