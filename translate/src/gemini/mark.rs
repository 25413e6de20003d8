//! Thought signatures: from the part that carried one, through a reasoning item, back to the same part.
//!
//! The API puts a `thoughtSignature` on a part of its answer: on the first call of a step, or on the last text, which may be
//! empty. It wants it back on exactly this part, and forbids merging parts of which one is signed
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>). The Responses protocol has no place for it but
//! `encrypted_content`, so each signature becomes one sealed value:
//!
//! - `{"on":"call","id":…,"signature":…}` stands before its call; without an id, it belongs to the next one.
//! - `{"on":"text","start":…,"end":…,"signature":…}` stands right after its message, and says which bytes of the message's text
//!   the signed part was.
//! - `{"on":"empty","signature":…}` stands where an empty text was signed without a message that it could end.
//! - `{"on":"thought","start":…,"end":…,"signature":…}` does the same for the summary of its own reasoning item.
//!
//! A mark whose part is not there any more, because the caller changed the text or moved items, is left out: a signature
//! on another part would be refused. So is the mark of a text whose answer was cut short: the message must stay open for the
//! lifecycle to call it incomplete.
//!
//! Invariant: putting marks back never changes a text.

use serde_json::{Value, json};

/// A signature and the part that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The part.
    pub on: On,
    /// The signature, base64 that only the provider reads.
    pub signature: String,
}

/// The part of an answer that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum On {
    /// Bytes of the message before.
    Text(Span),
    /// Bytes of the item's own summary.
    Thought(Span),
    /// A call, by its id; without, the next one.
    Call(Option<String>),
    /// An empty text on its own.
    Empty,
}

/// Bytes of a text, `end` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Mark {
    /// As the value that is sealed.
    pub fn to_value(&self) -> Value {
        let signature = &self.signature;
        match &self.on {
            On::Text(Span { start, end }) => {
                json!({"on": "text", "start": start, "end": end, "signature": signature})
            }
            On::Thought(Span { start, end }) => {
                json!({"on": "thought", "start": start, "end": end, "signature": signature})
            }
            On::Call(Some(id)) => json!({"on": "call", "id": id, "signature": signature}),
            On::Empty => json!({"on": "empty", "signature": signature}),
            On::Call(None) => json!({"on": "call", "signature": signature}),
        }
    }

    /// From a sealed value; none if it is no mark, since callers can write what they like.
    pub fn from_value(value: &Value) -> Option<Self> {
        let signature = value.get("signature")?.as_str()?.to_owned();
        let on = match value.get("on")?.as_str()? {
            "text" => On::Text(Span::from_value(value)?),
            "thought" => On::Thought(Span::from_value(value)?),
            "call" => On::Call(value.get("id").and_then(Value::as_str).map(str::to_owned)),
            "empty" => On::Empty,
            _ => return None,
        };
        Some(Self { on, signature })
    }
}

impl Span {
    fn from_value(value: &Value) -> Option<Self> {
        let number = |name: &str| usize::try_from(value.get(name)?.as_u64()?).ok();
        Some(Self { start: number("start")?, end: number("end")? })
    }
}

/// A text cut where its signed parts begin and end. Where a mark does not fit, the text is whole and unsigned.
pub(super) fn cut<'a>(text: &'a str, marks: &[(Span, &'a str)]) -> Vec<(&'a str, Option<&'a str>)> {
    cut_all(text, marks).unwrap_or_else(|| vec![(text, None)])
}

fn cut_all<'a>(text: &'a str, marks: &[(Span, &'a str)]) -> Option<Vec<(&'a str, Option<&'a str>)>> {
    let mut pieces = Vec::with_capacity(marks.len() * 2 + 1);
    let mut at = 0;
    for (span, signature) in marks {
        let unsigned = text.get(at..span.start)?;
        if !unsigned.is_empty() {
            pieces.push((unsigned, None));
        }
        pieces.push((text.get(span.start..span.end)?, Some(*signature)));
        at = span.end;
    }
    let rest = text.get(at..)?;
    if !rest.is_empty() {
        pieces.push((rest, None));
    }
    Some(pieces)
}
