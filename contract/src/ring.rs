//! A ring of 32-byte secrets, each under a short id, so that rotation never breaks what the older ones made.
//!
//! Text form (environment variables, Worker secrets): `kid:hex64,kid:hex64`; the first is the current one,
//! which new work uses; all others stay readable for as long as they are listed.

use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// Bytes in one secret of a ring.
pub const RING_SECRET_BYTES: usize = 32;
/// Longest id of a ring entry, in characters.
pub const KID_MAX_LEN: usize = 8;

/// The text is not a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key ring: expected `kid:hex64,kid:hex64…`, each kid 1 to 8 of [a-z0-9] and listed once")]
pub struct RingError;

/// The id of one secret in a ring: 1 to 8 characters of `[a-z0-9]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kid(String);

impl Kid {
    /// Reads an id.
    ///
    /// # Errors
    /// [`RingError`] when the text is empty, longer than 8, or has other characters.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let fits = (1..=KID_MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        fits.then(|| Self(text.to_owned())).ok_or(RingError)
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Live secrets by id; never empty.
#[derive(Debug, Clone)]
pub struct Ring {
    current: (Kid, Secret<[u8; RING_SECRET_BYTES]>),
    older: Vec<(Kid, Secret<[u8; RING_SECRET_BYTES]>)>,
}

impl Ring {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`RingError`] on any malformed or doubled entry.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let mut entries: Vec<(Kid, Secret<[u8; RING_SECRET_BYTES]>)> = Vec::new();
        for entry in text.trim().split(',') {
            let (kid, hex_text) = entry.trim().split_once(':').ok_or(RingError)?;
            let kid = Kid::parse(kid)?;
            let mut bytes = [0; RING_SECRET_BYTES];
            hex::decode_to_slice(hex_text, &mut bytes).map_err(|_| RingError)?;
            if entries.iter().any(|(other, _)| *other == kid) {
                return Err(RingError);
            }
            entries.push((kid, Secret::new(bytes)));
        }
        let mut entries = entries.into_iter();
        let current = entries.next().ok_or(RingError)?;
        Ok(Self { current, older: entries.collect() })
    }

    /// The id and secret that new work uses.
    #[must_use]
    pub const fn current(&self) -> (&Kid, &[u8; RING_SECRET_BYTES]) {
        (&self.current.0, self.current.1.reveal())
    }

    /// Every entry, the current one first.
    pub fn entries(&self) -> impl Iterator<Item = (&Kid, &[u8; RING_SECRET_BYTES])> {
        std::iter::once(&self.current).chain(&self.older).map(|(kid, secret)| (kid, secret.reveal()))
    }

    /// The secret with this id, if it is live.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&[u8; RING_SECRET_BYTES]> {
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(|(other, _)| other.as_str() == kid)
            .map(|(_, secret)| secret.reveal())
    }
}

/// A keyed MAC over `parts`, for the purpose that `domain` names; length-prefixed, so that parts cannot flow
/// into one another.
#[must_use]
pub(crate) fn mac(secret: &[u8; RING_SECRET_BYTES], domain: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key shorter than a block is padded with zeros (RFC 2104); done here, so that nothing can fail.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block);
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_current_and_all_are_readable() {
        let text = format!("b:{},a:{}", "22".repeat(32), "11".repeat(32));
        let ring = Ring::parse(&text).unwrap();
        assert_eq!(ring.current().0.as_str(), "b");
        assert_eq!(ring.get("a"), Some(&[0x11; 32]));
        assert_eq!(ring.get("c"), None);
        assert!(!format!("{ring:?}").contains("22"));
    }

    #[test]
    fn malformed_rings_are_refused() {
        let good = "11".repeat(32);
        for text in [
            String::new(),
            good.clone(),
            format!(":{good}"),
            format!("A:{good}"),
            format!("toolongkid:{good}"),
            "a:1122".to_owned(),
            format!("a:{good},a:{good}"),
            format!("a:{good},"),
        ] {
            assert!(Ring::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_cannot_flow_into_one_another() {
        let one = mac(&[1; 32], "d", &[b"ab", b"c"]).finalize();
        let other = mac(&[1; 32], "d", &[b"a", b"bc"]).finalize();
        assert!(one != other);
    }
}
