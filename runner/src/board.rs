//! The desk with its bells: each attempt that is held has two signals, and whoever waits for a change is woken.
//!
//! Invariant: a signal is rung under the same lock as the desk changes, so that no attempt starts unheard.

use crate::{
    desk::{Desk, Taken},
    watched::Watched,
};
use alphagate_contract::{
    id::AttemptId,
    job::{
        Kind,
        dispatch::{AskCommands, Claimed, Commands, Held, Slots},
    },
};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// What an attempt listens to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// End the work. Rung for a stop and for a loss.
    pub(crate) stop: CancellationToken,
    /// The work is nobody's any more: report nothing.
    pub(crate) lost: CancellationToken,
}

#[derive(Debug)]
struct State {
    desk: Desk,
    signals: BTreeMap<AttemptId, Signals>,
}

/// The desk, shared.
#[derive(Debug)]
pub(crate) struct Board(Watched<State>);

impl Board {
    pub(crate) fn new(slots: Slots) -> Self {
        Self(Watched::new(State { desk: Desk::new(slots), signals: BTreeMap::new() }))
    }

    /// Waits until jobs of a kind are wanted; how many.
    pub(crate) async fn wanted(&self, kind: Kind) -> u32 {
        self.0.wait(|state| Some(state.desk.wanted(kind)).filter(|wanted| *wanted > 0)).await
    }

    /// Waits until nothing is held.
    pub(crate) async fn emptied(&self) {
        self.0.wait_until(|state| state.desk.is_empty()).await;
    }

    /// Waits until the runner drains.
    pub(crate) async fn draining(&self) {
        self.0.wait_until(|state| state.desk.is_draining()).await;
    }

    /// Takes the answer to a claim; the attempts to start, with their signals.
    pub(crate) fn take(&self, claims: Vec<Claimed>) -> Vec<(Claimed, Signals)> {
        let mut started = Vec::new();
        self.0.change(|state| {
            let Taken { start, surplus } = state.desk.take(claims);
            for claimed in start {
                let signals = Signals::default();
                state.signals.insert(claimed.attempt, signals.clone());
                started.push((claimed, signals));
            }
            for held in surplus {
                tracing::warn!(job = %held.job, attempt = %held.attempt, "given without a free slot, left alone");
            }
        });
        started
    }

    /// What is to be renewed.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.0.look(|state| state.desk.held())
    }

    /// What is asked of the command poll.
    pub(crate) fn question(&self) -> AskCommands {
        self.0
            .look(|state| AskCommands { known: state.desk.known_stops(), draining: state.desk.is_draining() })
    }

    /// These are over for this runner.
    pub(crate) fn lose(&self, lost: &[Held]) {
        self.ring(
            |desk| desk.lose(lost),
            |signals| {
                signals.lost.cancel();
                signals.stop.cancel();
            },
        );
    }

    /// Does what control commands; whether anything of it was news.
    pub(crate) fn heed(&self, commands: &Commands) -> bool {
        let was_draining = self.0.look(|state| state.desk.is_draining());
        let stopped = self.ring(|desk| desk.heed(commands), |signals| signals.stop.cancel());
        stopped > 0 || (commands.drain && !was_draining)
    }

    /// Stops everything that is held, as control's command would.
    pub(crate) fn stop_all(&self) {
        let stop = self.held();
        self.heed(&Commands { stop, drain: true });
    }

    /// Throws away everything that is held.
    pub(crate) fn abandon_all(&self) {
        self.lose(&self.held());
    }

    /// From now on nothing more is asked for.
    pub(crate) fn drain(&self) {
        self.0.change(|state| state.desk.drain());
    }

    /// Nothing of the attempt is left.
    pub(crate) fn leave(&self, attempt: AttemptId) {
        self.0.change(|state| {
            state.desk.leave(attempt);
            state.signals.remove(&attempt);
        });
    }

    fn ring(&self, change: impl FnOnce(&mut Desk) -> Vec<AttemptId>, bell: impl Fn(&Signals)) -> usize {
        let mut count = 0;
        self.0.change(|state| {
            let rung = change(&mut state.desk);
            count = rung.len();
            rung.iter().filter_map(|attempt| state.signals.get(attempt)).for_each(&bell);
        });
        count
    }
}
