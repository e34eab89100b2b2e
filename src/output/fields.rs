//! Lines of CSV, and results as CSV: the fields of their JSON.

use serde::Serialize;
use serde_json::{Map, Value};

/// Why writing to memory has no error.
pub(super) const MEMORY_TAKES_ALL: &str = "writing to memory can't fail";

/// Returns a line of CSV (RFC 4180), with its line end.
pub fn csv_line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(fields).expect(MEMORY_TAKES_ALL);
    let line = csv.into_inner().expect(MEMORY_TAKES_ALL);
    String::from_utf8(line).expect("the fields are text")
}

/// Returns the line of CSV with the fields of these names of a result's JSON. Fields of an object in it count as its own.
pub(super) fn csv_line_of(columns: &[&str], result: &impl Serialize) -> String {
    let json = serde_json::to_value(result).expect("the types of results fit into JSON");
    let object = json.as_object().expect("a result is an object");
    let fields: Vec<_> = columns.iter().map(|name| text(find(object, name))).collect();
    csv_line(fields.iter().map(String::as_str))
}

fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let inner = || object.values().find_map(|value| find(value.as_object()?, name));
    object.get(name).or_else(inner)
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_json_in_the_order_of_the_columns() {
        let result = serde_json::json!({
            "number": "+1", "line": 3, "note": null, "error": {"code": "30003", "words": "a \"b\",\nc"}
        });
        let columns = ["line", "number", "code", "words", "note", "absent"];
        assert_eq!(csv_line_of(&columns, &result), "3,+1,30003,\"a \"\"b\"\",\nc\",,\n");
    }
}
