//! Draws that follow from a seed: the same request, or the same key, always draws the same.
//!
//! Pure: SplitMix64, whose every step is a bijection, so that seeds which differ in one bit draw nothing alike.

/// A row of draws.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The row of a seed, e.g. of a request's id.
    #[must_use]
    pub const fn new(seed: u128) -> Self {
        Self((seed >> 64) as u64 ^ mixed(seed as u64))
    }

    /// The next number below `end`; 0 if that is 0. For ends up to a million it is even to one part in 10¹³.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0).checked_rem(end).unwrap_or(0)
    }
}

const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn draws_follow_from_the_seed_and_are_even() {
        let first = |seed: u128| Draw::new(seed).below(100);
        assert_eq!(first(7), first(7));
        let mut counts = [0_u32; 100];
        for seed in 0..100_000_u128 {
            counts[first(seed << 3) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(Draw::new(1).below(0), 0);
    }
}
