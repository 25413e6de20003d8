//! The texts in a JSON value that people (or models) wrote, as against those that only machines read: found in one pass.
//!
//! Pure. Invariant: every byte is looked at once, and what is not a text of that kind is not touched; a member is left out
//! only because its name says that no text of anybody's is in it.

use serde_json::Value;
use std::{borrow::Cow, ops::Range};

/// Deepest nesting that is walked; what is deeper is refused elsewhere, too.
const DEPTH_MAX: usize = 128;
/// Members of items whose values are words of the protocol, ids, or data that is no text.
const OF_MACHINES: [&str; 20] = [
    "call_id",
    "detail",
    "encrypted_content",
    "file_data",
    "file_id",
    "file_url",
    "finish_reason",
    "format",
    "id",
    "image_url",
    "input_audio",
    "item_id",
    "name",
    "object",
    "phase",
    "role",
    "signature",
    "status",
    "tool_call_id",
    "type",
];
/// The member that holds JSON in a text: a tool's arguments, as a model writes them.
const JSON_IN_A_TEXT: &str = "arguments";

/// A text, or a number.
#[derive(Debug)]
pub struct Found<'a> {
    /// Where it stands, quotes included.
    pub range: Range<usize>,
    /// What it says.
    pub text: Cow<'a, str>,
    /// Whether it is a text that holds JSON.
    pub holds_json: bool,
    /// Whether it is a number.
    pub is_number: bool,
}

/// Whose the names of the members are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The protocol's.
    Known,
    /// Anybody's: none of them says anything.
    Free,
}

/// The value is nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nested too deeply")]
pub struct TooDeep;

/// What stands in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Json,
    Machine,
}

/// An array or object that is not over.
#[derive(Debug, Clone, Copy)]
struct Frame {
    is_object: bool,
    name_is_next: bool,
    /// Of the object or array itself.
    kind: Kind,
    /// Of the member that is read.
    member: Kind,
}

/// Calls `each` for every text and number of a JSON text, in order.
///
/// # Errors
/// [`TooDeep`] beyond 128 levels.
pub fn each<'a>(json: &'a str, names: Names, mut each: impl FnMut(Found<'a>)) -> Result<(), TooDeep> {
    let bytes = json.as_bytes();
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let from = at;
        let kind = frames.last().map_or(Kind::Text, |frame| frame.member);
        at += 1;
        match byte {
            b'{' | b'[' if frames.len() >= DEPTH_MAX => return Err(TooDeep),
            b'{' | b'[' => {
                let is_object = byte == b'{';
                frames.push(Frame { is_object, name_is_next: is_object, kind, member: kind });
            }
            b'}' | b']' => {
                frames.pop();
            }
            b',' => {
                if let Some(frame) = frames.last_mut() {
                    frame.name_is_next = frame.is_object;
                }
            }
            b'"' => {
                at = end_of_text(bytes, at);
                let raw = json.get(from + 1..at.saturating_sub(1)).unwrap_or_default();
                match frames.last_mut().filter(|frame| frame.name_is_next) {
                    Some(frame) => {
                        frame.name_is_next = false;
                        frame.member = member(frame.kind, &decoded(raw), names);
                    }
                    None if kind == Kind::Machine => {}
                    None => each(Found {
                        range: from..at,
                        text: decoded(raw),
                        holds_json: kind == Kind::Json,
                        is_number: false,
                    }),
                }
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                at += bytes.iter().skip(at).take_while(|byte| is_part(byte)).count();
                if kind != Kind::Machine {
                    let text = Cow::Borrowed(json.get(from..at).unwrap_or_default());
                    each(Found { range: from..at, text, holds_json: false, is_number: true });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn member(of: Kind, name: &str, names: Names) -> Kind {
    match of {
        Kind::Machine => Kind::Machine,
        _ if names == Names::Free => Kind::Text,
        _ if OF_MACHINES.binary_search(&name).is_ok() => Kind::Machine,
        _ if name == JSON_IN_A_TEXT => Kind::Json,
        _ => Kind::Text,
    }
}

/// Behind the closing quote of the text that begins at `at`.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn decoded(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    // Half a surrogate is no text; what is around it is looked at as it is written.
    serde_json::from_str(&format!("\"{raw}\"")).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// The text with some ranges replaced by others, which are JSON.
#[must_use]
pub fn replaced(json: &str, edits: &[(Range<usize>, String)]) -> String {
    let mut all = String::with_capacity(json.len());
    let mut at = 0;
    for (range, text) in edits {
        all.push_str(json.get(at..range.start).unwrap_or_default());
        all.push_str(text);
        at = range.end;
    }
    all.push_str(json.get(at..).unwrap_or_default());
    all
}

/// A text as JSON.
#[must_use]
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn all(json: &str, names: Names) -> Vec<String> {
        let mut found = Vec::new();
        each(json, names, |one| found.push(one.text.into_owned())).unwrap();
        found
    }

    #[test]
    fn the_names_of_machines_are_sorted_for_the_search() {
        assert!(OF_MACHINES.is_sorted());
    }

    #[test]
    fn texts_are_found_at_any_depth_and_those_of_machines_are_not() {
        let cases = [
            (json!("plain"), vec!["plain"]),
            (json!(["a", ["b"], {"content": "c"}]), vec!["a", "b", "c"]),
            (
                json!([{"type": "message", "role": "user", "id": "x", "content": [{"type": "input_text", "text": "t"}]}]),
                vec!["t"],
            ),
            (
                json!([{"type": "input_image", "image_url": "data:x"}, {"image_url": {"url": "data:y"}}]),
                vec![],
            ),
            (json!([{"output": {"role": "x", "deep": ["o"]}, "extra": "e"}]), vec!["e", "o"]),
            (json!([{"arguments": "{\"a\":1}", "call_id": "c"}]), vec!["{\"a\":1}"]),
            (json!([1, -2.5e3, "x\"\\\u{e9}\n"]), vec!["1", "-2500.0", "x\"\\\u{e9}\n"]),
            (json!({}), vec![]),
        ];
        for (value, mut expected) in cases {
            let mut found = all(&value.to_string(), Names::Known);
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "{value}");
        }
        assert_eq!(all(r#"{"type":"a","id":["b"]}"#, Names::Free), ["a", "b"]);
    }

    #[test]
    fn a_bomb_is_an_error() {
        assert_eq!(each(&"[".repeat(1_000_000), Names::Known, |_| {}), Err(TooDeep));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_ranges_are_those_of_the_texts(texts in proptest::collection::vec(".{0,8}", 0..6)) {
            let json = json!({"a": texts, "b": {"c": texts}}).to_string();
            let mut found = Vec::new();
            let mut edits = Vec::new();
            each(&json, Names::Known, |one| {
                edits.push((one.range.clone(), json[one.range].to_owned()));
                found.push(one.text.into_owned());
            }).unwrap();
            prop_assert_eq!(found, [texts.clone(), texts].concat());
            prop_assert_eq!(replaced(&json, &edits), json);
        }

        #[test]
        fn whatever_comes_is_walked(text in "\\PC{0,64}") {
            let _ = each(&text, Names::Known, |one| assert!(one.range.end <= text.len()));
        }
    }
}
