//! `migrate`: creates the table, or brings an older one up to date, and adds the indexes.

use super::Context;
use crate::exit::{Error, Exit};
use crate::output::{Output, Report};
use crate::store::{self, Migration, TableChange};

/// What the operator of a Django site has to know of a new table.
const DJANGO_NOTE: &str = "if a Django site shares the database, its `python manage.py migrate` comes first; since the table is there now, run `python manage.py migrate phone_verify --fake` there";

impl Report for Migration {
    fn text(&self) -> String {
        let table = match self.table {
            TableChange::Created => "Created the table sms_verification.",
            TableChange::Upgraded => "Upgraded the table sms_verification.",
            TableChange::None => "The table sms_verification is up to date.",
        };
        let indexes = match self.indexes_added.as_slice() {
            [] => String::new(),
            [name] => format!("\nAdded the index {name}."),
            names => format!("\nAdded the indexes {}.", names.join(", ")),
        };
        let ledger = match self.ledger {
            TableChange::Created => "\nCreated the ledger sms_delivery.",
            TableChange::Upgraded => "\nUpgraded the ledger sms_delivery.",
            TableChange::None => "",
        };
        [table, &indexes, ledger].concat()
    }
}

/// Runs `migrate`.
///
/// # Errors
/// Returns an error if the database can't be used, or if Django has to bring its table up to date.
pub fn run(context: &mut Context<'_>) -> Result<Exit, Error> {
    let migration = store::migrate(&context.database)?;
    context.output.report(&migration)?;
    show_notes(&migration, context.output);
    Ok(Exit::Done)
}

/// Shows what an operator has to know or do after a migration.
pub(super) fn show_notes(migration: &Migration, output: &Output) {
    if migration.table == TableChange::Created {
        output.progress(DJANGO_NOTE);
    }
    if let Some(warning) = &migration.warning {
        output.warning(warning);
    }
}
