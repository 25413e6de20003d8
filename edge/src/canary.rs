//! Which of an endpoint's versions a key is served: the live one, or the canary.
//!
//! Pure. A key stays on its side for as long as the canary runs: the draw follows from key and endpoint, not from the
//! request; and who is served a canary of some percent is served it at any more percent, too.

use crate::draw::Draw;
use alphagate_contract::{
    id::{EndpointId, KeyId},
    record::LiveRecord,
};

/// The version that serves this key; none before the first publication.
#[must_use]
pub fn version(live: &LiveRecord, key: KeyId, endpoint: EndpointId) -> Option<u32> {
    let Some(canary) = live.canary else { return live.version };
    if place(key, endpoint) < u64::from(canary.percent) { Some(canary.version) } else { live.version }
}

/// A key's place among those of an endpoint, 0 to 99. Another endpoint's canary is tried on other keys.
fn place(key: KeyId, endpoint: EndpointId) -> u64 {
    let mut draw = Draw::new(endpoint.uuid().as_u128());
    let salt = u128::from(draw.below(u64::MAX)) << 64 | u128::from(draw.below(u64::MAX));
    Draw::new(key.uuid().as_u128() ^ salt).below(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::{id::OrgId, record::Canary};

    /// As ids of one minute are: alike at the front, different at the end.
    fn end(number: u64) -> [u8; 10] {
        let mut bytes = [7; 10];
        bytes[2..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn key(number: u64) -> KeyId {
        KeyId::new(1_790_000_000_000, end(number))
    }

    fn endpoint(number: u64) -> EndpointId {
        EndpointId::new(1_790_000_000_000, end(number))
    }

    fn live(canary: Option<(u32, u8)>) -> LiveRecord {
        let canary = canary.map(|(version, percent)| Canary { version, percent });
        LiveRecord { publisher: OrgId::new(1, end(1)), version: Some(1), withdrawn: false, canary }
    }

    #[test]
    fn a_share_of_the_keys_is_served_the_canary_always_the_same_and_more_of_them_at_more_percent() {
        let served = |percent: u8, at: u64| -> Vec<bool> {
            let live = live(Some((2, percent)));
            (0..10_000).map(|number| version(&live, key(number), endpoint(at)) == Some(2)).collect()
        };
        let share = |served: &[bool]| served.iter().filter(|canary| **canary).count();
        let (few, more) = (served(10, 7), served(50, 7));
        assert!((900..1_100).contains(&share(&few)) && (4_800..5_200).contains(&share(&more)));
        assert!(few.iter().zip(&more).all(|(few, more)| !few || *more));
        assert_eq!(few, served(10, 7));
        let both = few.iter().zip(served(10, 8)).filter(|(one, other)| **one && *other).count();
        assert!(both < 200, "another endpoint's canary is tried on other keys: {both}");
        assert_eq!(version(&live(None), key(1), endpoint(1)), Some(1));
    }
}
