//! Time and randomness, as the rest of the crate gets them: from the state, never from the ambient.
//!
//! Nothing that several hosts must agree on is decided by this clock: expiry, overlap and retention are compared with
//! the database's `now()`. It dates ids and the signatures of requests.

use rand::{Rng as _, TryCryptoRng, TryRng};
use std::convert::Infallible;

/// What a program gets from the machine it runs on.
pub trait Platform: Send + Sync + 'static {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;

    /// Fills `bytes` with numbers that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine itself.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Platform for Host {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now_ms(&self) -> u64 {
        u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or(0)
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

impl dyn Platform {
    /// So many random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number from 0 to `max`, both included.
    pub(crate) fn up_to(&self, max: u64) -> u64 {
        let random = u128::from(u64::from_le_bytes(self.bytes()));
        u64::try_from((random * (u128::from(max) + 1)) >> 64).unwrap_or(max)
    }
}

/// The platform's randomness as `rand`'s trait, for libraries that take one.
pub(crate) struct Randomness<'a>(pub(crate) &'a dyn Platform);

impl TryRng for Randomness<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Randomness<'_> {}

#[cfg(test)]
pub(crate) mod fixed {
    //! A platform that stands still: one time, and bytes that count up.

    use super::Platform;
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) struct Fixed(pub(crate) AtomicU8);

    impl Fixed {
        pub(crate) fn new() -> Self {
            Self(AtomicU8::new(0))
        }
    }

    impl Platform for Fixed {
        fn now_ms(&self) -> u64 {
            1_790_000_000_000
        }

        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_number_stays_within_its_range() {
        let host: &dyn Platform = &Host;
        assert_eq!(host.up_to(0), 0);
        assert!((0..1_000).all(|_| host.up_to(3) <= 3));
        let seen: std::collections::HashSet<_> = (0..1_000).map(|_| host.up_to(3)).collect();
        assert_eq!(seen.len(), 4);
    }
}
