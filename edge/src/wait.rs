//! Waiting with a limit.

use futures_util::future::{Either, select};
use std::{future::Future, pin::pin, time::Duration};
use worker::Delay;

/// The future's output, or `None` if it takes longer than `limit_ms`.
pub async fn at_most<T>(limit_ms: u64, future: impl Future<Output = T>) -> Option<T> {
    // A `Delay` keeps the first waker that polls it, so each wait gets a new one.
    let delay = Delay::from(Duration::from_millis(limit_ms));
    match select(pin!(future), pin!(delay)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
