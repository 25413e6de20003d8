//! Encryption of what lies in the database, under `AG_VAULT_RING`.
//!
//! XChaCha20-Poly1305 with a random nonce (192 bits: no counter to keep). The purpose is the associated data, so that a
//! text moved to another row, org or use does not open. The ring entry's id stands in front: older entries open still.

use crate::{error::Error, platform::Platform};
use alphagate_contract::ring::Ring;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

const NONCE_BYTES: usize = 24;

/// Seals and opens texts at rest.
pub(crate) struct Vault {
    ring: Ring,
}

impl Vault {
    pub(crate) const fn new(ring: Ring) -> Self {
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
        let nonce: [u8; NONCE_BYTES] = platform.bytes();
        let text = XChaCha20Poly1305::new(&(*key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: purpose.as_bytes() })
            .map_err(|_| Error::internal("the vault cannot seal"))?;
        Ok([kid.as_str().as_bytes(), b":", &nonce, &text].concat())
    }

    /// Opens what was sealed for exactly this purpose; none if anything differs.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let split = sealed.iter().position(|byte| *byte == b':')?;
        let (kid, rest) = sealed.split_at_checked(split)?;
        let (nonce, text) = rest.get(1..)?.split_at_checked(NONCE_BYTES)?;
        let key = self.ring.get(std::str::from_utf8(kid).ok()?)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        XChaCha20Poly1305::new(&(*key).into())
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: purpose.as_bytes() })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixed::Fixed;

    fn vault(text: &str) -> Vault {
        Vault::new(Ring::parse(text).unwrap())
    }

    #[test]
    fn only_the_same_purpose_opens_it() {
        let vault = vault(&format!("a:{}", "11".repeat(32)));
        let sealed = vault.seal(&Fixed::new(), "org 1", b"sk").unwrap();
        assert_eq!(vault.open("org 1", &sealed).as_deref(), Some(&b"sk"[..]));
        assert_eq!(vault.open("org 2", &sealed), None);
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(vault.open("org 1", &damaged), None, "byte {position}");
        }
        for length in 0..sealed.len() {
            assert_eq!(vault.open("org 1", &sealed[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn an_older_entry_of_the_ring_still_opens() {
        let old = vault(&format!("a:{}", "11".repeat(32)));
        let sealed = old.seal(&Fixed::new(), "p", b"x").unwrap();
        let new = vault(&format!("b:{},a:{}", "22".repeat(32), "11".repeat(32)));
        assert_eq!(new.open("p", &sealed).as_deref(), Some(&b"x"[..]));
        assert_eq!(new.kid(), "b");
    }
}
