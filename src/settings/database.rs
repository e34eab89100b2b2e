//! The table `[database]`: where the records are.

use serde::Deserialize;

use crate::document::Section;
use crate::model::values::Text;
use crate::store::{Database, ServerAddress};
use crate::system::secret::Secret;

/// The keys of the table.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct DatabaseKeys {
    path: Option<Text>,
    url: Option<Text>,
    password: Option<Secret>,
}

/// Returns where the database is, or None if something is wrong with its keys.
pub(super) fn read(root: &mut Section<'_, '_>, keys: DatabaseKeys) -> Option<Database> {
    let DatabaseKeys { path, url, password } = keys;
    let mut table = root.inner("database");
    let is_misplaced = path.as_deref().is_some_and(ServerAddress::is_meant_by);
    table.refuse(&["path"], is_misplaced, "is the address of a server: its key is url");
    let is_shells = path.as_deref().is_some_and(|path| path.starts_with(['~', '$']));
    let problem = "is taken as it is written: write the whole path in place of ~ or a variable";
    table.refuse(&["path"], is_shells, problem);
    let is_both = url.is_some() && path.is_some();
    table.refuse(&["url", "path"], is_both, "is there beside path: keep one of the two");
    let password = table.secret("password", password);
    let Some(url) = url else {
        let is_useless = password.is_some();
        table.refuse(&["password"], is_useless, "is only for a server, which url names");
        let path = path.as_deref().unwrap_or("phone-verify.sqlite3");
        return Some(Database::File(root.directory().join(path)));
    };
    match ServerAddress::parse(&url) {
        Ok(address) => {
            let own = address.own_password();
            let is_twice = own.is_some() && password.is_some();
            table.refuse(&["password"], is_twice, "is in url too: keep one of the two");
            table.secret("url", own);
            let address = password.into_iter().fold(address, ServerAddress::with_password);
            Some(Database::Server(address))
        }
        Err(error) => {
            table.error(&["url"], format!("is not the address of a server: {error}"));
            None
        }
    }
}
