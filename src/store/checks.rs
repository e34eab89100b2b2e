//! What `doctor` says of the tables and rows of a database, whatever its engine.

use super::error::StoreError;
use super::schema::{Column, LEDGER, Layout, MIGRATE_HINT, Table, WRONG_CODES};
use crate::model::{Check, CheckStatus, counted, grouped};

/// Returns a check whose message is `good`, or one with the status and the problem, if there is one.
pub(super) fn judged(
    (check, status): (&str, CheckStatus),
    problem: Option<String>,
    good: &str,
    hint: &str,
) -> Check {
    match problem {
        None => Check::ok(check, good),
        Some(problem) => Check { status, ..Check::failure(check, problem, hint) },
    }
}

/// Returns the check of something that doesn't work. If the error doesn't say what to do, `hint` does.
pub(super) fn failure(check: &str, error: &StoreError, hint: &str) -> Check {
    Check::failure(check, error.problem.as_str(), error.hint.as_deref().unwrap_or(hint))
}

/// Returns the check of `table`, which has this layout.
pub(super) fn check_table(table: &Table, layout: &Layout, is_django: bool) -> Check {
    let name = table.name;
    let is_ledger = name == LEDGER.name;
    let check = match name {
        _ if is_ledger => "database.ledger",
        _ if name == WRONG_CODES.name => "database.wrong_codes",
        _ => "database.schema",
    };
    match layout {
        Layout::Current(added) => check_columns(check, name, added),
        Layout::Foreign(error) => failure(check, error, MIGRATE_HINT),
        // A send creates the ledger, and everything else works without it.
        Layout::Missing if is_ledger => {
            let message = format!("there is no table {name}, so nothing is known about past sends");
            Check::warning(check, message, MIGRATE_HINT)
        }
        Layout::Older(_) => {
            let message = format!("the table {name} is of an older version");
            Check::warning(check, message, MIGRATE_HINT)
        }
        _ => failure(check, &table.outdated(layout, is_django), MIGRATE_HINT),
    }
}

fn check_columns(check: &str, table: &str, added: &[Column]) -> Check {
    if let Some(Column { name, .. }) = added.iter().find(|column| column.must_be_given) {
        let message = format!("the table {table} has a further column {name}, which needs a value");
        return Check::failure(check, message, "let the column be NULL, or give it a default");
    }
    let names: Vec<_> = added.iter().map(|column| column.name.as_str()).collect();
    let mut message = format!("the table {table} is current");
    if !names.is_empty() {
        message += &format!("; other programs added {}, which is harmless", names.join(", "));
    }
    Check::ok(check, message)
}

/// Returns the check of the indexes. `unique` is the missing one that keeps records apart, with the statement that adds it if
/// `migrate` doesn't.
pub(super) fn check_indexes(missing: &[&str], unique: Option<(&str, Option<String>)>) -> Check {
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("missing, which makes it slow: {}", missing.join(", ")));
    }
    let mut hint = MIGRATE_HINT.to_owned();
    if let Some((name, statement)) = unique {
        problems.push(format!("missing, which lets a record be stored twice: {name}"));
        hint = statement.filter(|_| missing.is_empty()).unwrap_or(hint);
    }
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    judged(("database.indexes", CheckStatus::Warning), problem, "no index is missing", &hint)
}

/// How many rows have a problem, and the first of them.
#[derive(Default)]
pub(super) struct Count {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Count {
    pub(super) fn add(&mut self, row: impl ToString) {
        self.count += 1;
        self.first.get_or_insert_with(|| row.to_string());
    }

    fn problem(&self, rows: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("{rows}: {}; the first: {first}", grouped(self.count)))
    }
}

/// What the rows of a database are like.
#[derive(Default)]
pub(super) struct RowCounts {
    pub(super) records: i64,
    pub(super) deliveries: i64,
    /// Those that can't be read.
    pub(super) damaged: Count,
    /// The records whose number isn't in E.164.
    pub(super) not_e164: Count,
    pub(super) future_records: Count,
    pub(super) future_deliveries: Count,
}

impl RowCounts {
    /// Returns the checks of the rows, which an operator repairs with `program`. `future_hint` is what helps against rows from the
    /// future.
    pub(super) fn checks(&self, program: &str, future_hint: &str) -> Vec<Check> {
        let from_the_future = [
            self.future_records.problem("records from the future"),
            self.future_deliveries.problem("deliveries from the future"),
        ];
        let from_the_future = from_the_future.into_iter().flatten();
        let [records, deliveries] =
            [counted(self.records, "record"), counted(self.deliveries, "delivery")];
        vec![
            judged(
                ("database.rows", CheckStatus::Failure),
                self.damaged.problem("rows that can't be read"),
                &format!("{records} and {deliveries} can be read"),
                &format!("repair or delete them with {program}"),
            ),
            judged(
                ("database.phone_numbers", CheckStatus::Warning),
                self.not_e164.problem("records whose number is not in E.164"),
                "every number is in E.164",
                &format!(
                    "a command finds such a record by its last digits at most; correct or delete them with {program}"
                ),
            ),
            judged(
                ("database.created_at", CheckStatus::Warning),
                from_the_future.reduce(|all, further| format!("{all}; {further}")),
                "no record and no delivery is from the future",
                future_hint,
            ),
        ]
    }
}
