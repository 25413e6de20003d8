//! What a provider needs to go on from its own thoughts, carried by the caller in a reasoning item's `encrypted_content`.
//!
//! The text is not secret to the caller and not signed: its parts are (the providers sign or encrypt them), and a provider that
//! is given a forged one refuses it itself.
//!
//! Invariant: what [`seal`] gives, [`open`] gives back for the same provider, and for no other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Says that the text is ours, and in which form; another form gets another one.
const PREFIX: &str = "agr1.";

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    provider: String,
    parts: T,
}

/// The text for `encrypted_content`.
#[must_use]
pub fn seal(provider: &str, parts: &[Value]) -> String {
    let json = serde_json::to_vec(&Sealed { provider: provider.to_owned(), parts }).unwrap_or_default();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
}

/// The parts again; none: they are another provider's, or the text is not ours.
#[must_use]
pub fn open(provider: &str, sealed: &str) -> Option<Vec<Value>> {
    let json = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
    let sealed: Sealed<Vec<Value>> = serde_json::from_slice(&json).ok()?;
    (sealed.provider == provider).then_some(sealed.parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_sealed_is_opened_by_its_provider_only() {
        let parts = [json!({"signature": "abc", "thinking": "é"}), json!("redacted")];
        let sealed = seal("anthropic", &parts);
        assert_eq!(
            sealed,
            "agr1.eyJwcm92aWRlciI6ImFudGhyb3BpYyIsInBhcnRzIjpbeyJzaWduYXR1cmUiOiJhYmMiLCJ0aGlua2luZyI6IsOpIn0sInJlZGFjdGVkIl19"
        );
        assert_eq!(open("anthropic", &sealed).as_deref(), Some(parts.as_slice()));
        assert_eq!(open("gemini", &sealed), None);
    }

    proptest! {
        #[test]
        fn any_text_is_ours_or_is_not(text in any::<String>(), tail in "[A-Za-z0-9_-]{0,40}") {
            prop_assert_eq!(open("anthropic", &text), None);
            prop_assert_eq!(open("anthropic", &format!("{PREFIX}{tail}")), None);
        }
    }
}
