//! Fuzz target of what names a database.

use super::Database;

/// What the passwords of the corpus hold. Another one might be a part of the address by chance.
const PASSWORD: &str = "S3cr3t";

/// An address is shown without its password, and what is shown is the same address again.
pub(crate) fn database(text: &str) {
    let Ok(database) = Database::from_argument(text.as_ref()) else { return };
    let shown = database.to_string();
    let Database::Server(address) = &database else { return assert_eq!(shown, text) };
    if let Some(password) = address.own_password() {
        let password = password.expose();
        let is_only_there = text.matches(password).count() < 2 && password.contains(PASSWORD);
        let seen = format!("{shown} {database:?}");
        assert!(!is_only_there || !seen.contains(password), "{seen}");
    }
    let Ok(Database::Server(again)) = Database::from_argument(shown.as_ref()) else {
        return assert!(shown.is_empty(), "{shown}");
    };
    assert_eq!(again.to_string(), shown);
    assert!(again.own_password().is_none(), "{shown}");
}
