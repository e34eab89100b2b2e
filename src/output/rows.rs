//! Lists of rows as a table, as JSON Lines and as CSV, in chosen columns.

use std::borrow::Cow;

use anstyle::AnsiColor;
use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::fields::MEMORY_TAKES_ALL;
use super::format::Format;
use super::screen::Screen;
use super::table::{Cell, Table};
use super::text::{csv_without_controls, json_without_controls};
use super::time::{MINUTES, SECONDS, format_time};
use crate::model::timestamp::to_rfc3339;
use crate::model::{distance, grouped};

/// The value of a row in one column.
pub enum Value<'a> {
    /// Nothing: `null` in JSON, empty elsewhere.
    None,
    /// Nothing, which people see as these words.
    Unnamed(&'static str),
    /// A text.
    Text(Cow<'a, str>),
    /// Whole sentences, which may take several lines of a table. Their column has to be the last one there.
    Prose(Cow<'a, str>),
    /// A yes or no.
    Flag(bool),
    /// The id of a row.
    Id(i64),
    /// A whole number, with groups of digits for people.
    Count(u64),
    /// A share of one: a percentage for people.
    Share(f64),
    /// A share of one: a bar for people.
    Bar(f64),
    /// A time.
    Time(DateTime<Utc>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Value<'_> {
    fn from(id: i64) -> Self {
        Self::Id(id)
    }
}

impl From<u32> for Value<'_> {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(time)
    }
}

/// The columns of a list. Their names are those of the fields in JSON.
pub trait Column: ValueEnum + Copy {
    /// A row of the list.
    type Row: Send;

    /// Returns the name of the column.
    fn name(self) -> String {
        self.to_possible_value().expect("no column is hidden").get_name().to_owned()
    }

    /// Returns the value of `row` in this column.
    fn value(self, row: &Self::Row) -> Value<'_>;

    /// Returns the colour of the value for people, if it has one. The value means the same without it.
    fn color(self, _row: &Self::Row) -> Option<AnsiColor> {
        None
    }
}

/// Turns rows into bytes for stdout, page by page, and doesn't keep a finished page.
pub struct RowWriter<C> {
    columns: Vec<(C, String)>,
    page: Page,
    screen: Screen,
    /// The time from which people see how far others are.
    now: DateTime<Utc>,
}

enum Page {
    Text(Table),
    Json(Vec<u8>),
    Csv(Box<csv::Writer<Vec<u8>>>),
}

/// The longest bar, in halves of a terminal column.
const BAR_HALVES: f64 = 20.0;

impl<C: Column> RowWriter<C> {
    pub(super) fn new(format: Format, columns: Vec<C>, screen: Screen, now: DateTime<Utc>) -> Self {
        let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
        let page = match format {
            Format::Text => Page::Text(Table::new(names.clone(), &screen)),
            Format::Json => Page::Json(Vec::new()),
            Format::Csv => {
                let mut csv = csv_writer();
                csv.write_record(&names).expect(MEMORY_TAKES_ALL);
                Page::Csv(Box::new(csv))
            }
        };
        Self { columns: columns.into_iter().zip(names).collect(), page, screen, now }
    }

    /// Lets people see from now on how far times are from `now`.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    /// Adds a row.
    pub fn take(&mut self, row: &C::Row) {
        let values = self.columns.iter().map(|(column, name)| (name, column.value(row)));
        match &mut self.page {
            Page::Text(table) => {
                let cells = values.zip(&self.columns).map(|((_, value), (column, _))| {
                    let cell = cell(&value, self.now, &self.screen);
                    match column.color(row) {
                        Some(color) => cell.styled(color.on_default()),
                        None => cell,
                    }
                });
                table.add(cells.collect());
            }
            Page::Json(bytes) => {
                for (index, (name, value)) in values.enumerate() {
                    bytes.push(if index == 0 { b'{' } else { b',' });
                    bytes.push(b'"');
                    bytes.extend(name.as_bytes());
                    bytes.extend(b"\":");
                    write_json(bytes, &value);
                }
                bytes.extend(b"}\n");
            }
            Page::Csv(csv) => {
                for (_, value) in values {
                    csv.write_field(field(&value).as_bytes()).expect(MEMORY_TAKES_ALL);
                }
                csv.write_record(None::<&[u8]>).expect(MEMORY_TAKES_ALL);
            }
        }
    }

    /// Returns the rows added since the last page. Scripts get every value unchanged, a terminal nothing that could control it.
    pub fn finish_page(&mut self) -> Vec<u8> {
        let (page, clean): (_, fn(&str) -> String) = match &mut self.page {
            Page::Text(table) => return table.finish_page().into_bytes(),
            Page::Json(bytes) => (std::mem::take(bytes), json_without_controls),
            Page::Csv(csv) => {
                let csv = std::mem::replace(&mut **csv, csv_writer());
                (csv.into_inner().expect(MEMORY_TAKES_ALL), csv_without_controls)
            }
        };
        if !self.screen.is_terminal {
            return page;
        }
        clean(str::from_utf8(&page).expect("rows are text")).into_bytes()
    }
}

fn csv_writer() -> csv::Writer<Vec<u8>> {
    csv::Writer::from_writer(Vec::new())
}

fn cell(value: &Value<'_>, now: DateTime<Utc>, screen: &Screen) -> Cell {
    match value {
        Value::Prose(text) => Cell::new(text, screen).prose(),
        Value::Id(_) => Cell::new(&field(value), screen).number(),
        Value::Count(count) => Cell::new(&grouped(*count), screen).number(),
        Value::Share(share) => Cell::new(&format!("{:.0} %", share * 100.0), screen).number(),
        Value::Unnamed(words) => Cell::new(words, screen),
        Value::Bar(share) => Cell::new(&bar(*share), screen),
        Value::Time(time) => {
            let cell = Cell::new(&format_time(SECONDS, *time, now), screen);
            match screen.width {
                None => cell,
                Some(_) => {
                    cell.or_shorter([format_time(MINUTES, *time, now), distance(*time, now)])
                }
            }
        }
        _ => Cell::new(&field(value), screen),
    }
}

/// Returns a bar that is as long as `share` of the longest one; any share but 0 shows. Fonts of every terminal have its characters.
fn bar(share: f64) -> String {
    let halves = (share * BAR_HALVES).ceil() as usize;
    "█".repeat(halves / 2) + if halves % 2 == 1 { "▌" } else { "" }
}

/// Returns the value as a field of CSV.
fn field<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::None | Value::Unnamed(_) => "".into(),
        Value::Text(text) | Value::Prose(text) => text.as_ref().into(),
        Value::Flag(flag) => if *flag { "true" } else { "false" }.into(),
        Value::Id(id) => id.to_string().into(),
        Value::Count(count) => count.to_string().into(),
        Value::Share(share) | Value::Bar(share) => rounded(*share).to_string().into(),
        Value::Time(time) => to_rfc3339(*time).into(),
    }
}

fn write_json(bytes: &mut Vec<u8>, value: &Value<'_>) {
    let text = match value {
        Value::None | Value::Unnamed(_) => return bytes.extend(b"null"),
        Value::Flag(_) | Value::Id(_) | Value::Count(_) | Value::Share(_) | Value::Bar(_) => {
            return bytes.extend(field(value).as_bytes());
        }
        Value::Text(_) | Value::Prose(_) | Value::Time(_) => field(value),
    };
    serde_json::to_writer(bytes, &text).expect(MEMORY_TAKES_ALL);
}

/// Returns `share` to four decimals.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_any_share_shows() {
        for (share, expected) in
            [(0.0, ""), (0.0001, "▌"), (0.05, "▌"), (0.1, "█"), (0.12, "█▌"), (1.0, "██████████")]
        {
            assert_eq!(bar(share), expected, "{share}");
        }
    }
}
