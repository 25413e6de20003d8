//! Tags: short words by which the catalog is filtered. Sorted and without repetition, whatever order they are given in.

use serde::{Deserialize, Serialize};

/// Most tags of an endpoint; a constraint of the database says the same.
const TAGS_MAX: usize = 16;
/// Longest tag, in characters.
const TAG_MAX_LEN: usize = 32;

/// The tags of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Vec<String>")]
#[schema(value_type = Vec<String>, max_items = 16)]
pub(crate) struct Tags(Vec<String>);

impl Tags {
    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Tags {
    type Error = String;

    fn try_from(mut tags: Vec<String>) -> Result<Self, String> {
        if let Some(tag) = tags.iter().find(|tag| !is_tag(tag)) {
            let shown: String = tag.chars().take(TAG_MAX_LEN).collect();
            return Err(format!("`{shown}` is no tag: 1 to {TAG_MAX_LEN} of a-z, 0-9 and -, the first no -"));
        }
        tags.sort();
        tags.dedup();
        if tags.len() > TAGS_MAX {
            return Err(format!("at most {TAGS_MAX} tags"));
        }
        Ok(Self(tags))
    }
}

/// Whether a text can be a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let fits = (1..=TAG_MAX_LEN).contains(&text.len()) && !text.starts_with('-');
    fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Result<Tags, String> {
        Tags::try_from(tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn tags_are_sorted_words_and_few() {
        assert_eq!(tags(&["vision", "k-5", "vision"]).unwrap().as_slice(), ["k-5", "vision"]);
        for bad in ["", "-a", "A", "ä", "a b", "a,b", &"x".repeat(TAG_MAX_LEN + 1)] {
            assert!(tags(&[bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=TAGS_MAX).map(|number| format!("t{number}")).collect();
        assert!(Tags::try_from(many).is_err());
    }
}
