//! Calls of what stands behind the proxy: with a deadline, and without its panics.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, within};

/// Runs a piece of a connection's work for `limit` at most.
///
/// What a panic said is not repeated: it may hold a secret. The calls belong inside `work`, as an async block, since
/// they may panic before they return a future.
pub(super) async fn ask<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = Result<T, BackendError>> + Send,
) -> Result<T, BackendError> {
    match AssertUnwindSafe(in_time(clock, limit, work)).catch_unwind().await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(BackendError::new(BackendErrorKind::DependencyTimedOut)
            .with_detail("the connection did not answer before the proxy's own deadline")),
        Err(payload) => {
            // Its destructor is foreign code, and may panic in its turn.
            std::mem::forget(payload);
            Err(BackendErrorKind::Panicked.into())
        }
    }
}

/// Runs `work` for `limit` at most, and starts a timer only when the first poll gives no result: what is there at
/// once does not pay for one.
pub(super) async fn in_time<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    let mut work = pin!(work);
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => within(clock, limit, work).await,
    }
}
