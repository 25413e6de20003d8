//! What a request's `input` reaches for, and how large it is: found in one pass, without building a tree.
//!
//! Invariant: a file id or an item reference is found at any depth; text in strings is never mistaken for one.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Depth at which the items of `input` lie: the array is 1, an item 2.
const ITEM_DEPTH: u32 = 2;

/// What was found in `input`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// A provider-side file is named.
    pub file_ids: bool,
    /// An item of a stored response is named.
    pub references: bool,
    /// Number of images and files that are given, by URL or inline.
    pub attachments: u64,
    /// Bytes of inline images and files (`data:` URLs).
    pub inline_bytes: u64,
}

impl Reach {
    /// Reads the JSON text of `input`.
    ///
    /// # Errors
    /// When the text is nested too deeply (128 levels) or is not JSON.
    pub fn read(input: &str) -> Result<Self, serde_json::Error> {
        let mut found = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(input);
        Walk { found: &mut found, key: Key::Other, depth: 0 }.deserialize(&mut deserializer)?;
        Ok(found)
    }
}

/// The member whose value is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Type,
    Id,
    Role,
    FileId,
    ImageUrl,
    FileData,
    FileUrl,
    Other,
}

impl Key {
    fn read(name: &str) -> Self {
        match name {
            "type" => Self::Type,
            "id" => Self::Id,
            "role" => Self::Role,
            "file_id" => Self::FileId,
            "image_url" => Self::ImageUrl,
            "file_data" => Self::FileData,
            "file_url" => Self::FileUrl,
            _ => Self::Other,
        }
    }
}

struct Walk<'f> {
    found: &'f mut Reach,
    key: Key,
    depth: u32,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.key {
            Key::FileId => self.found.file_ids = true,
            Key::Type if text == "item_reference" => self.found.references = true,
            Key::ImageUrl | Key::FileData | Key::FileUrl => {
                self.found.attachments += 1;
                if text.starts_with("data:") || self.key == Key::FileData {
                    self.found.inline_bytes += text.len() as u64;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut id, mut kind) = (false, false);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let key = Key::read(&name);
            id |= key == Key::Id;
            kind |= matches!(key, Key::Type | Key::Role);
            map.next_value_seed(Walk { found: &mut *self.found, key, depth: self.depth + 1 })?;
        }
        // An item may name a stored one by its id alone; `type: item_reference` is optional there.
        self.found.references |= self.depth + 1 == ITEM_DEPTH && id && !kind;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items
            .next_element_seed(Walk { found: &mut *self.found, key: Key::Other, depth: self.depth + 1 })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_for_is_found_at_any_depth() {
        let cases = [
            (r#""just text with file_id and item_reference""#, Reach::default()),
            (r#"[{"role":"user","content":"{\"file_id\":\"f\"}"}]"#, Reach::default()),
            (
                r#"[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]"#,
                Reach { file_ids: true, ..Reach::default() },
            ),
            (r#"[{"content":[{"type":"input_file","file_id":null}],"role":"user"}]"#, Reach::default()),
            (r#"[{"type":"item_reference","id":"msg_1"}]"#, Reach { references: true, ..Reach::default() }),
            (r#"[{"id":"msg_1"}]"#, Reach { references: true, ..Reach::default() }),
            (r#"[{"type":"function_call","id":"fc_1"}]"#, Reach::default()),
            (
                r#"[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}]"#,
                Reach { attachments: 1, inline_bytes: 26, ..Reach::default() },
            ),
            (
                r#"[{"role":"user","content":[{"type":"input_image","image_url":"https://x/y.png"}]}]"#,
                Reach { attachments: 1, ..Reach::default() },
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(Reach::read(input).unwrap(), expected, "{input}");
        }
    }

    #[test]
    fn a_bomb_is_an_error_and_not_a_stack_overflow() {
        let bomb = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(Reach::read(&bomb).is_err());
    }
}
