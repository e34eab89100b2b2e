//! Sends security codes to phone numbers by SMS and verifies the codes that come back, on the table of django-phone-verify.

pub mod clock;
pub mod model;
pub mod secret;
pub mod settings_table;
pub mod backends;
pub mod store;
