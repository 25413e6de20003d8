//! One rolling window of one subject: buckets of amounts, oldest first.
//!
//! Invariant: the sum covers at least the whole window (the oldest bucket counts in full), so an amount never
//! leaves before its window is over, and at most one bucket length later.

use super::{Amounts, Unit, Window};
use serde::{Deserialize, Serialize};

/// Amounts by bucket; a bucket's number is its start divided by the bucket's length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    buckets: Vec<(u64, Amounts)>,
}

impl Meter {
    /// The bucket that `now_ms` falls into.
    pub(super) const fn bucket(window: Window, now_ms: u64) -> u64 {
        now_ms / window.bucket_ms()
    }

    /// Forgets buckets that no window ending at `now_ms` reaches.
    pub(super) fn roll(&mut self, window: Window, now_ms: u64) {
        let oldest = Self::bucket(window, now_ms).saturating_sub(window.buckets());
        self.buckets.retain(|(bucket, _)| *bucket >= oldest);
    }

    /// The sum over the window; call [`Self::roll`] first.
    pub(super) fn sum(&self, unit: Unit) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, amounts)| sum.saturating_add(amounts.of(unit)))
    }

    /// Adds to the bucket of `at_ms`, which may be one that has not begun.
    pub(super) fn add(&mut self, window: Window, at_ms: u64, amounts: Amounts) {
        let bucket = Self::bucket(window, at_ms);
        let place = self.buckets.partition_point(|(other, _)| *other < bucket);
        match self.buckets.get_mut(place).filter(|(other, _)| *other == bucket) {
            Some((_, sum)) => *sum = sum.plus(amounts),
            None => self.buckets.insert(place, (bucket, amounts)),
        }
    }

    /// Replaces, in the bucket of `at_ms`, what was reserved by what was used. Nothing happens if the bucket is gone.
    pub(super) fn replace(&mut self, window: Window, at_ms: u64, reserved: Amounts, used: Amounts) {
        let bucket = Self::bucket(window, at_ms);
        if let Some((_, sum)) = self.buckets.iter_mut().find(|(other, _)| *other == bucket) {
            *sum = sum.minus(reserved).plus(used);
        }
    }

    /// Milliseconds until `amount` more of `unit` fits under `cap`; `None` if it never does.
    pub(super) fn wait_ms(
        &self,
        window: Window,
        now_ms: u64,
        unit: Unit,
        amount: u64,
        cap: u64,
    ) -> Option<u64> {
        let mut room = cap.checked_sub(amount)?;
        for (bucket, amounts) in self.buckets.iter().rev() {
            match room.checked_sub(amounts.of(unit)) {
                Some(left) => room = left,
                None => {
                    let leaves_ms = (bucket + window.buckets() + 1).saturating_mul(window.bucket_ms());
                    return Some(leaves_ms.saturating_sub(now_ms));
                }
            }
        }
        Some(0)
    }

    /// When the youngest bucket began.
    pub(super) fn youngest_ms(&self, window: Window) -> Option<u64> {
        self.buckets.iter().map(|(bucket, _)| bucket.saturating_mul(window.bucket_ms())).max()
    }

    /// Whether nothing is counted any more.
    pub(super) const fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}
