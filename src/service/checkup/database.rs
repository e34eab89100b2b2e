//! What is weak or wrong in a database.

use std::fmt::Display;
use std::path::Path;

use chrono::TimeDelta;

use super::WRITABLE_BY_OTHERS;
use crate::clock::Clock;
use crate::model::Check;
use crate::settings::READABLE_BY_OTHERS;
use crate::store::{self, Examination, Found, RowsState, StoreError, TableState};

/// How far a record may be ahead of the clock: the clocks of two machines are never quite the same.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Returns the checks of the database at `path`, which is not changed.
pub fn check_database(path: &Path, clock: &Clock) -> Vec<Check> {
    let examination = match store::examine(path, clock, TOLERANCE) {
        Ok(examination) => examination,
        Err(error) => return vec![failed("database.file", &error)],
    };
    let mut checks = vec![Check::ok("database.file", path.display().to_string())];
    checks.push(check_permissions(&examination, path));
    checks.push(match &examination.write_obstacle {
        None => Check::ok("database.writable", "the file and its folder can be written"),
        Some(obstacle) => {
            let hint = "let the user who runs phone-verify write the file and its folder";
            Check::failure("database.writable", obstacle, hint)
        }
    });
    checks.push(check_journal_mode(&examination.journal_mode, path));
    checks.push(match &examination.complaint {
        Ok(None) => Check::ok("database.quick_check", "SQLite finds no damage"),
        Ok(Some(complaint)) => {
            Check::failure("database.quick_check", complaint, "restore a backup")
        }
        Err(error) => failed("database.quick_check", error),
    });
    checks.push(check_schema(&examination));
    checks.push(check_ledger(&examination));
    checks.push(check_indexes(&examination.missing_indexes));
    match &examination.rows {
        None => {}
        Some(Ok(rows)) => checks.extend(check_rows(rows)),
        Some(Err(error)) => checks.push(failed("database.rows", error)),
    }
    checks
}

fn failed(check: &str, error: &StoreError) -> Check {
    let hint =
        error.hint.as_deref().unwrap_or("`sqlite3 FILE 'PRAGMA integrity_check'` tells more");
    Check::failure(check, error.to_string(), hint)
}

fn check_permissions(Examination { permissions, .. }: &Examination, path: &Path) -> Check {
    const CHECK: &str = "database.permissions";
    let file = path.display();
    if permissions & WRITABLE_BY_OTHERS != 0 {
        let message = format!("others can change it (mode {permissions:03o})");
        return Check::failure(CHECK, message, format!("chmod o-rw {file}"));
    }
    if permissions & READABLE_BY_OTHERS != 0 {
        let message = format!("others can read the codes in it (mode {permissions:03o})");
        return Check::warning(CHECK, message, format!("chmod o-r {file}"));
    }
    Check::ok(CHECK, format!("mode {permissions:03o}"))
}

fn check_journal_mode(mode: &str, path: &Path) -> Check {
    if mode == "wal" {
        return Check::ok("database.journal_mode", mode);
    }
    Check::warning(
        "database.journal_mode",
        format!("{mode}: who reads and who writes wait for each other"),
        format!("sqlite3 {} 'PRAGMA journal_mode = WAL'", path.display()),
    )
}

fn check_schema(examination: &Examination) -> Check {
    const CHECK: &str = "database.schema";
    let hint = if examination.is_django {
        "python manage.py migrate phone_verify"
    } else {
        "phone-verify migrate"
    };
    match &examination.records {
        TableState::Missing => Check::failure(CHECK, "there is no table sms_verification", hint),
        TableState::Older => {
            Check::failure(CHECK, "the table sms_verification is of an older version", hint)
        }
        state => check_table(CHECK, "sms_verification", state),
    }
}

fn check_ledger(examination: &Examination) -> Check {
    const CHECK: &str = "database.ledger";
    match &examination.ledger {
        TableState::Missing => Check::warning(
            CHECK,
            "there is no table sms_delivery: what was sent is not known",
            "phone-verify migrate",
        ),
        state => check_table(CHECK, "sms_delivery", state),
    }
}

/// Returns the check of a table that is there.
fn check_table(check: &str, table: &str, state: &TableState) -> Check {
    match state {
        TableState::Current { foreign_columns } if foreign_columns.is_empty() => {
            Check::ok(check, format!("the table {table} is current"))
        }
        TableState::Current { foreign_columns } => Check::ok(
            check,
            format!(
                "the table {table} is current; others added {}, which does no harm",
                foreign_columns.join(", ")
            ),
        ),
        TableState::Blocked { column } => Check::failure(
            check,
            format!("the table {table} has a further column {column}, which no send fills"),
            "let the column be NULL, or give it a default",
        ),
        TableState::View => Check::failure(
            check,
            format!("{table} is a view, and has to be a table"),
            "rename the view, then phone-verify migrate",
        ),
        TableState::Missing | TableState::Older | TableState::Unknown => Check::failure(
            check,
            format!("the table {table} has columns that no version gave it"),
            "check the path; this may be the database of another program",
        ),
    }
}

fn check_indexes(missing: &[&str]) -> Check {
    if missing.is_empty() {
        return Check::ok("database.indexes", "no index is missing");
    }
    let message = format!("missing, which makes it slow: {}", missing.join(", "));
    Check::warning("database.indexes", message, "phone-verify migrate")
}

fn check_rows(rows: &RowsState) -> Vec<Check> {
    let RowsState { records, deliveries, damaged, not_e164, from_the_future } = rows;
    let counts = format!("{records} records and {deliveries} deliveries can be read");
    vec![
        match &damaged.first {
            None => Check::ok("database.rows", counts),
            Some(first) => Check::failure(
                "database.rows",
                format!("rows that can't be read: {}; the first: {first}", damaged.count),
                "repair or delete them with the sqlite3 program",
            ),
        },
        check_found(
            "database.phone_numbers",
            not_e164,
            "every number is in E.164",
            "records whose number is not in E.164",
            "no command finds them by their number; correct or delete them with the sqlite3 program",
        ),
        check_found(
            "database.created_at",
            from_the_future,
            "no record is from the future",
            "records from the future",
            "a Django site needs USE_TZ = True: without it its times are local, and its codes live too long or too short",
        ),
    ]
}

fn check_found<T: Display>(
    check: &str,
    found: &Found<T>,
    none: &str,
    some: &str,
    hint: &str,
) -> Check {
    match &found.first {
        None => Check::ok(check, none),
        Some(first) => {
            Check::warning(check, format!("{some}: {}; the first: {first}", found.count), hint)
        }
    }
}
