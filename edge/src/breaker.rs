//! One target's circuit breaker: after failures in a row it is asked last for a while, then by one request as a probe.
//!
//! Pure: time is a parameter. Invariant: an open breaker lets one probe through at a time, and only after its pause; a
//! breaker refuses nobody by itself, it only says that others should be asked first.

/// Failures in a row that open a breaker. One is chance, two a coincidence; a target that fails three times running costs
/// every further request a call that brings nothing.
pub const FAILURES_TO_OPEN: u32 = 3;
/// How long a breaker is open at first, milliseconds: long enough to spare a provider that restarts, short enough that its
/// return is seen within half a minute.
pub const OPEN_MS: u64 = 10_000;
/// How long it is open at most, milliseconds: each probe that fails doubles the pause up to this.
pub const OPEN_MAX_MS: u64 = 300_000;
/// After so long a probe of which nothing was heard counts for nothing, milliseconds, and another one is let through. Longer
/// than providers need for their first content.
pub const PROBE_MAX_MS: u64 = 120_000;

/// Whether a target should be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As any other.
    Closed,
    /// By one request, to see whether it works again.
    HalfOpen,
    /// Only when nobody else is left.
    Open,
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may have been chance.
    Once,
    /// It will be the same for about so many milliseconds: the target said so, or its credential is refused.
    Lasting(u64),
}

/// The state of one target. One that has answered to its end is as new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// Until when it is open, and how long that pause is.
    open: Option<(u64, u64)>,
    /// Since when a probe is under way.
    probe_ms: Option<u64>,
}

impl Breaker {
    /// Whether the target should be asked now.
    #[must_use]
    pub const fn standing(&self, now_ms: u64) -> Standing {
        let Some((until_ms, _)) = self.open else { return Standing::Closed };
        let probed = match self.probe_ms {
            Some(since_ms) => now_ms < since_ms.saturating_add(PROBE_MAX_MS),
            None => false,
        };
        if now_ms < until_ms || probed { Standing::Open } else { Standing::HalfOpen }
    }

    /// The target is asked now; if it is half open, this is its probe.
    pub fn ask(&mut self, now_ms: u64) {
        if self.standing(now_ms) == Standing::HalfOpen {
            self.probe_ms = Some(now_ms);
        }
    }

    /// It has brought content: a breaker that was open is closed.
    pub const fn brought_content(&mut self) {
        if self.open.is_some() {
            *self = Self { failures: 0, open: None, probe_ms: None };
        }
    }

    /// It has failed.
    pub fn failed(&mut self, now_ms: u64, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        let pause_ms = match (failure, self.open) {
            (Failure::Lasting(ms), _) => ms.clamp(OPEN_MS, OPEN_MAX_MS),
            // A probe, or a call for want of others, has failed.
            (Failure::Once, Some((_, before_ms))) => before_ms.saturating_mul(2).min(OPEN_MAX_MS),
            (Failure::Once, None) if self.failures >= FAILURES_TO_OPEN => OPEN_MS,
            (Failure::Once, None) => return,
        };
        self.open = Some((now_ms.saturating_add(pause_ms), pause_ms));
        self.probe_ms = None;
    }

    /// Nothing was learned of it: the caller has left, or was wrong.
    pub const fn unknown(&mut self) {
        self.probe_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opened(at_ms: u64) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            assert_eq!(breaker.standing(at_ms), Standing::Closed);
            breaker.ask(at_ms);
            breaker.failed(at_ms, Failure::Once);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        assert_eq!(opened(5).standing(5), Standing::Open);
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(1, Failure::Once);
            breaker.failed(1, Failure::Once);
            breaker = Breaker::default();
        }
        assert_eq!(breaker.standing(1), Standing::Closed);
    }

    #[test]
    fn after_the_pause_one_probe_is_let_through_and_content_closes_it() {
        let mut breaker = opened(0);
        assert_eq!(breaker.standing(OPEN_MS - 1), Standing::Open);
        assert_eq!(breaker.standing(OPEN_MS), Standing::HalfOpen);
        breaker.ask(OPEN_MS);
        assert_eq!(breaker.standing(OPEN_MS), Standing::Open, "one probe at a time");
        breaker.brought_content();
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn each_probe_that_fails_doubles_the_pause_up_to_its_bound() {
        let mut breaker = opened(0);
        let mut now_ms = OPEN_MS;
        for pause_ms in [20_000, 40_000, 80_000, 160_000, OPEN_MAX_MS, OPEN_MAX_MS] {
            breaker.ask(now_ms);
            breaker.failed(now_ms, Failure::Once);
            assert_eq!(breaker.standing(now_ms + pause_ms - 1), Standing::Open);
            now_ms += pause_ms;
            assert_eq!(breaker.standing(now_ms), Standing::HalfOpen);
        }
    }

    #[test]
    fn a_probe_that_learns_nothing_or_is_never_heard_of_makes_room_for_another() {
        let mut breaker = opened(0);
        breaker.ask(OPEN_MS);
        breaker.unknown();
        assert_eq!(breaker.standing(OPEN_MS), Standing::HalfOpen);
        breaker.ask(OPEN_MS);
        assert_eq!(breaker.standing(OPEN_MS + PROBE_MAX_MS - 1), Standing::Open);
        assert_eq!(breaker.standing(OPEN_MS + PROBE_MAX_MS), Standing::HalfOpen);
    }

    #[test]
    fn a_failure_that_lasts_opens_it_at_once_for_as_long_as_it_says() {
        for (says_ms, open_ms) in [(30_000, 30_000), (0, OPEN_MS), (u64::MAX, OPEN_MAX_MS)] {
            let mut breaker = Breaker::default();
            breaker.failed(7, Failure::Lasting(says_ms));
            assert_eq!(breaker.standing(7 + open_ms - 1), Standing::Open);
            assert_eq!(breaker.standing(7 + open_ms), Standing::HalfOpen);
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_it_comes_back_within_its_longest_pause(steps in prop::collection::vec((0..6u8, 0..200_000u64), 0..60)) {
            let (mut breaker, mut now_ms, mut probes) = (Breaker::default(), 0, 0_u32);
            for (step, pass_ms) in steps {
                now_ms += pass_ms;
                match step {
                    0 => breaker.failed(now_ms, Failure::Once),
                    1 => breaker.failed(now_ms, Failure::Lasting(pass_ms)),
                    2 => breaker = Breaker::default(),
                    3 => breaker.unknown(),
                    4 => breaker.brought_content(),
                    _ => {
                        probes += u32::from(breaker.standing(now_ms) == Standing::HalfOpen);
                        breaker.ask(now_ms);
                        prop_assert_ne!(breaker.standing(now_ms), Standing::HalfOpen, "a probe is taken: {}", probes);
                    }
                }
                prop_assert_ne!(breaker.standing(now_ms + OPEN_MAX_MS), Standing::Open);
            }
        }
    }
}
