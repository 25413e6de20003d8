//! The runtime on which a bed's own tasks run.
//!
//! Every `#[tokio::test]` has a runtime that ends with the test; a bed that several tests share must outlive
//! them all. Invariant: no task of a bed is spawned on the runtime of whoever called it.

use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};

/// The provider serves 1,000 calls at once with two threads; more would take cores from what is under test.
const THREADS: usize = 2;

/// The handle of the beds' runtime, which lives as long as the process.
pub(crate) fn handle() -> Result<Handle> {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("bed")
        .enable_all()
        .build()
        .context("cannot start the bed's runtime")?;
    let handle = runtime.handle().clone();
    if HANDLE.set(handle).is_ok() {
        // Statics are not dropped, and this one must not be: it is kept by a thread that never ends.
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    } else {
        // Another thread was faster. A runtime must not be dropped where tasks run.
        runtime.shutdown_background();
    }
    HANDLE.get().cloned().context("the bed's runtime is gone")
}

/// Runs `work` to its end where nothing can be awaited: in `Drop` and at the end of the process.
pub(crate) fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = sender.send(runtime.block_on(work));
        }
    });
    receiver.recv().context("the work was not done")
}
