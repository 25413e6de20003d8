//! Changes a few top-level members of a JSON object and keeps every other byte as it came.
//!
//! Invariant: what is not named in an edit is copied from the original by range, so it leaves byte for byte.

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, ops::Range};

/// The text is not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// Not JSON.
    #[error("not valid JSON")]
    Malformed,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// The members of a JSON object, as ranges of its text.
#[derive(Debug)]
pub struct Members<'a> {
    text: &'a str,
    members: Vec<(Cow<'a, str>, Range<usize>)>,
    close: usize,
}

impl<'a> Members<'a> {
    /// Reads the object; the values are checked for syntax and otherwise left alone.
    ///
    /// # Errors
    /// [`SpliceError`] when the text is not JSON, or not an object.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SpliceError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SpliceError::Malformed)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = deserializer.deserialize_map(RawMembers).map_err(|_| Self::why(text))?;
        deserializer.end().map_err(|_| SpliceError::Malformed)?;
        let start = text.as_ptr() as usize;
        let members = members
            .into_iter()
            .map(|(name, value)| {
                let from = (value.as_ptr() as usize).saturating_sub(start);
                (name, from..from + value.len())
            })
            .collect();
        let close = text.rfind('}').ok_or(SpliceError::Malformed)?;
        Ok(Self { text, members, close })
    }

    fn why(text: &str) -> SpliceError {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(value) if !value.get().starts_with('{') => SpliceError::NotAnObject,
            _ => SpliceError::Malformed,
        }
    }

    /// The object's text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The value of a member, as JSON text; the last one if there are several.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (_, range) = self.members.iter().rev().find(|(other, _)| other == name)?;
        self.text.get(range.clone())
    }

    /// How often a member is there.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.members.iter().filter(|(other, _)| other == name).count()
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().filter_map(|(name, range)| Some((name.as_ref(), self.text.get(range.clone())?)))
    }

    /// The object without the members of these names; the others' values as they came.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> String {
        let mut text = String::with_capacity(self.text.len());
        for (name, value) in self.iter().filter(|(name, _)| !names.contains(name)) {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&serde_json::Value::from(name).to_string());
            text.push(':');
            text.push_str(value);
        }
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        text
    }

    /// The object with `edits` applied: a member that is there gets the new value, one that is not is appended.
    #[must_use]
    pub fn splice(&self, edits: &[(&str, String)]) -> Vec<Piece> {
        let mut replaced: Vec<(Range<usize>, &String)> = Vec::new();
        let mut appended = String::new();
        for (name, value) in edits {
            let mut there = false;
            for (_, range) in self.members.iter().filter(|(other, _)| other == name) {
                there = true;
                replaced.push((range.clone(), value));
            }
            if !there {
                let comma = if self.members.is_empty() && appended.is_empty() { "" } else { "," };
                appended.push_str(&format!("{comma}{}:{value}", serde_json::Value::from(*name)));
            }
        }
        replaced.sort_by_key(|(range, _)| range.start);
        let mut pieces = Vec::new();
        let mut at = 0;
        for (range, value) in replaced {
            pieces.push(Piece::Kept(at..range.start));
            pieces.push(Piece::New(value.clone()));
            at = range.end;
        }
        pieces.push(Piece::Kept(at..self.close));
        if !appended.is_empty() {
            pieces.push(Piece::New(appended));
        }
        pieces.push(Piece::Kept(self.close..self.text.len()));
        pieces
    }
}

/// A part of an edited text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes of the original.
    Kept(Range<usize>),
    /// New text.
    New(String),
}

/// The edited text as one string.
#[must_use]
pub fn join(original: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut all = Vec::with_capacity(original.len());
    for piece in pieces {
        match piece {
            Piece::Kept(range) => all.extend_from_slice(original.get(range.clone()).unwrap_or_default()),
            Piece::New(text) => all.extend_from_slice(text.as_bytes()),
        }
    }
    all
}

struct RawMembers;

impl<'de> Visitor<'de> for RawMembers {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = match name.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
                _ => Cow::Owned(serde_json::from_str(name.get()).map_err(A::Error::custom)?),
            };
            members.push((name, map.next_value::<&RawValue>()?.get()));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edit(text: &str, edits: &[(&str, &str)]) -> String {
        let edits: Vec<_> = edits.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let members = Members::read(text.as_bytes()).unwrap();
        String::from_utf8(join(text.as_bytes(), &members.splice(&edits))).unwrap()
    }

    #[test]
    fn members_are_replaced_or_appended_and_the_rest_stays() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 6] = [
            ("{}", &[("a", "1")], r#"{"a":1}"#),
            ("{ }\n", &[("a", "1"), ("b", "2")], "{ \"a\":1,\"b\":2}\n"),
            (r#"{"x" : 1e999 ,"a":[ 1 ]}"#, &[("a", "null")], r#"{"x" : 1e999 ,"a":null}"#),
            (r#"{"x":"}"}"#, &[("a", "1")], r#"{"x":"}","a":1}"#),
            (r#"{"\u0061":1,"b":2}"#, &[("b", "3"), ("a", "4")], r#"{"\u0061":4,"b":3}"#),
            (r#"{"a":1,"a":2}"#, &[("a", "3")], r#"{"a":3,"a":3}"#),
        ];
        for (text, edits, expected) in cases {
            assert_eq!(edit(text, edits), expected);
        }
    }

    #[test]
    fn what_is_no_object_says_so() {
        assert_eq!(Members::read(b"[1]").unwrap_err(), SpliceError::NotAnObject);
        assert_eq!(Members::read(b" \"x\" ").unwrap_err(), SpliceError::NotAnObject);
        for text in [&b""[..], b"{", b"{\"a\":}", b"{} x", b"{\"a\":\xff}", b"{'a':1}", b"{\"a\":1,}"] {
            assert_eq!(Members::read(text).unwrap_err(), SpliceError::Malformed, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_edit_is_the_same_text(names in prop::collection::vec("\\PC{0,6}", 0..6), value in "\\PC{0,20}") {
            let mut text = String::from("{");
            for (n, name) in names.iter().enumerate() {
                let comma = if n == 0 { "" } else { " , " };
                text += &format!("{comma}{}: {}", serde_json::Value::from(name.as_str()), serde_json::Value::from(value.as_str()));
            }
            text += "}";
            prop_assert_eq!(edit(&text, &[]), text.clone());
            let changed = edit(&text, &[("model", "\"m\"")]);
            let parsed: serde_json::Value = serde_json::from_str(&changed).unwrap();
            prop_assert_eq!(&parsed["model"], "m");
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Members::read(&bytes).map(|members| members.splice(&[("a", "1".into())]));
        }
    }
}
