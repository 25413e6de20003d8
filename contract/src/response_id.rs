//! The text of a kept response's id.
//!
//! `resp_<chain>_<response>_<kid>_<tag>`: the conversation chain and the response as 32 hex digits each, the id of the
//! signing key, and a tag: the first 64 bits of an HMAC by that key over the org and everything before the tag. The org
//! itself is not in the text. So a forged id, or another org's, is known as such without any look-up.

use crate::{
    id::{OrgId, uuid_from_hex},
    key::TAG_BYTES,
    ring::{Kid, RING_SECRET_BYTES, Ring, mac},
};
use hmac::Mac;
use std::fmt;
use uuid::Uuid;

/// Longest text: what does not fit is refused before it is looked at.
pub const RESPONSE_ID_MAX_LEN: usize = 5 + 33 + 33 + 9 + 16;

const TAG_DOMAIN: &str = "alphagate response id v1";

/// The id of a response that is kept here, of an org for which it was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseId {
    /// The conversation chain.
    pub chain: Uuid,
    /// The response within it.
    pub response: Uuid,
    text: String,
}

impl ResponseId {
    /// A response's id, with the ring's current signing key.
    #[must_use]
    pub fn mint(ring: &Ring, org: OrgId, chain: Uuid, response: Uuid) -> Self {
        let (kid, signing_key) = ring.current();
        let body = format!("resp_{}_{}_{}_", chain.simple(), response.simple(), kid.as_str());
        let tag = tag(signing_key, org, &body).finalize().into_bytes();
        let tag: String = hex::encode(tag).chars().take(TAG_BYTES * 2).collect();
        Self { chain, response, text: body + &tag }
    }

    /// Reads an id and proves that it is this org's. Nothing is looked up.
    #[must_use]
    pub fn verify(ring: &Ring, org: OrgId, text: &str) -> Option<Self> {
        if text.len() > RESPONSE_ID_MAX_LEN || !text.is_ascii() {
            return None;
        }
        let mut parts = text.strip_prefix("resp_")?.split('_');
        let (chain, response) = (uuid_from_hex(parts.next()?)?, uuid_from_hex(parts.next()?)?);
        let kid = Kid::parse(parts.next()?).ok()?;
        let tag_text = parts.next()?;
        let mut bytes = [0; TAG_BYTES];
        hex::decode_to_slice(tag_text, &mut bytes).ok()?;
        let body = text.strip_suffix(tag_text)?;
        tag(ring.get(kid.as_str())?, org, body).verify_truncated_left(&bytes).ok()?;
        let canonical = parts.next().is_none() && hex::encode(bytes) == tag_text;
        canonical.then(|| Self { chain, response, text: text.to_owned() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ResponseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn tag(signing_key: &[u8; RING_SECRET_BYTES], org: OrgId, body: &str) -> hmac::Hmac<sha2::Sha256> {
    mac(signing_key, TAG_DOMAIN, &[org.uuid().as_bytes(), body.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring() -> Ring {
        Ring::parse(&format!("k2:{},k1:{}", "22".repeat(32), "11".repeat(32))).unwrap()
    }

    fn org(byte: u8) -> OrgId {
        OrgId::from_uuid(Uuid::from_bytes([byte; 16]))
    }

    fn id() -> ResponseId {
        ResponseId::mint(&ring(), org(1), Uuid::from_bytes([2; 16]), Uuid::from_bytes([3; 16]))
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(position in 0usize..90, byte in 0u8..128) {
            let mut bytes = id().as_str().to_owned().into_bytes();
            let position = position % bytes.len();
            bytes[position] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            let verified = ResponseId::verify(&ring(), org(1), &changed);
            prop_assert_eq!(verified.is_some(), changed == id().as_str());
        }

        #[test]
        fn foreign_text_never_verifies(text in "\\PC{0,120}") {
            prop_assert_eq!(ResponseId::verify(&ring(), org(1), &text), None);
        }
    }

    #[test]
    fn an_id_is_its_orgs_alone_and_as_long_as_its_signing_key_lives() {
        let text = id().as_str().to_owned();
        assert!(text.len() <= RESPONSE_ID_MAX_LEN);
        assert_eq!(ResponseId::verify(&ring(), org(1), &text), Some(id()));
        assert_eq!(ResponseId::verify(&ring(), org(2), &text), None);
        let rotated = Ring::parse(&format!("k3:{},k2:{}", "33".repeat(32), "22".repeat(32))).unwrap();
        assert_eq!(ResponseId::verify(&rotated, org(1), &text), Some(id()));
        let without = Ring::parse(&format!("k3:{}", "33".repeat(32))).unwrap();
        assert_eq!(ResponseId::verify(&without, org(1), &text), None);
    }
}
