//! Texts that people write: kept to the letter, or refused.
//!
//! NUL never gets here: `body` refuses it in every string.

use serde::{Deserialize, Serialize};

/// Longest name of an org, key or credential, in characters.
pub(crate) const LABEL_MAX_LEN: usize = 200;
/// Longest description of an endpoint, in characters: a paragraph, not a manual.
pub(crate) const DESCRIPTION_MAX_LEN: usize = 2_000;

/// A name for people: any text of 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200)]
pub(crate) struct Label(String);

/// A description: any text of up to 2,000 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 2000)]
pub(crate) struct Description(String);

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Description {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=LABEL_MAX_LEN).contains(&text.chars().count()) {
            return Ok(Self(text));
        }
        Err(format!("must have between 1 and {LABEL_MAX_LEN} characters"))
    }
}

impl TryFrom<String> for Description {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() <= DESCRIPTION_MAX_LEN {
            return Ok(Self(text));
        }
        Err(format!("must have at most {DESCRIPTION_MAX_LEN} characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(Label::try_from("ä".repeat(LABEL_MAX_LEN)).is_ok());
        assert!(Label::try_from("ä".repeat(LABEL_MAX_LEN + 1)).is_err());
        assert!(Label::try_from(String::new()).is_err());
        assert!(Description::try_from(String::new()).is_ok());
        assert!(Description::try_from("x".repeat(DESCRIPTION_MAX_LEN + 1)).is_err());
    }
}
