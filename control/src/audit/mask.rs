//! Secrets are masked before an entry is written: by the name of their field, and by what our own look like. Pure.
//!
//! Rather one field too many than one too few: who reads a trail has less need of a field than a thief has.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What stands where a secret was.
pub(super) const MASK: &str = "[masked]";
/// Words that make a field a secret wherever they stand in its name: `client_secret`, `newPassword`.
const SECRET_WORDS: [&str; 11] = [
    "secret",
    "secrets",
    "password",
    "passphrase",
    "token",
    "sealed",
    "authorization",
    "cookie",
    "apikey",
    "signature",
    "nonce",
];
/// Names that are secrets as a whole.
const SECRET_NAMES: [&str; 3] = ["digest", "private_key", "api_key"];
/// How our own secrets begin, and those of the providers that mark theirs.
const SECRET_STARTS: [&str; 6] = ["ag_live_", "ag_test_", "ag_rnr_", "sk-", "Bearer ", "bearer "];
/// Longest text of one side of an entry, bytes; a longer one is told by its length and digest. A version's longest
/// configuration is kept for ever by itself.
pub(super) const SIDE_MAX_BYTES: usize = 64 * 1024;

/// The text of one side of an entry: masked, and no longer than [`SIDE_MAX_BYTES`].
pub(super) fn side(value: Value) -> String {
    let text = mask(value).to_string();
    if text.len() <= SIDE_MAX_BYTES {
        return text;
    }
    json!({"omitted": true, "bytes": text.len(), "sha256": hex::encode(Sha256::digest(&text))}).to_string()
}

/// The same without secrets.
fn mask(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>()),
        Value::Array(items) => Value::Array(items.into_iter().map(mask).collect()),
        Value::String(text) if is_secret_text(&text) => MASK.into(),
        other => other,
    }
}

fn field((name, value): (String, Value)) -> (String, Value) {
    let says_nothing = matches!(value, Value::Null | Value::Bool(_));
    let value = if is_secret_name(&name) && !says_nothing { MASK.into() } else { mask(value) };
    // A name can be a secret, too, where a caller's own object is shown.
    let name = if is_secret_text(&name) { MASK.to_owned() } else { name };
    (name, value)
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET_NAMES.contains(&lower.as_str())
        || words(name).iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// The words of a name: `newPassword`, `new_password`, `new-password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

fn is_secret_text(text: &str) -> bool {
    SECRET_STARTS.iter().any(|start| {
        text.match_indices(start).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            !before.is_some_and(char::is_alphanumeric)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_masked_by_name_and_texts_by_what_they_look_like() {
        let cases = [
            (json!({"secret": "x", "name": "n"}), json!({"secret": MASK, "name": "n"})),
            (json!({"clientSecret": "x"}), json!({"clientSecret": MASK})),
            (json!({"new-password": {"a": 1}}), json!({"new-password": MASK})),
            (json!({"digest": "ab", "data_digest": "cd"}), json!({"digest": MASK, "data_digest": "cd"})),
            (json!({"max_tokens": 5, "input_tokens": 6}), json!({"max_tokens": 5, "input_tokens": 6})),
            (json!({"secret": null, "has_secret": true}), json!({"secret": null, "has_secret": true})),
            (json!(["say ag_live_abc", "flag_live_1"]), json!([MASK, "flag_live_1"])),
            (json!({"x": "key sk-123", "y": "task-1"}), json!({"x": MASK, "y": "task-1"})),
            (json!({"authorization": "Basic x"}), json!({"authorization": MASK})),
        ];
        for (clear, masked) in cases {
            assert_eq!(mask(clear.clone()), masked, "{clear}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_by_its_digest() {
        let long = side(json!({"a": "x".repeat(SIDE_MAX_BYTES)}));
        assert!(long.len() < 200 && long.contains("sha256"), "{long}");
        assert_eq!(side(json!({"a": 1})), r#"{"a":1}"#);
    }

    const PLANTED: &str = "PLANTED-SECRET";

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z ]{0,8}".prop_map(Value::from),
            Just(json!({"secret": PLANTED})),
            Just(json!({"refreshToken": [PLANTED]})),
            Just(json!({"db_password": {"deep": PLANTED}})),
            Just(json!(format!("ag_live_{PLANTED}"))),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z_]{1,8}", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_planted_secret_gets_through_however_deep(value in tree()) {
            let text = side(value);
            prop_assert!(!text.contains(PLANTED), "{text}");
            // Masked once is masked for good.
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(side(again), text);
        }
    }
}
