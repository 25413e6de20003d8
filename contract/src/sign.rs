//! Signatures of requests between the programs.
//!
//! The header [`SIGNATURE_HEADER`] holds `kid=…,t=…,v1=…`: the signing secret's id, the Unix time in milliseconds,
//! and an HMAC-SHA-256 over audience, method, path with query, time and the SHA-256 of the body. Each direction has
//! a ring of its own. A replay inside the time window is harmless: every record carries a revision, usage
//! events are idempotent by id, and revocation is final.

use crate::ring::{Ring, mac};
use hmac::Mac;
use sha2::{Digest as _, Sha256};

/// Header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-ag-signature";
/// Header of a request that the edge passes on: `<org>/<key>`, of a key whose secret the edge has checked.
pub const PRINCIPAL_HEADER: &str = "x-ag-principal";
/// How far a signature's time may lie from the verifier's clock. Hosts keep time by NTP; minutes mean a broken one.
pub const SIGNATURE_AGE_MAX_MS: u64 = 5 * 60 * 1000;

const DOMAIN: &str = "alphagate request v1";

/// Who a request is meant for, so that a request to one program is worth nothing at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// `control` calls `edge`.
    Edge,
    /// `edge` calls `control`.
    Control,
    /// `edge` passes a caller's request on to `control`: the signature covers who calls ([`PRINCIPAL_HEADER`]) where
    /// others cover the body, which streams through.
    PassedOn,
}

impl Audience {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Control => "control",
            Self::PassedOn => "passed on",
        }
    }
}

/// What a signature covers besides its time.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The receiver.
    pub audience: Audience,
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// Path and query as sent on the request line.
    pub path_and_query: &'a str,
    /// The whole body.
    pub body: &'a [u8],
}

/// The request was not signed by the other program, or too long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No header, or not of the form `kid=…,t=…,v1=…`.
    #[error("the request carries no signature that can be read")]
    Malformed,
    /// Unknown secret, or the text signed was another one.
    #[error("the signature does not fit the request")]
    Mismatch,
    /// The time in the signature is too far from now.
    #[error("the signature is outside its time window")]
    Stale,
}

/// The value of [`SIGNATURE_HEADER`] for a request made at `now_ms`.
#[must_use]
pub fn sign(ring: &Ring, request: &Signed<'_>, now_ms: u64) -> String {
    let (kid, secret) = ring.current();
    let tag = hex::encode(request_mac(secret, request, now_ms).finalize().into_bytes());
    format!("kid={kid},t={now_ms},v1={tag}")
}

/// Checks the value of [`SIGNATURE_HEADER`].
///
/// # Errors
/// [`SignError`] says which check failed; tell the caller no more than 401.
pub fn verify(ring: &Ring, header: &str, request: &Signed<'_>, now_ms: u64) -> Result<(), SignError> {
    let (kid, time, tag) = read(header).ok_or(SignError::Malformed)?;
    let secret = ring.get(kid).ok_or(SignError::Mismatch)?;
    request_mac(secret, request, time).verify_slice(&tag).map_err(|_| SignError::Mismatch)?;
    if time.abs_diff(now_ms) > SIGNATURE_AGE_MAX_MS {
        return Err(SignError::Stale);
    }
    Ok(())
}

fn read(header: &str) -> Option<(&str, u64, [u8; 32])> {
    let mut parts = header.split(',');
    let kid = parts.next()?.strip_prefix("kid=")?;
    let time = parts.next()?.strip_prefix("t=")?.parse().ok()?;
    let mut tag = [0; 32];
    hex::decode_to_slice(parts.next()?.strip_prefix("v1=")?, &mut tag).ok()?;
    parts.next().is_none().then_some((kid, time, tag))
}

fn request_mac(secret: &[u8; 32], request: &Signed<'_>, time_ms: u64) -> impl Mac {
    let body = Sha256::digest(request.body);
    mac(
        secret,
        DOMAIN,
        &[
            request.audience.as_str().as_bytes(),
            request.method.as_bytes(),
            request.path_and_query.as_bytes(),
            &time_ms.to_be_bytes(),
            &body,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn ring() -> Ring {
        Ring::parse(&format!("a:{}", "11".repeat(32))).unwrap()
    }

    fn request() -> Signed<'static> {
        Signed {
            audience: Audience::Control,
            method: "POST",
            path_and_query: "/internal/v1/usage?x=1",
            body: b"{}",
        }
    }

    #[test]
    fn a_signature_covers_everything() {
        let header = sign(&ring(), &request(), NOW_MS);
        assert_eq!(verify(&ring(), &header, &request(), NOW_MS + 1_000), Ok(()));
        let others = [
            Signed { audience: Audience::Edge, ..request() },
            Signed { method: "GET", ..request() },
            Signed { path_and_query: "/internal/v1/usage?x=2", ..request() },
            Signed { body: b"{ }", ..request() },
        ];
        for other in others {
            assert_eq!(verify(&ring(), &header, &other, NOW_MS), Err(SignError::Mismatch));
        }
        let moved = header.replace(&NOW_MS.to_string(), &(NOW_MS + 1).to_string());
        assert_eq!(verify(&ring(), &moved, &request(), NOW_MS), Err(SignError::Mismatch));
    }

    #[test]
    fn old_and_future_signatures_are_stale() {
        let header = sign(&ring(), &request(), NOW_MS);
        for now_ms in [NOW_MS - SIGNATURE_AGE_MAX_MS - 1, NOW_MS + SIGNATURE_AGE_MAX_MS + 1] {
            assert_eq!(verify(&ring(), &header, &request(), now_ms), Err(SignError::Stale));
        }
    }

    #[test]
    fn an_older_secret_of_the_ring_still_verifies() {
        let header = sign(&ring(), &request(), NOW_MS);
        let rotated = format!("b:{},a:{}", "22".repeat(32), "11".repeat(32));
        assert_eq!(verify(&Ring::parse(&rotated).unwrap(), &header, &request(), NOW_MS), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(header in "\\PC{0,120}") {
            prop_assert!(verify(&ring(), &header, &request(), NOW_MS).is_err());
        }
    }
}
