//! Tokens that prove something by being known: of sessions, and in mails.
//!
//! 256 random bits need no salt and no slow hash: what is kept is their SHA-256, and a look-up by it takes no time that
//! depends on how much of a guess was right.

use crate::platform::Platform;
use alphagate_contract::secret::Secret;
use sha2::{Digest as _, Sha256};

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// A new token: its text for its owner, its digest for the database.
#[derive(Debug)]
pub(crate) struct Token {
    /// The text.
    pub(crate) text: Secret<String>,
    /// What is kept of it.
    pub(crate) digest: [u8; 32],
}

impl Token {
    /// A token that begins with `prefix`.
    pub(crate) fn new(platform: &dyn Platform, prefix: &str) -> Self {
        let text = format!("{prefix}{}", hex::encode(platform.bytes::<SECRET_BYTES>()));
        let digest = Sha256::digest(&text).into();
        Self { text: Secret::new(text), digest }
    }

    /// The digest of a text that somebody shows, if it can be a token with this prefix.
    pub(crate) fn digest_of(text: &str, prefix: &str) -> Option<[u8; 32]> {
        let secret = text.strip_prefix(prefix)?;
        let is_hex = secret.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (secret.len() == 2 * SECRET_BYTES && is_hex).then(|| Sha256::digest(text).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixed::Fixed;

    #[test]
    fn a_token_has_one_spelling() {
        let token = Token::new(&Fixed::new(), "ags_");
        let text = token.text.reveal();
        assert_eq!(Token::digest_of(text, "ags_"), Some(token.digest));
        for bad in [text.to_uppercase(), format!("{text}0"), text[..text.len() - 1].to_owned(), String::new()]
        {
            assert_eq!(Token::digest_of(&bad, "ags_"), None, "{bad}");
        }
        assert_eq!(Token::digest_of(text, "agm_"), None);
        assert!(!format!("{token:?}").contains(text));
    }
}
