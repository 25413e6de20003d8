//! The text of an API key.
//!
//! `ag_live_<org>_<key>_<kid>_<secret>_<tag>`: org and key as 32 hex digits, the id of the signing key, 192
//! random bits, and a tag: the first 64 bits of an HMAC by that signing key over everything before it. So a
//! forged or mistyped key is known as such without any look-up, and a key of any live signing key is admitted.
//! Stores keep [`Digest`] only: a full HMAC of the text, which cannot be turned back.

use crate::{
    id::{KeyId, OrgId, uuid_from_hex},
    ring::{Kid, Ring, mac},
    secret::Secret,
};
use hmac::Mac;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Random bytes in a key: 192 bits, out of reach of any search.
pub const SECRET_BYTES: usize = 24;
/// Bytes of the tag: a guess passes once in 2^64, and then still meets the digest.
pub const TAG_BYTES: usize = 8;
/// Longest key text: what does not fit is refused before it is looked at.
pub const KEY_TEXT_MAX_LEN: usize = 8 + 33 + 33 + 9 + 49 + 16;

const TAG_DOMAIN: &str = "alphagate key tag v1";
const DIGEST_DOMAIN: &str = "alphagate key digest v1";

/// Whether a key is for production or for trials; both work alike, people tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `ag_live_…`
    Live,
    /// `ag_test_…`
    Test,
}

impl Mode {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "ag_live_",
            Self::Test => "ag_test_",
        }
    }
}

/// The text is not a key that was minted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key of this gateway")]
pub struct KeyError;

/// What a store keeps of a key: HMAC-SHA-256 of its text. Comparison takes constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The raw bytes, as the database stores them.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(other.0).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differences) == 0
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        hex::encode(digest.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError)?;
        Ok(Self(bytes))
    }
}

/// A key whose tag proves that it was minted with one of our signing keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The org that the key belongs to.
    pub org: OrgId,
    /// The key's public id.
    pub id: KeyId,
    /// Live or test.
    pub mode: Mode,
    /// The signing key that made the tag.
    pub kid: Kid,
    text: Secret<String>,
    digest: Digest,
}

impl ApiKey {
    /// Makes a new key with the ring's current signing key.
    #[must_use]
    pub fn mint(ring: &Ring, mode: Mode, org: OrgId, id: KeyId, secret: [u8; SECRET_BYTES]) -> Self {
        let (kid, signing_key) = ring.current();
        let body = format!(
            "{}{}_{}_{kid}_{}_",
            mode.prefix(),
            org.uuid().simple(),
            id.uuid().simple(),
            hex::encode(secret)
        );
        let tag = mac(signing_key, TAG_DOMAIN, &[body.as_bytes()]).finalize().into_bytes();
        let tag: String = hex::encode(tag).chars().take(TAG_BYTES * 2).collect();
        let text = body + &tag;
        let digest = digest(signing_key, &text);
        Self { org, id, mode, kid: kid.clone(), text: Secret::new(text), digest }
    }

    /// Reads a key and proves its tag. Nothing is looked up.
    ///
    /// # Errors
    /// [`KeyError`], always the same, whatever is wrong with the text.
    pub fn verify(ring: &Ring, text: &str) -> Result<Self, KeyError> {
        Self::read(ring, text).ok_or(KeyError)
    }

    fn read(ring: &Ring, text: &str) -> Option<Self> {
        if text.len() > KEY_TEXT_MAX_LEN || !text.is_ascii() {
            return None;
        }
        let (mode, rest) = [Mode::Live, Mode::Test]
            .into_iter()
            .find_map(|mode| text.strip_prefix(mode.prefix()).map(|rest| (mode, rest)))?;
        let mut parts = rest.split('_');
        let org = OrgId::from_uuid(uuid_from_hex(parts.next()?)?);
        let id = KeyId::from_uuid(uuid_from_hex(parts.next()?)?);
        let kid = Kid::parse(parts.next()?).ok()?;
        let secret = parts.next()?;
        let tag_text = parts.next()?;
        if parts.next().is_some() || secret.len() != SECRET_BYTES * 2 {
            return None;
        }
        let mut tag = [0; TAG_BYTES];
        hex::decode_to_slice(tag_text, &mut tag).ok()?;
        let body = text.strip_suffix(tag_text)?;
        let signing_key = ring.get(kid.as_str())?;
        mac(signing_key, TAG_DOMAIN, &[body.as_bytes()]).verify_truncated_left(&tag).ok()?;
        let canonical_tag = hex::encode(tag) == tag_text;
        canonical_tag.then(|| Self {
            org,
            id,
            mode,
            kid,
            text: Secret::new(text.to_owned()),
            digest: digest(signing_key, text),
        })
    }

    /// The full text, shown to its owner once, at minting.
    #[must_use]
    pub const fn text(&self) -> &Secret<String> {
        &self.text
    }

    /// What a store keeps.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn digest(signing_key: &[u8; 32], text: &str) -> Digest {
    Digest(mac(signing_key, DIGEST_DOMAIN, &[text.as_bytes()]).finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn ring() -> Ring {
        Ring::parse(&format!("k2:{},k1:{}", "22".repeat(32), "11".repeat(32))).unwrap()
    }

    fn key(ring: &Ring) -> ApiKey {
        let org = OrgId::from_uuid(Uuid::from_bytes([1; 16]));
        let id = KeyId::from_uuid(Uuid::from_bytes([2; 16]));
        ApiKey::mint(ring, Mode::Live, org, id, [3; SECRET_BYTES])
    }

    proptest! {
        #[test]
        fn minted_keys_verify(org: [u8; 16], id: [u8; 16], secret: [u8; 24], test: bool) {
            let mode = if test { Mode::Test } else { Mode::Live };
            let key = ApiKey::mint(
                &ring(),
                mode,
                OrgId::from_uuid(Uuid::from_bytes(org)),
                KeyId::from_uuid(Uuid::from_bytes(id)),
                secret,
            );
            prop_assert!(key.text().reveal().len() <= KEY_TEXT_MAX_LEN);
            prop_assert_eq!(ApiKey::verify(&ring(), key.text().reveal()), Ok(key));
        }

        #[test]
        fn any_changed_byte_is_refused(position in 0usize..140, byte in 0u8..128) {
            let text = key(&ring()).text().reveal().clone();
            let mut bytes = text.clone().into_bytes();
            let position = position % bytes.len();
            bytes[position] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ApiKey::verify(&ring(), &changed).is_ok(), changed == text);
        }

        #[test]
        fn foreign_text_never_verifies(text in "\\PC{0,200}") {
            prop_assert!(ApiKey::verify(&ring(), &text).is_err());
        }
    }

    #[test]
    fn a_key_outlives_two_rotations_and_ends_with_its_signing_key() {
        let first = Ring::parse(&format!("a:{}", "11".repeat(32))).unwrap();
        let text = key(&first).text().reveal().clone();
        let third = format!("c:{},b:{},a:{}", "33".repeat(32), "22".repeat(32), "11".repeat(32));
        assert_eq!(ApiKey::verify(&Ring::parse(&third).unwrap(), &text), Ok(key(&first)));
        let without = Ring::parse(&format!("c:{},b:{}", "33".repeat(32), "22".repeat(32))).unwrap();
        assert_eq!(ApiKey::verify(&without, &text), Err(KeyError));
    }

    #[test]
    fn the_same_kid_with_another_secret_is_refused() {
        let forger = Ring::parse(&format!("k2:{}", "99".repeat(32))).unwrap();
        assert_eq!(ApiKey::verify(&ring(), key(&forger).text().reveal()), Err(KeyError));
    }
}
