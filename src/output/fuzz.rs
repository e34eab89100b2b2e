//! Fuzz target of what a terminal is shown.

use anstyle::AnsiColor;

use super::fields::csv_line;
use super::screen::Screen;
use super::table::{Cell, Table};
use super::text::{
    ISOLATES, csv_without_controls, json_without_controls, on_one_line, without_controls,
};
use crate::model::fuzz::assert_harmless;
use crate::model::words;

const WIDTHS: [Option<usize>; 5] = [None, Some(1), Some(20), Some(33), Some(80)];

/// A terminal does nothing with any text of a provider, a file or a row but show it, and shows all of it.
pub(crate) fn terminal(text: &str) {
    for line in [on_one_line(text), words(text)] {
        assert_harmless(&line);
        assert!(!line.contains('\n'), "{line:?}");
    }
    let json = json_without_controls(&serde_json::to_string(text).expect("a text"));
    assert_harmless(&json);
    assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);

    let csv = csv_without_controls(&csv_line([text, "behind"]));
    assert_harmless(&csv);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let records: Vec<_> = reader.records().collect::<Result<_, _>>().expect("CSV");
    assert_eq!(records.len(), 1, "{csv:?}");
    assert_eq!(&records[0][1], "behind");

    for width in WIDTHS {
        let screen = |has_colors| Screen { is_terminal: true, has_colors, width, height: None };
        let plain = screen(false);
        let shown = plain.fit(text);
        assert_harmless(&shown);
        assert_eq!(ink(&shown), ink(&without_controls(text)));
        for is_last in [false, true] {
            let page = page(text, is_last, &plain);
            assert!(ink(&page).contains(&ink(&on_one_line(text))), "{page:?}");
            assert_harmless(&page);
            // A blank at the end of a line may be within a style.
            let styled = without_styles(&self::page(text, is_last, &screen(true)));
            let ends_cut = |page: &str| -> Vec<_> {
                page.lines().map(|it| it.trim_end().to_owned()).collect()
            };
            assert_eq!(ends_cut(&styled), ends_cut(&page));
        }
    }
}

/// Returns a table with `text` in it, as prose if it is in the last column, without what isolates its cells from each other.
fn page(text: &str, is_last: bool, screen: &Screen) -> String {
    let mut table = Table::new(["first_name", "last_name"].map(str::to_owned).into(), screen);
    let style = AnsiColor::Red.on_default();
    for number in ["1", "電話 2"] {
        let (cell, other) = (Cell::new(text, screen).styled(style), Cell::new(number, screen));
        table.add(if is_last { vec![other, cell.prose()] } else { vec![cell, other] });
    }
    table.finish_page().replace(ISOLATES, "")
}

/// Returns what can be seen of `text`.
fn ink(text: &str) -> String {
    text.split_whitespace().collect()
}

fn without_styles(page: &str) -> String {
    let mut parts = page.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |page, part| page + part.split_once('m').expect("the end of a style").1)
}
