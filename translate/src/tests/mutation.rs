//! Changes the corpus at random: bytes, pieces, and values within JSON, where types are confused soonest.

use super::corpus::Sample;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

/// Most changes of one input.
const CHANGES_MAX: usize = 6;
/// Bytes that parsers trip over.
const WORDS: &[&[u8]] = &[
    b"\n\n",
    b"\r",
    b"data: ",
    b"event: ",
    b"data: [DONE]\n\n",
    b"null",
    b"{}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\xff",
    b"\xef\xbb\xbf",
    b",",
    b":",
];

/// One change, at places that fit any input.
#[derive(Debug, Clone)]
enum Change {
    Drop(Index, Index),
    Twice(Index, Index),
    Byte(Index, u8),
    Word(Index, usize),
    Cut(Index),
    /// The rest is another sample's.
    Splice(Index, Index, Index),
    /// A line's JSON, or the whole input's, has another value somewhere.
    Value(Index, Index, Value),
    /// A line comes again, or a line is left out.
    Line(Index, bool),
}

/// An input, shown as text where a test fails.
#[derive(Clone)]
pub(super) struct Input(pub(super) Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Inputs near those of the corpus.
pub(super) fn mutated(samples: Vec<Sample>) -> impl Strategy<Value = Input> {
    (any::<Index>(), prop::collection::vec(change(), 0..CHANGES_MAX)).prop_map(move |(which, changes)| {
        let start = which.get(&samples).bytes.clone();
        Input(changes.iter().fold(start, |bytes, change| changed(bytes, change, &samples)))
    })
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), at()).prop_map(|(from, to)| Change::Drop(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Twice(from, to)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => (at(), 0..WORDS.len()).prop_map(|(at, word)| Change::Word(at, word)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        6 => (at(), at(), value()).prop_map(|(line, node, value)| Change::Value(line, node, value)),
        2 => (at(), any::<bool>()).prop_map(|(line, again)| Change::Line(line, again)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0), Just(-1), Just(i64::MAX), 0_i64..5].prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(String::new()), "[a-z_]{1,9}", any::<String>()].prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"type": "text", "text": "a"}])),
        Just(json!([[[[[[[[null]]]]]]]])),
    ]
}

fn changed(mut bytes: Vec<u8>, change: &Change, samples: &[Sample]) -> Vec<u8> {
    let length = bytes.len() + 1;
    let range = |from: &Index, to: &Index| {
        let (from, to) = (from.index(length), to.index(length));
        from.min(to)..from.max(to)
    };
    match change {
        Change::Drop(from, to) => drop(bytes.drain(range(from, to))),
        Change::Twice(from, to) => {
            let range = range(from, to);
            let again = bytes[range.clone()].to_vec();
            bytes.splice(range.start..range.start, again);
        }
        Change::Byte(at, byte) => {
            if let Some(place) = bytes.get_mut(at.index(length)) {
                *place = *byte;
            }
        }
        Change::Word(at, word) => {
            let at = at.index(length);
            bytes.splice(at..at, WORDS[*word].iter().copied());
        }
        Change::Cut(at) => bytes.truncate(at.index(length)),
        Change::Splice(at, other, from) => {
            let other = &other.get(samples).bytes;
            bytes.truncate(at.index(length));
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
        Change::Value(line, node, value) => return with_value(&bytes, line, node, value).unwrap_or(bytes),
        Change::Line(line, again) => {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            if !lines.is_empty() {
                let at = line.index(lines.len());
                if *again {
                    lines.insert(at, lines[at]);
                } else {
                    lines.remove(at);
                }
            }
            return lines.concat();
        }
    }
    bytes
}

fn with_value(bytes: &[u8], line: &Index, node: &Index, value: &Value) -> Option<Vec<u8>> {
    if let Ok(document) = serde_json::from_slice(bytes) {
        return Some(replaced(document, node, value).into_bytes());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let of_line = |line: &str| serde_json::from_str(line.strip_prefix("data: ")?.trim()).ok();
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let documents: Vec<(usize, Value)> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((at, of_line(line)?))).collect();
    let (at, document) = documents.get(line.index(documents.len().max(1)))?.clone();
    lines[at] = format!("data: {}", replaced(document, node, value));
    Some(lines.join("\n").into_bytes())
}

/// The document with another value at one of its nodes.
fn replaced(mut document: Value, node: &Index, value: &Value) -> String {
    let mut left = node.index(nodes(&document));
    if let Some(place) = find(&mut document, &mut left) {
        *place = value.clone();
    }
    document.to_string()
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|value| find(value, left)),
        Value::Object(members) => members.values_mut().find_map(|value| find(value, left)),
        _ => None,
    }
}
