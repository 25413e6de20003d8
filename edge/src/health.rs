//! The breakers of the targets that this isolate has asked.
//!
//! Health is of a target and a payer: another org's credential may be refused where ours is not. It lies in memory only:
//! an isolate that starts anew asks every target as if it were well.

use crate::{
    breaker::{Breaker, Failure, Standing},
    clock,
    resolve::Route,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    usage::Outcome,
};
use std::{cell::RefCell, collections::HashMap};

/// Most breakers that are kept; about 100 bytes each. Only those of targets that have failed are.
const BREAKERS_MAX: usize = 4_096;

/// Whose health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patient {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its version.
    pub version: u32,
    /// The org whose credential is used.
    pub paying: OrgId,
    /// The target's place in the version.
    pub target: u8,
}

thread_local! {
    static BREAKERS: RefCell<HashMap<Patient, Breaker>> = RefCell::default();
}

impl Patient {
    /// The target at this place of a route.
    #[must_use]
    pub fn new(route: &Route, at: usize) -> Self {
        let target = u8::try_from(at).unwrap_or(u8::MAX);
        Self { endpoint: route.endpoint, version: route.version, paying: route.paying, target }
    }

    /// Whether it should be asked now.
    #[must_use]
    pub fn standing(self) -> Standing {
        let now_ms = clock::now_ms();
        BREAKERS
            .with_borrow(|all| all.get(&self).map_or(Standing::Closed, |breaker| breaker.standing(now_ms)))
    }

    /// It is asked now.
    pub fn ask(self) {
        self.change(|breaker| breaker.ask(clock::now_ms()));
    }

    /// It has brought content.
    pub fn brought_content(self) {
        self.change(Breaker::brought_content);
    }

    /// It has answered to the end.
    fn succeeded(self) {
        BREAKERS.with_borrow_mut(|all| all.remove(&self));
    }

    /// It has ended so, after content.
    pub fn ended(self, outcome: Outcome) {
        match outcome {
            Outcome::Completed | Outcome::Incomplete => self.succeeded(),
            Outcome::Failed => self.failed(Failure::Once),
            Outcome::Aborted | Outcome::Orphaned => self.unknown(),
        }
    }

    /// Nothing was learned of it.
    pub fn unknown(self) {
        self.change(Breaker::unknown);
    }

    /// It has failed.
    pub fn failed(self, failure: Failure) {
        BREAKERS.with_borrow_mut(|all| {
            if all.len() >= BREAKERS_MAX && !all.contains_key(&self) {
                // Better to ask ill targets than to grow without end.
                all.clear();
            }
            all.entry(self).or_default().failed(clock::now_ms(), failure);
        });
    }

    fn change(self, change: impl FnOnce(&mut Breaker)) {
        BREAKERS.with_borrow_mut(|all| {
            if let Some(breaker) = all.get_mut(&self) {
                change(breaker);
            }
        });
    }
}
