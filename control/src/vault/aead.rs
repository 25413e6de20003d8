//! The one cipher of the vault: XChaCha20-Poly1305 with a random nonce in front of the text.
//!
//! 192 bits of nonce: random ones do not meet, so there is no counter to keep. What a text is for is its associated data:
//! moved to another row, org or use, it does not open.

use crate::{error::Error, platform::Platform};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals `clear` for this purpose: nonce, text and tag.
pub(super) fn seal(
    platform: &dyn Platform,
    key: &[u8; KEY_BYTES],
    purpose: &str,
    clear: &[u8],
) -> Result<Vec<u8>, Error> {
    let nonce: [u8; NONCE_BYTES] = platform.bytes();
    let text = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: purpose.as_bytes() })
        .map_err(|_| Error::internal("the vault cannot seal"))?;
    Ok([&nonce[..], &text].concat())
}

/// Opens what was sealed with this key for exactly this purpose; none if anything differs.
pub(super) fn open(key: &[u8; KEY_BYTES], purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: purpose.as_bytes() })
        .ok()
}
