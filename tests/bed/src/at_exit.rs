//! Acts that must happen once: when their guard is dropped, or else when the process exits.
//!
//! A bed that lives in a static is never dropped, so `Drop` alone would leave its servers and folders behind.
//! Invariant: every act runs at most once, and at exit the newest runs first, as `Drop` would have it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

type Act = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Acts {
    last_id: u64,
    pending: BTreeMap<u64, Act>,
}

static ACTS: Mutex<Acts> = Mutex::new(Acts { last_id: 0, pending: BTreeMap::new() });
static HOOK: Once = Once::new();

/// An act that is still to happen.
#[derive(Debug)]
pub(crate) struct AtExit {
    id: u64,
}

impl AtExit {
    pub(crate) fn new(act: impl FnOnce() + Send + 'static) -> Self {
        HOOK.call_once(register_with_libc);
        let mut acts = lock();
        acts.last_id += 1;
        let id = acts.last_id;
        acts.pending.insert(id, Box::new(act));
        Self { id }
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        let act = lock().pending.remove(&self.id);
        if let Some(act) = act {
            act();
        }
    }
}

fn lock() -> MutexGuard<'static, Acts> {
    ACTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(unsafe_code, reason = "std has no hook for the end of the process; libc's has no preconditions")]
fn register_with_libc() {
    // SAFETY: `run_all` is an `extern "C"` function without arguments that does not unwind.
    unsafe { libc::atexit(run_all) };
}

extern "C" fn run_all() {
    // Taken one by one and run unlocked: an act may end other acts.
    while let Some((_, act)) = { lock().pending.pop_last() } {
        // A panic must not cross into libc, nor keep the others from running.
        let _ = catch_unwind(AssertUnwindSafe(act));
    }
}

#[cfg(test)]
mod tests {
    use super::AtExit;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn an_act_runs_once_when_its_guard_is_dropped() {
        let count = Arc::new(AtomicU32::new(0));
        let guard = AtExit::new({
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert_eq!(count.load(Ordering::SeqCst), 0);
        drop(guard);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
