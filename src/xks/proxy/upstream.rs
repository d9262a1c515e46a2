//! Calls of what stands behind the proxy: with a deadline, and without its panics.

use std::time::Duration;

use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, in_time};
use crate::panics::{Panicked, caught};

/// Runs a piece of a connection's work for `limit` at most.
///
/// What a panic said is not repeated: it may hold a secret. The calls belong inside `work`, as an async block, since
/// they may panic before they return a future.
pub(super) async fn ask<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = Result<T, BackendError>> + Send,
) -> Result<T, BackendError> {
    match caught(in_time(clock, limit, work)).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(BackendError::new(BackendErrorKind::DependencyTimedOut)
            .with_detail("the connection did not answer before the proxy's own deadline")),
        Err(Panicked) => Err(BackendErrorKind::Panicked.into()),
    }
}
