//! What is weak or wrong in a database.

use std::fmt::Display;
use std::path::Path;

use chrono::TimeDelta;

use super::WRITABLE_BY_OTHERS;
use crate::model::{Check, counted, shell_word};
use crate::settings::READABLE_BY_OTHERS;
use crate::store::{self, Examination, Finding, Flaw, Found, RowsState, TableState};
use crate::system::clock::Clock;

/// How far a record may be ahead of the clock: the clocks of two machines are never quite the same.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Returns the checks of the database at `path`, which is not changed.
pub fn check_database(path: &Path, clock: &Clock) -> Vec<Check> {
    let examination = match store::examine(path, clock, TOLERANCE) {
        Ok(examination) => examination,
        Err(flaw) => return vec![failure("database.file", &flaw)],
    };
    let mut checks = vec![Check::ok("database.file", path.display().to_string())];
    checks.push(check_permissions(&examination, path));
    checks.push(match &examination.write_obstacle {
        None => Check::ok("database.writable", "the file and its folder can be written"),
        Some(obstacle) => {
            let hint = "let the user who runs phone-verify write the file, its folder and what SQLite puts beside it";
            Check::failure("database.writable", obstacle, hint)
        }
    });
    checks.push(check_finding(&examination.concurrency, warning));
    checks.push(check_finding(&examination.integrity, failure));
    checks.push(check_table("database.schema", &examination.records, failure));
    // A send creates the ledger, and everything else works without it.
    checks.push(check_table("database.ledger", &examination.ledger, warning));
    checks.extend(examination.indexes.iter().map(|indexes| check_finding(indexes, warning)));
    match &examination.rows {
        None => {}
        Some(Ok(rows)) => checks.extend(check_rows(rows, examination.repair_program)),
        Some(Err(flaw)) => checks.push(failure("database.rows", flaw)),
    }
    checks
}

/// Grades a flaw.
type Grade = fn(&str, &Flaw) -> Check;

fn failure(check: &str, Flaw { problem, hint }: &Flaw) -> Check {
    Check::failure(check, problem, hint)
}

fn warning(check: &str, Flaw { problem, hint }: &Flaw) -> Check {
    Check::warning(check, problem, hint)
}

fn check_finding(Finding { name, state }: &Finding, grade: Grade) -> Check {
    let check = format!("database.{name}");
    match state {
        Ok(words) => Check::ok(check, words),
        Err(flaw) => grade(&check, flaw),
    }
}

fn check_table(check: &str, state: &TableState, grade_missing: Grade) -> Check {
    match state {
        TableState::Current(words) => Check::ok(check, words),
        TableState::Missing(flaw) => grade_missing(check, flaw),
        TableState::Unfit(flaw) => failure(check, flaw),
    }
}

fn check_permissions(Examination { permissions, .. }: &Examination, path: &Path) -> Check {
    const CHECK: &str = "database.permissions";
    let file = shell_word(path);
    if permissions & WRITABLE_BY_OTHERS != 0 {
        let message = format!("others can change it (mode {permissions:03o})");
        return Check::failure(CHECK, message, format!("`chmod o-rw {file}`"));
    }
    if permissions & READABLE_BY_OTHERS != 0 {
        let message = format!("others can read the codes in it (mode {permissions:03o})");
        return Check::warning(CHECK, message, format!("`chmod o-r {file}`"));
    }
    Check::ok(CHECK, format!("mode {permissions:03o}"))
}

fn check_rows(rows: &RowsState, repair_program: &str) -> Vec<Check> {
    let RowsState { records, deliveries, damaged, not_e164, from_the_future } = rows;
    let [records, deliveries] = [counted(*records, "record"), counted(*deliveries, "delivery")];
    let counts = format!("{records} and {deliveries} can be read");
    vec![
        match &damaged.first {
            None => Check::ok("database.rows", counts),
            Some(first) => Check::failure(
                "database.rows",
                format!("rows that can't be read: {}; the first: {first}", damaged.count),
                format!("repair or delete them with {repair_program}"),
            ),
        },
        check_found(
            "database.phone_numbers",
            not_e164,
            "every number is in E.164",
            "records whose number is not in E.164",
            &format!(
                "no command finds them by their number; correct or delete them with {repair_program}"
            ),
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
