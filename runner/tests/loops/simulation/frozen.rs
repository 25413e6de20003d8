//! A machine whose tasks can be frozen, as SIGSTOP does: nothing of it is polled until it goes on; then everything is
//! late at once.

use alphagate_runner::platform::Platform;
use futures_util::future::BoxFuture;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// Shut while the machine is frozen.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Shut>>);

#[derive(Default)]
struct Shut {
    is_shut: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub fn freeze(&self) {
        self.0.lock().unwrap().is_shut = true;
    }

    pub fn thaw(&self) {
        let mut shut = self.0.lock().unwrap();
        shut.is_shut = false;
        shut.waiting.drain(..).for_each(Waker::wake);
    }

    /// The future, polled only while the gate is open.
    pub fn guard<F: Future>(&self, future: F) -> Guarded<F> {
        Guarded { gate: self.clone(), future: Box::pin(future) }
    }
}

pub struct Guarded<F> {
    gate: Gate,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut shut = self.gate.0.lock().unwrap();
        if shut.is_shut {
            shut.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        drop(shut);
        self.future.as_mut().poll(context)
    }
}

/// The platform of a simulated host.
pub struct FrozenPlatform {
    gate: Gate,
    random: Mutex<SmallRng>,
}

impl FrozenPlatform {
    pub fn new(gate: Gate, seed: u64) -> Self {
        Self { gate, random: Mutex::new(SmallRng::seed_from_u64(seed)) }
    }
}

impl Platform for FrozenPlatform {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(self.gate.guard(task));
    }

    fn random(&self) -> u64 {
        self.random.lock().unwrap().next_u64()
    }
}
