//! How long to wait before something is tried again: exponential, with jitter, pure.
//!
//! Invariant: a wait is never longer than the longest, and never shorter than half of its step: a fleet that lost
//! control at one moment does not come back at one moment.

use std::time::Duration;

/// Waits that double.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins at `base` and doubles up to `longest`.
    #[must_use]
    pub const fn new(base: Duration, longest: Duration) -> Self {
        Self { base, longest, failures: 0 }
    }

    /// It worked: the next failure waits `base` again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure. `random` may be any number; it chooses between half of the step and the whole.
    pub fn after_failure(&mut self, random: u64) -> Duration {
        let step = self.base.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX) / 2;
        step / 2 + Duration::from_millis(random % (half_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_lies_between_half_of_its_step_and_the_whole(failures in 0..80_u32, random: u64) {
            let (base, longest) = (Duration::from_millis(100), Duration::from_secs(5));
            let mut backoff = Backoff::new(base, longest);
            let mut wait = Duration::ZERO;
            for _ in 0..=failures {
                wait = backoff.after_failure(random);
            }
            let step = base.saturating_mul(2_u32.saturating_pow(failures)).min(longest);
            prop_assert!(step / 2 <= wait && wait <= step, "{wait:?} for a step of {step:?}");
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let waits: Vec<_> = (0..10).map(|_| backoff.after_failure(0)).collect();
        assert!(waits.is_sorted());
        backoff.reset();
        assert_eq!(backoff.after_failure(0), Duration::from_millis(50));
    }
}
