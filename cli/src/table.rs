//! Tables for people. What the server sent is shown without control characters: a name cannot command the terminal.

use chrono::{DateTime, Utc};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value;

/// One column: its title, and what it shows of a row.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// A table with a header.
pub(crate) fn table(columns: &[Column], rows: &[Value]) -> String {
    let cells = |row: &Value| columns.iter().map(|(_, show)| show(row)).collect::<Vec<_>>();
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    lines(Some(titles), rows.iter().map(cells))
}

/// The members of one object, a line each.
pub(crate) fn record(value: &Value) -> String {
    let Value::Object(members) = value else { return text(value) };
    let shown = members.iter().filter(|(_, value)| !value.is_null());
    lines(None, shown.map(|(name, value)| vec![format!("{name}:"), text(value)]))
}

/// Rows of texts in columns; numbers stand at the right of theirs.
pub(crate) fn lines(titles: Option<Vec<String>>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(titles) = titles {
        table.set_header(titles);
    }
    for row in rows {
        table.add_row(row.into_iter().map(cell));
    }
    for column in table.column_iter_mut() {
        let start = if column.index == 0 { 0 } else { 1 };
        column.set_padding((start, 1));
    }
    table.trim_fmt()
}

fn cell(text: String) -> Cell {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let cell = Cell::new(text);
    if is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
}

/// A text as it may be shown: without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// A value in a cell.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => time(text).unwrap_or_else(|| plain(text)),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(text_of_item).collect::<Vec<_>>().join(",")
        }
        other => plain(&other.to_string()),
    }
}

fn text_of_item(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), plain)
}

/// A time, to the second.
fn time(text: &str) -> Option<String> {
    let at: DateTime<Utc> = text.parse().ok().filter(|_| text.contains('T'))?;
    Some(at.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The time of a number of seconds since 1970.
pub(crate) fn unix(value: &Value) -> String {
    let at = value.as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    at.map_or_else(|| "-".into(), |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Millionths of a dollar as dollars.
pub(crate) fn dollars(value: &Value) -> String {
    let micros = value.as_i64().unwrap_or_default();
    format!("{}.{:06}", micros / 1_000_000, micros.rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_sent_cannot_command_the_terminal() {
        assert_eq!(plain("a\x1b[2J\u{9b}b\r\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}\n");
        assert!(!record(&json!({"name": "\x1b]0;x\x07"})).contains('\x1b'));
    }

    #[test]
    fn cells_are_short() {
        let cases = [
            (json!("2026-01-02T03:04:05.678901Z"), "2026-01-02 03:04:05Z"),
            (json!(["a", 1]), "a,1"),
            (json!(null), "-"),
            (json!({"a": 1}), "{\"a\":1}"),
            (json!(true), "true"),
        ];
        for (value, shown) in cases {
            assert_eq!(text(&value), shown);
        }
        assert_eq!(dollars(&json!(1_500_000)), "1.500000");
        assert_eq!(unix(&json!(0)), "1970-01-01 00:00:00Z");
    }

    #[test]
    fn a_table_has_a_header_and_a_line_a_row() {
        let columns: [Column; 2] = [("NAME", |row| text(&row["name"])), ("SIZE", |row| text(&row["size"]))];
        let shown = table(&columns, &[json!({"name": "a", "size": 5}), json!({"name": "long", "size": 50})]);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["NAME  SIZE", "a        5", "long    50"]);
    }
}
