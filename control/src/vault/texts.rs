//! Short-lived texts, under `AG_VAULT_RING`: cursors, kept answers, and credentials in the form of the last release.
//!
//! The ring entry's id stands in front of the sealed text, so older entries open still.

use super::aead;
use crate::{error::Error, platform::Platform};
use alphagate_contract::ring::Ring;

/// Seals and opens texts with a ring.
pub(crate) struct Texts {
    ring: Ring,
}

impl Texts {
    pub(super) const fn new(ring: Ring) -> Self {
        Self { ring }
    }

    /// The id of the ring entry that new texts are sealed with.
    pub(crate) fn kid(&self) -> &str {
        self.ring.current().0.as_str()
    }

    /// Seals `clear` for this purpose.
    pub(crate) fn seal(
        &self,
        platform: &dyn Platform,
        purpose: &str,
        clear: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (kid, key) = self.ring.current();
        let sealed = aead::seal(platform, key, purpose, clear)?;
        Ok([kid.as_str().as_bytes(), b":", &sealed].concat())
    }

    /// Opens what was sealed for exactly this purpose; none if anything differs.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let split = sealed.iter().position(|byte| *byte == b':')?;
        let (kid, rest) = sealed.split_at_checked(split)?;
        let key = self.ring.get(std::str::from_utf8(kid).ok()?)?;
        aead::open(key, purpose, rest.get(1..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixed::Fixed;

    fn texts(text: &str) -> Texts {
        Texts::new(Ring::parse(text).unwrap())
    }

    #[test]
    fn only_the_same_purpose_opens_it() {
        let texts = texts(&format!("a:{}", "11".repeat(32)));
        let sealed = texts.seal(&Fixed::new(), "org 1", b"sk").unwrap();
        assert_eq!(texts.open("org 1", &sealed).as_deref(), Some(&b"sk"[..]));
        assert_eq!(texts.open("org 2", &sealed), None);
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(texts.open("org 1", &damaged), None, "byte {position}");
        }
        for length in 0..sealed.len() {
            assert_eq!(texts.open("org 1", &sealed[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn an_older_entry_of_the_ring_still_opens() {
        let old = texts(&format!("a:{}", "11".repeat(32)));
        let sealed = old.seal(&Fixed::new(), "p", b"x").unwrap();
        let new = texts(&format!("b:{},a:{}", "22".repeat(32), "11".repeat(32)));
        assert_eq!(new.open("p", &sealed).as_deref(), Some(&b"x"[..]));
        assert_eq!(new.kid(), "b");
    }
}
