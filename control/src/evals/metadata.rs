//! The labels that callers put on an eval or a run: OpenAI's bounds, kept to the letter.

use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::Value;

/// Most pairs.
const PAIRS_MAX: usize = 16;
/// Longest key, in characters.
const KEY_MAX_LEN: usize = 64;
/// Longest value, in characters.
const VALUE_MAX_LEN: usize = 512;

/// Up to 16 pairs of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Map<String, Value>")]
#[schema(value_type = Object)]
pub(super) struct Metadata(Map<String, Value>);

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = String;

    fn try_from(pairs: Map<String, Value>) -> Result<Self, String> {
        if pairs.len() > PAIRS_MAX {
            return Err(format!("has at most {PAIRS_MAX} pairs"));
        }
        for (key, value) in &pairs {
            if key.chars().count() > KEY_MAX_LEN {
                return Err(format!("a key has at most {KEY_MAX_LEN} characters"));
            }
            if value.as_str().is_none_or(|value| value.chars().count() > VALUE_MAX_LEN) {
                return Err(format!("the value of `{key}` is a text of at most {VALUE_MAX_LEN} characters"));
            }
        }
        Ok(Self(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn openais_bounds_hold() {
        let many: Map<String, Value> = (0..17).map(|n| (n.to_string(), json!(""))).collect();
        for bad in [
            json!({"a": 1}),
            json!({"k".repeat(65): ""}),
            json!({"a": "v".repeat(513)}),
            Value::Object(many),
            json!([]),
        ] {
            assert!(serde_json::from_value::<Metadata>(bad.clone()).is_err(), "{bad}");
        }
        let good = json!({"a": "v".repeat(512), "b": ""});
        assert_eq!(
            serde_json::to_value(serde_json::from_value::<Metadata>(good.clone()).unwrap()).unwrap(),
            good
        );
    }
}
