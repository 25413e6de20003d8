//! The text of an API key.
//!
//! `ag_live_<org>_<key>_<kid>_<secret>_<tag>`: org and key as 32 hex digits, the id of the signing key, 192
//! random bits, and a tag: the first 64 bits of an HMAC by that signing key over everything before it. So a
//! forged or mistyped key is known as such without any look-up, and a key of any live signing key is admitted.
//! Stores keep [`Digest`] only: a full HMAC of the text, which cannot be turned back. A run's key is not even random: it
//! is derived from a signing key, the run and an epoch, so that its text is nowhere but in the hands that need it.

use crate::{
    id::{KeyId, OrgId, RunId, uuid_from_hex},
    ring::{Kid, RING_SECRET_BYTES, Ring, mac},
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
const RUN_DOMAIN: &str = "alphagate run key v1";

/// Whether a key is for production or for trials; both work alike, people tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = KeyMode))]
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
        Self::mint_with(kid.clone(), signing_key, mode, org, id, secret)
    }

    /// The key of a run, always the same for the same `epoch`; its public id is the run's. None if the ring has no
    /// entry `kid` any more.
    #[must_use]
    pub fn of_run(ring: &Ring, kid: &str, org: OrgId, run: RunId, epoch: u32) -> Option<Self> {
        let (kid, signing_key) = (Kid::parse(kid).ok()?, ring.get(kid)?);
        let (org_part, run_part) = (org.uuid(), run.uuid());
        let parts: [&[u8]; 3] = [org_part.as_bytes(), run_part.as_bytes(), &epoch.to_be_bytes()];
        let bytes: [u8; 32] = mac(signing_key, RUN_DOMAIN, &parts).finalize().into_bytes().into();
        let mut secret = [0; SECRET_BYTES];
        secret.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Some(Self::mint_with(kid, signing_key, Mode::Live, org, KeyId::from_uuid(run.uuid()), secret))
    }

    fn mint_with(
        kid: Kid,
        signing_key: &[u8; RING_SECRET_BYTES],
        mode: Mode,
        org: OrgId,
        id: KeyId,
        secret: [u8; SECRET_BYTES],
    ) -> Self {
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
        Self { org, id, mode, kid, text: Secret::new(text), digest }
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
    fn a_runs_key_depends_on_everything_that_it_is_of() {
        let (org, run) =
            (OrgId::from_uuid(Uuid::from_bytes([1; 16])), RunId::from_uuid(Uuid::from_bytes([2; 16])));
        let of = |kid: &str, org, run, epoch| ApiKey::of_run(&ring(), kid, org, run, epoch);
        let key = of("k1", org, run, 1).unwrap();
        assert_eq!(of("k1", org, run, 1), Some(key.clone()), "it is the same, whenever it is derived");
        assert_eq!(ApiKey::verify(&ring(), key.text().reveal()), Ok(key.clone()));
        assert_eq!((key.org, key.id.uuid(), key.kid.as_str()), (org, run.uuid(), "k1"));
        let other_org = OrgId::from_uuid(Uuid::from_bytes([3; 16]));
        let other_run = RunId::from_uuid(Uuid::from_bytes([3; 16]));
        let others = [
            of("k2", org, run, 1),
            of("k1", other_org, run, 1),
            of("k1", org, other_run, 1),
            of("k1", org, run, 2),
        ];
        let secret = |key: &ApiKey| key.text().reveal().split('_').nth(5).unwrap().to_owned();
        assert!(others.iter().flatten().all(|other| secret(other) != secret(&key)));
        assert_eq!(others.iter().flatten().count(), others.len());
        assert_eq!(of("k3", org, run, 1), None, "a signing key that is gone derives nothing");
    }

    #[test]
    fn the_same_kid_with_another_secret_is_refused() {
        let forger = Ring::parse(&format!("k2:{}", "99".repeat(32))).unwrap();
        assert_eq!(ApiKey::verify(&ring(), key(&forger).text().reveal()), Err(KeyError));
    }
}
