//! Which sandboxes should wait: those that were asked for last. Pure.
//!
//! Invariant: never more than `idle_max` wait or are on their way, and what waits follows the last `idle_max` demands.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// The last demands.
#[derive(Debug)]
pub struct Demand<K> {
    last: VecDeque<K>,
    idle_max: usize,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<K> {
    /// Boot one of these.
    Boot(K),
    /// Throw away one of these, to make room.
    Evict(K),
    /// All is as it should be.
    Nothing,
}

impl<K: Clone + Eq + Hash> Demand<K> {
    /// No demand yet.
    pub const fn new(idle_max: usize) -> Self {
        Self { last: VecDeque::new(), idle_max }
    }

    /// Somebody asked for one of these.
    pub fn record(&mut self, key: K) {
        if self.last.len() >= self.idle_max {
            self.last.pop_front();
        }
        if self.idle_max > 0 {
            self.last.push_back(key);
        }
    }

    /// The next step from what waits (`idle`, those on their way included) towards what was asked for last.
    pub fn next(&self, idle: &HashMap<K, usize>) -> Next<K> {
        let mut wanted: HashMap<&K, usize> = HashMap::new();
        for key in &self.last {
            *wanted.entry(key).or_default() += 1;
        }
        let has = |key: &K| idle.get(key).copied().unwrap_or(0);
        // The newest demand first.
        let short = self.last.iter().rev().find(|key| has(key) < wanted.get(key).copied().unwrap_or(0));
        let Some(short) = short else { return Next::Nothing };
        if idle.values().sum::<usize>() < self.idle_max {
            return Next::Boot(short.clone());
        }
        let spare = idle.iter().find(|(key, count)| **count > wanted.get(key).copied().unwrap_or(0));
        spare.map_or(Next::Nothing, |(key, _)| Next::Evict(key.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn follow(demand: &Demand<u8>, idle: &mut HashMap<u8, usize>) -> usize {
        let mut steps = 0;
        loop {
            match demand.next(idle) {
                Next::Boot(key) => *idle.entry(key).or_default() += 1,
                Next::Evict(key) => *idle.get_mut(&key).unwrap() -= 1,
                Next::Nothing => return steps,
            }
            steps += 1;
            assert!(steps < 100);
        }
    }

    proptest! {
        #[test]
        fn what_waits_follows_the_last_demands_within_the_bound(
            idle_max in 0_usize..6,
            asked in proptest::collection::vec(0_u8..4, 0..30),
        ) {
            let (mut demand, mut idle) = (Demand::new(idle_max), HashMap::new());
            for key in &asked {
                demand.record(*key);
                follow(&demand, &mut idle);
                prop_assert!(idle.values().sum::<usize>() <= idle_max);
            }
            let mut expected = HashMap::new();
            for key in asked.iter().rev().take(idle_max) {
                *expected.entry(*key).or_insert(0) += 1;
            }
            idle.retain(|_, count| *count > 0);
            if asked.len() >= idle_max {
                prop_assert_eq!(idle, expected);
            }
        }
    }

    #[test]
    fn a_new_demand_takes_the_place_of_the_oldest() {
        let mut demand = Demand::new(2);
        ["a", "a", "b"].into_iter().for_each(|key| demand.record(key));
        assert_eq!(demand.next(&HashMap::from([("a", 2)])), Next::Evict("a"));
        assert_eq!(demand.next(&HashMap::from([("a", 1)])), Next::Boot("b"));
        assert_eq!(demand.next(&HashMap::from([("a", 1), ("b", 1)])), Next::Nothing);
    }
}
