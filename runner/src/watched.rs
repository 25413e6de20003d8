//! A value that tasks can wait on.
//!
//! Like tokio's `watch`, but whoever waits is woken in the order in which he came: that one wakes in random order, and a
//! simulation could not be played again. Invariant: no change is missed between a look and the wait after it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A value behind a lock, with a bell.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Watched<T> {
    /// A value to begin with.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::const_new() }
    }

    /// Looks at the value.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value and wakes everyone who waits.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until a look at the value gives something.
    pub async fn wait<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on a change wakes this waiter, even before it is polled.
            changed.as_mut().enable();
            if let Some(result) = look(&self.lock()) {
                return result;
            }
            changed.await;
        }
    }

    /// Waits until the value is as wanted.
    pub async fn wait_until(&self, mut condition: impl FnMut(&T) -> bool) {
        self.wait(|value| condition(value).then_some(())).await;
    }

    /// A panic in a short closure leaves a value that is still whole enough to go on with.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (flag, order) = (Arc::new(Watched::new(false)), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let (flag, order) = (Arc::clone(&flag), Arc::clone(&order));
                tokio::spawn(async move {
                    flag.wait_until(|flag| *flag).await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        flag.change(|flag| *flag = true);
        for task in waiting {
            task.await.unwrap();
        }
        assert!(order.lock().unwrap().is_sorted());
    }
}
