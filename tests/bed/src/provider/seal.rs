//! Opaque proofs that a provider hands out with its reasoning and wants back unchanged.
//!
//! Invariant: only what this provider sealed is taken for sealed, and only for the same provider and, where it is
//! known, for the same text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// Half of a digest for what is sealed, half of one for the seal: together as long as a SHA-256.
const HALF_BYTES: usize = 16;

/// A seal of `provider` on `about`.
pub(super) fn seal(provider: &str, about: &str) -> String {
    let content = half(about.as_bytes());
    STANDARD.encode([content, mark(provider, &content)].concat())
}

/// Whether `sealed` was made by [`seal`] for this provider, and on `about` unless that is not known.
pub(super) fn holds(provider: &str, about: Option<&str>, sealed: &str) -> bool {
    let bytes = STANDARD.decode(sealed).unwrap_or_default();
    let Some((content, found)) = bytes.split_at_checked(HALF_BYTES) else { return false };
    found == mark(provider, content) && about.is_none_or(|about| content == half(about.as_bytes()))
}

fn mark(provider: &str, content: &[u8]) -> [u8; HALF_BYTES] {
    half(&[provider.as_bytes(), content].concat())
}

fn half(bytes: &[u8]) -> [u8; HALF_BYTES] {
    let mut half = [0; HALF_BYTES];
    half.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
    half
}

#[cfg(test)]
mod tests {
    use super::{holds, seal};

    #[test]
    fn a_seal_holds_for_its_provider_and_its_text_only() {
        let sealed = seal("one", "text");
        assert!(holds("one", Some("text"), &sealed) && holds("one", None, &sealed));
        assert!(!holds("other", None, &sealed) && !holds("one", Some("other"), &sealed));
        assert!(!holds("one", None, "") && !holds("one", None, "c2lnbmF0dXJl") && !holds("one", None, "?"));
    }
}
