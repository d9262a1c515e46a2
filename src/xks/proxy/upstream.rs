//! Calls of what stands behind the proxy: with a deadline, and without its panics.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, in_time};

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
