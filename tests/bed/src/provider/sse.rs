//! Events as bytes, in all the ways that the specification of server-sent events allows.

use super::answer::Event;
use super::knobs::{Eol, Knobs};

/// The bytes of one event, its closing blank line included unless it is the last and the knobs say so.
pub(super) fn encode(event: &Event, knobs: &Knobs, first: bool, last: bool) -> Vec<u8> {
    let data = if Knobs::on(knobs.invalid_json) && event.is_delta {
        "{\"delta\": not json".to_owned()
    } else {
        event.data.to_string()
    };
    let mut lines = Vec::new();
    if Knobs::on(knobs.comments) {
        lines.extend([": a comment between events".to_owned(), String::new(), ": one before".to_owned()]);
    }
    if Knobs::on(knobs.non_event_lines) {
        lines.extend(["unknown: field".to_owned(), "retry: 3000".to_owned()]);
    }
    if let Some(name) = event.name.filter(|_| !Knobs::on(knobs.drop_event_lines)) {
        lines.push(format!("event: {name}"));
    }
    if Knobs::on(knobs.comments) {
        lines.push(":a comment inside an event".to_owned());
    }
    if Knobs::on(knobs.non_event_lines) {
        lines.push("neither".to_owned());
    }
    lines.push(format!("data: {data}"));
    if !(last && Knobs::on(knobs.no_final_blank_line)) {
        lines.push(String::new());
    }
    bytes(&lines, knobs, first)
}

/// `data: [DONE]`, which some providers send last.
pub(super) fn done_marker(knobs: &Knobs) -> Vec<u8> {
    bytes(&["data: [DONE]".to_owned(), String::new()], knobs, false)
}

fn bytes(lines: &[String], knobs: &Knobs, first: bool) -> Vec<u8> {
    let eol = match knobs.eol.unwrap_or_default() {
        Eol::Lf => "\n",
        Eol::Crlf => "\r\n",
        Eol::Cr => "\r",
    };
    let mut text = String::new();
    if first && Knobs::on(knobs.bom) {
        text.push('\u{feff}');
    }
    for line in lines {
        text.push_str(line);
        text.push_str(eol);
    }
    text.into_bytes()
}
