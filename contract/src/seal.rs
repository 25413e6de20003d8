//! A provider's secret on its way to the edge: sealed to the edge's public key, bound to where it may be used.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The binding (org,
//! credential, revision, allowed origin) is the associated data: a record copied to another org, another
//! credential or another origin does not open.

use crate::{
    id::{CredentialId, OrgId},
    ring::{Kid, Ring, RingError},
    secret::Secret,
};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, rand_core::CryptoRng,
};
use serde::{Deserialize, Serialize};

const INFO: &[u8] = b"alphagate credential v1";

/// The secret could not be sealed or opened: a key that is not live, or a binding that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The sealing key's id is not in the ring.
    #[error("the sealing key is not live")]
    UnknownKey,
    /// Wrong key, wrong binding or damaged text.
    #[error("the sealed text does not open here")]
    Damaged,
}

/// What a sealed secret is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The org that owns the credential.
    pub org: OrgId,
    /// The credential.
    pub credential: CredentialId,
    /// The revision of the credential's record.
    pub revision: u64,
    /// The only origin that the secret may be sent to, as `scheme://host[:port]`.
    pub origin: &'a str,
}

impl Binding<'_> {
    fn bytes(&self) -> Vec<u8> {
        format!("{}\n{}\n{}\n{}", self.org, self.credential, self.revision, self.origin).into_bytes()
    }
}

/// A secret that only the edge can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The edge key that it was sealed to.
    pub kid: String,
    /// HPKE's encapsulated key, in hex.
    pub enc: String,
    /// The cipher text with its tag, in hex.
    pub text: String,
}

/// One public key of the edge.
#[derive(Debug, Clone)]
pub struct PublicKey {
    kid: Kid,
    key: <X25519HkdfSha256 as hpke::Kem>::PublicKey,
}

/// The key pair that HPKE derives from 32 random bytes: `(private, public)`.
#[must_use]
pub fn key_pair(random: &[u8; 32]) -> (Secret<[u8; 32]>, [u8; 32]) {
    let (private, public) = X25519HkdfSha256::derive_keypair(random);
    (Secret::new(private.to_bytes().into()), public.to_bytes().into())
}

impl PublicKey {
    /// Reads `kid:hex64`; of a list, the first is the current key and is taken.
    ///
    /// # Errors
    /// [`RingError`] when the text is malformed or not a point of the curve.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let ring = Ring::parse(text)?;
        let (kid, bytes) = ring.current();
        let key = Deserializable::from_bytes(bytes).map_err(|_| RingError)?;
        Ok(Self { kid: kid.clone(), key })
    }

    /// Seals `secret` for the place that `binding` names.
    ///
    /// # Errors
    /// [`SealError::Damaged`] if the key cannot be used.
    pub fn seal(
        &self,
        rng: &mut impl CryptoRng,
        binding: &Binding<'_>,
        secret: &Secret<String>,
    ) -> Result<Sealed, SealError> {
        let (enc, text) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &self.key,
            INFO,
            secret.reveal().as_bytes(),
            &binding.bytes(),
            rng,
        )
        .map_err(|_| SealError::Damaged)?;
        Ok(Sealed { kid: self.kid.to_string(), enc: hex::encode(enc.to_bytes()), text: hex::encode(text) })
    }
}

impl Sealed {
    /// Opens the secret with the edge's private keys, for exactly the place it was sealed for.
    ///
    /// # Errors
    /// [`SealError`] when the key is not live, or anything differs from what was sealed.
    pub fn open(&self, private_keys: &Ring, binding: &Binding<'_>) -> Result<Secret<String>, SealError> {
        let private = private_keys.get(&self.kid).ok_or(SealError::UnknownKey)?;
        let damaged = |_| SealError::Damaged;
        let private = Deserializable::from_bytes(private).map_err(damaged)?;
        let enc_bytes = hex::decode(&self.enc).map_err(|_| SealError::Damaged)?;
        let enc = Deserializable::from_bytes(&enc_bytes).map_err(damaged)?;
        let text = hex::decode(&self.text).map_err(|_| SealError::Damaged)?;
        let clear = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private,
            &enc,
            INFO,
            &text,
            &binding.bytes(),
        )
        .map_err(damaged)?;
        String::from_utf8(clear).map(Secret::new).map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    /// A fixed stream of bytes: sealing is deterministic in tests.
    struct Fixed(u64);

    impl hpke::rand_core::TryRng for Fixed {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(self.try_next_u64()? as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Ok(self.0)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            for byte in bytes {
                *byte = (self.try_next_u64()? >> 32) as u8;
            }
            Ok(())
        }
    }

    impl hpke::rand_core::TryCryptoRng for Fixed {}

    fn binding(origin: &str) -> Binding<'_> {
        Binding {
            org: OrgId::from_uuid(Uuid::from_bytes([1; 16])),
            credential: CredentialId::from_uuid(Uuid::from_bytes([2; 16])),
            revision: 7,
            origin,
        }
    }

    fn keys() -> (Ring, PublicKey) {
        let (private, public) = key_pair(&[9; 32]);
        let private = Ring::parse(&format!("e1:{}", hex::encode(private.reveal()))).unwrap();
        (private, PublicKey::parse(&format!("e1:{}", hex::encode(public))).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(text: String, seed: u64) {
            let (private, public) = keys();
            let here = binding("https://api.example.com");
            let sealed = public.seal(&mut Fixed(seed), &here, &Secret::new(text.clone())).unwrap();
            prop_assert_eq!(sealed.open(&private, &here), Ok(Secret::new(text)));
        }
    }

    #[test]
    fn any_other_binding_or_key_does_not_open() {
        let (private, public) = keys();
        let here = binding("https://api.example.com");
        let sealed = public.seal(&mut Fixed(1), &here, &Secret::new("sk".into())).unwrap();
        let others = [
            Binding { origin: "https://api.example.org", ..here },
            Binding { revision: 8, ..here },
            Binding { org: OrgId::from_uuid(Uuid::from_bytes([3; 16])), ..here },
            Binding { credential: CredentialId::from_uuid(Uuid::from_bytes([3; 16])), ..here },
        ];
        for other in others {
            assert_eq!(sealed.open(&private, &other), Err(SealError::Damaged));
        }
        let foreign = Ring::parse(&format!("e2:{}", "11".repeat(32))).unwrap();
        assert_eq!(sealed.open(&foreign, &here), Err(SealError::UnknownKey));
    }
}
