//! Records as a table, as JSON Lines and as CSV.

use anstyle::AnsiColor;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::fields::MEMORY_TAKES_ALL;
use super::format::Format;
use super::screen::Screen;
use super::table::{Cell, Table};
use super::text::{csv_without_controls, json_without_controls};
use super::time::{MINUTES, SECONDS, format_time};
use crate::model::{DeliveryState, ListedRecord, PhoneNumber, SessionToken, timestamp};

/// Turns records into bytes for stdout, page by page, and doesn't keep a finished page.
pub struct RecordWriter {
    rows: Rows,
    is_wide: bool,
    screen: Screen,
}

enum Rows {
    Text(Table),
    Json(Vec<u8>),
    Csv(Box<csv::Writer<Vec<u8>>>),
}

/// The terminal columns that the table needs with seconds and with its headings on one line.
const ROOM_FOR_SECONDS: usize = 102;

/// A record in the form for scripts.
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

/// The names of the fields of [`Row`], which are printed even if there are no records. A test compares them.
const HEADING: &str = "id,phone_number,security_code,session_token,is_verified,is_valid,\
    failed_attempts,created_at,modified_at,expires_at,delivery\n";

impl RecordWriter {
    pub(super) fn new(format: Format, is_wide: bool, screen: Screen) -> Self {
        let rows = match format {
            Format::Text => Rows::Text(Table::new(&screen)),
            Format::Json => Rows::Json(Vec::new()),
            Format::Csv => Rows::Csv(Box::new(csv_after(HEADING))),
        };
        Self { rows, is_wide, screen }
    }

    /// Adds a record. Its code lives for `lifetime`, and is valid or expired at `now`.
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
            Rows::Text(table) => table.add(row.cells(self.is_wide, now, &self.screen)),
            Rows::Json(bytes) => {
                serde_json::to_writer(&mut *bytes, &row).expect(MEMORY_TAKES_ALL);
                bytes.push(b'\n');
            }
            Rows::Csv(csv) => csv.serialize(row).expect(MEMORY_TAKES_ALL),
        }
    }

    /// Returns the records added since the last page. Scripts get every value unchanged, a terminal nothing that could control it.
    pub fn finish_page(&mut self) -> Vec<u8> {
        let (page, clean): (_, fn(&str) -> String) = match &mut self.rows {
            Rows::Text(table) => return table.finish_page().into_bytes(),
            Rows::Json(bytes) => (std::mem::take(bytes), json_without_controls),
            Rows::Csv(csv) => {
                let csv = std::mem::replace(&mut **csv, csv_after(""));
                (csv.into_inner().expect(MEMORY_TAKES_ALL), csv_without_controls)
            }
        };
        if !self.screen.is_terminal {
            return page;
        }
        clean(str::from_utf8(&page).expect("records are text")).into_bytes()
    }
}

fn csv_after(start: &str) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(start.into())
}

impl Row<'_> {
    /// Returns the columns of the Django admin; `is_wide` adds id, expires_at and delivery.
    fn cells(&self, is_wide: bool, now: DateTime<Utc>, screen: &Screen) -> Vec<Cell> {
        let cell = |name, text: &str| Cell::new(name, text, screen);
        // Seconds are the first thing to leave out on a narrow terminal. The distance shows them if they matter.
        let is_scarce = !is_wide && screen.width.is_some_and(|width| width < ROOM_FOR_SECONDS);
        let format = if is_scarce { MINUTES } else { SECONDS };
        let time = |name, time| cell(name, &format_time(format, time, now));
        let color = if self.is_valid { AnsiColor::Green } else { AnsiColor::Red };
        let mut cells = Vec::new();
        if is_wide {
            cells.push(cell("id", &self.id.to_string()));
        }
        cells.extend([
            cell("phone_number", self.phone_number.as_str()),
            cell("security_code", self.security_code),
            cell("is_verified", &self.is_verified.to_string()),
            cell("is_valid", &self.is_valid.to_string()).styled(color.on_default()),
            cell("failed_attempts", &self.failed_attempts.to_string()).number(),
            time("created_at", self.created_at),
        ]);
        if is_wide {
            cells.push(time("expires_at", self.expires_at));
            cells.push(cell(
                "delivery",
                &self.delivery.map_or_else(String::new, |state| state.to_string()),
            ));
        }
        cells
    }
}
