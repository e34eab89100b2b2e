//! Records as a table, as JSON Lines and as CSV.

use chrono::{DateTime, TimeDelta, Utc};
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;
use uuid::Uuid;

use super::{Format, local_time, without_controls};
use crate::model::{DeliveryState, ListedRecord, PhoneNumber, SessionToken, timestamp};

/// Turns records into the bytes that stdout shows, page by page. What was shown is kept no longer.
pub struct RecordWriter {
    rows: Rows,
    is_wide: bool,
    has_colors: bool,
}

enum Rows {
    Text { table: Table, has_heading: bool },
    Json(Vec<u8>),
    Csv(csv::Writer<Vec<u8>>),
}

/// A record as scripts read it.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    phone_number: &'a PhoneNumber,
    security_code: &'a str,
    session_token: &'a SessionToken,
    is_verified: bool,
    is_valid: bool,
    failed_attempts: u32,
    #[serde(with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(with = "timestamp")]
    modified_at: DateTime<Utc>,
    #[serde(with = "timestamp")]
    expires_at: DateTime<Utc>,
    delivery: Option<DeliveryState>,
}

/// The columns of [`Row`]; a test holds them against it.
const COLUMNS: [&str; 11] = [
    "id",
    "phone_number",
    "security_code",
    "session_token",
    "is_verified",
    "is_valid",
    "failed_attempts",
    "created_at",
    "modified_at",
    "expires_at",
    "delivery",
];

impl RecordWriter {
    pub(super) fn new(format: Format, is_wide: bool, has_colors: bool) -> Self {
        let rows = match format {
            Format::Text => Rows::Text { table: new_table(), has_heading: false },
            Format::Json => Rows::Json(Vec::new()),
            Format::Csv => {
                let mut csv = new_csv();
                csv.write_record(COLUMNS).expect(MEMORY_TAKES_ALL);
                Rows::Csv(csv)
            }
        };
        Self { rows, is_wide, has_colors }
    }

    /// Takes a record. Its code lives for `lifetime`, and it is valid or expired at `now`.
    pub fn take(&mut self, listed: &ListedRecord, lifetime: TimeDelta, now: DateTime<Utc>) {
        let ListedRecord { record, delivery } = listed;
        let row = Row {
            id: record.id,
            phone_number: &record.phone_number,
            security_code: record.security_code.reveal(),
            session_token: &record.session_token,
            is_verified: record.is_verified,
            is_valid: !record.is_expired(lifetime, now),
            failed_attempts: record.failed_attempts,
            created_at: record.created_at,
            modified_at: record.modified_at,
            expires_at: record.expires_at(lifetime),
            delivery: *delivery,
        };
        match &mut self.rows {
            Rows::Text { table, has_heading } => {
                let columns = row.columns(self.is_wide);
                if !std::mem::replace(has_heading, true) {
                    table.set_header(columns.iter().map(|(name, _)| *name));
                }
                table.add_row(columns.into_iter().map(|column| cell(column, self.has_colors)));
            }
            Rows::Json(bytes) => {
                serde_json::to_writer(&mut *bytes, &row).expect(MEMORY_TAKES_ALL);
                bytes.push(b'\n');
            }
            Rows::Csv(csv) => csv.serialize(row).expect(MEMORY_TAKES_ALL),
        }
    }

    /// Returns what the records since the last page look like.
    pub fn finish_page(&mut self) -> Vec<u8> {
        match &mut self.rows {
            Rows::Text { table, .. } => {
                let page = std::mem::replace(table, new_table());
                page.lines()
                    .flat_map(|line| [line.trim_end(), "\n"].concat().into_bytes())
                    .collect()
            }
            Rows::Json(bytes) => std::mem::take(bytes),
            Rows::Csv(csv) => {
                std::mem::replace(csv, new_csv()).into_inner().expect(MEMORY_TAKES_ALL)
            }
        }
    }
}

const MEMORY_TAKES_ALL: &str = "writing to memory does not fail";

fn new_csv() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

impl Row<'_> {
    /// Returns the columns of the Django admin, by name; `is_wide` adds id, expires_at and delivery.
    fn columns(&self, is_wide: bool) -> Vec<(&'static str, String)> {
        let mut columns = vec![
            ("phone_number", without_controls(self.phone_number.as_str())),
            ("security_code", without_controls(self.security_code)),
            ("is_verified", self.is_verified.to_string()),
            ("is_valid", self.is_valid.to_string()),
            ("failed_attempts", self.failed_attempts.to_string()),
            ("created_at", local_time(self.created_at)),
        ];
        if is_wide {
            columns.insert(0, ("id", self.id.to_string()));
            columns.push(("expires_at", local_time(self.expires_at)));
            columns.push(("delivery", self.delivery.map_or("", DeliveryState::as_str).to_owned()));
        }
        columns
    }
}

fn cell((name, text): (&str, String), has_colors: bool) -> Cell {
    let color = if text == "true" { Color::Green } else { Color::Red };
    let cell = Cell::new(text);
    match name {
        "failed_attempts" => cell.set_alignment(CellAlignment::Right),
        "is_valid" if has_colors => cell.fg(color),
        _ => cell,
    }
}
