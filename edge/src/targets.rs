//! In which order a version's targets are asked for one request.
//!
//! Pure: health, region and seed are parameters. Invariant: every target is in the order exactly once; those whose breaker
//! is open come after all others, and among equals the share of first places follows the weights.

use crate::{breaker::Standing, draw::Draw};
use alphagate_contract::endpoint::{Region, Target};

/// The places of the targets in the version, first to be asked first. `health` has their standings, by place; what it
/// lacks is closed. The same seed draws the same order.
#[must_use]
pub fn order(targets: &[Target], health: &[Standing], region: Option<Region>, seed: u128) -> Vec<usize> {
    let mut draw = Draw::new(seed);
    let mut drawn: Vec<(usize, &Target)> = targets.iter().enumerate().collect();
    shuffle(&mut drawn, &mut draw);
    // A stable sort: among equals the draw decides.
    let is_open = |at: usize| health.get(at) == Some(&Standing::Open);
    drawn.sort_by(|(one_at, one), (other_at, other)| {
        is_open(*one_at)
            .cmp(&is_open(*other_at))
            .then(one.order.cmp(&other.order))
            .then(distance(one, region).cmp(&distance(other, region)))
    });
    drawn.into_iter().map(|(at, _)| at).collect()
}

/// 0: for this region; 1: for every region; 2: for other regions.
fn distance(target: &Target, region: Option<Region>) -> u8 {
    match region {
        _ if target.regions.is_empty() => 1,
        Some(region) if target.regions.contains(&region) => 0,
        _ => 2,
    }
}

/// Draws without replacement, each time by the weights of those that are left: so within any subset, too, the first of it
/// is drawn by the subset's weights.
fn shuffle(targets: &mut [(usize, &Target)], draw: &mut Draw) {
    for place in 0..targets.len() {
        let Some(left) = targets.get_mut(place..) else { return };
        let total: u64 = left.iter().map(|(_, target)| u64::from(target.weight)).sum();
        let mut at = draw.below(total);
        let chosen = left.iter().position(|(_, target)| {
            let weight = u64::from(target.weight);
            let here = at < weight;
            at = at.saturating_sub(weight);
            here
        });
        left.swap(0, chosen.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn target(order: u8, weight: u32, regions: &[&str]) -> Target {
        let target = json!({"base_url": "https://a", "model": "m", "order": order, "weight": weight, "regions": regions});
        serde_json::from_value(target).unwrap()
    }

    #[test]
    fn order_comes_first_then_the_region_and_open_breakers_last() {
        let targets =
            [target(1, 1, &["EU"]), target(0, 1, &["NA"]), target(0, 1, &[]), target(0, 1, &["EU"])];
        let open = |at: usize| {
            let mut health = vec![Standing::Closed; 4];
            health[at] = Standing::Open;
            health
        };
        let cases = [
            (vec![], Some(Region::Eu), [3, 2, 1, 0]),
            (vec![], Some(Region::Na), [1, 2, 3, 0]),
            (open(3), Some(Region::Eu), [2, 1, 0, 3]),
            (open(0), Some(Region::Eu), [3, 2, 1, 0]),
            (vec![Standing::Open; 4], Some(Region::Eu), [3, 2, 1, 0]),
            (vec![Standing::HalfOpen; 4], Some(Region::Eu), [3, 2, 1, 0]),
        ];
        for (health, region, expected) in cases {
            for seed in 0..20 {
                assert_eq!(order(&targets, &health, region, seed), expected, "{health:?} {region:?}");
            }
        }
        let nowhere = order(&targets, &[], None, 1);
        assert_eq!((nowhere[0], nowhere[3]), (2, 0), "without a region, those for none come first");
    }

    #[test]
    fn first_places_follow_the_weights_also_among_those_that_are_left() {
        let targets = [target(0, 1, &[]), target(0, 3, &[]), target(0, 6, &[])];
        let share = |health: &[Standing], at: usize| {
            let first = |seed: &u128| order(&targets, health, None, *seed)[0] == at;
            (0..20_000_u128).filter(first).count() as f64 / 20_000.0
        };
        for (at, expected) in [(0, 0.1), (1, 0.3), (2, 0.6)] {
            assert!((share(&[], at) - expected).abs() < 0.02, "{at}: {}", share(&[], at));
        }
        let last_open = [Standing::Closed, Standing::Closed, Standing::Open];
        assert!((share(&last_open, 1) - 0.75).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn every_target_comes_once_and_none_before_one_that_is_better(
            rows in prop::collection::vec((0..3u8, 1..1_000u32, 0..3usize, 0..3u8), 1..8),
            region in 0..3usize,
            seed in any::<u128>(),
        ) {
            let regions: [&[&str]; 3] = [&[], &["EU"], &["NA"]];
            let targets: Vec<Target> = rows.iter().map(|(order, weight, at, _)| target(*order, *weight, regions[*at])).collect();
            let standing = |state: u8| [Standing::Closed, Standing::HalfOpen, Standing::Open][usize::from(state)];
            let health: Vec<Standing> = rows.iter().map(|row| standing(row.3)).collect();
            let region = [None, Some(Region::Eu), Some(Region::Na)][region];
            let ordered = order(&targets, &health, region, seed);
            let mut sorted = ordered.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..targets.len()).collect::<Vec<_>>());
            let rank = |at: &usize| (health[*at] == Standing::Open, targets[*at].order, distance(&targets[*at], region));
            prop_assert!(ordered.windows(2).all(|pair| rank(&pair[0]) <= rank(&pair[1])));
            prop_assert_eq!(ordered, order(&targets, &health, region, seed));
        }
    }
}
