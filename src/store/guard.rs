//! What keeps a backend's panics and its slowness out of the store.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::backend::BackendErrorKind;
use crate::clock::{Clock, within};

/// Runs a piece of a backend's work for `limit` at most.
///
/// When it gives no answer, the error says why: `TimedOut`, or `Panicked`, be it in a poll or when the work was
/// dropped at the end of its time. The call itself belongs inside `work`, as an async block, since a backend may
/// panic before it returns a future. What a panic said is not repeated: it may hold a secret.
pub(super) async fn answer<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Result<T, BackendErrorKind> {
    match AssertUnwindSafe(within(clock, limit, work)).catch_unwind().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(BackendErrorKind::TimedOut),
        Err(_panic) => Err(BackendErrorKind::Panicked),
    }
}

/// Calls a backend where there is nothing to wait for.
#[inline]
pub(super) fn ask<T>(question: impl FnOnce() -> T) -> Result<T, BackendErrorKind> {
    catch_unwind(AssertUnwindSafe(question)).map_err(|_panic| BackendErrorKind::Panicked)
}

/// Drops a backend's future, which may panic at that too.
///
/// (A connection that panics when it is dropped is let through: so a mock whose expectations were not met fails its
/// test.)
pub(super) fn discard<T>(value: T) {
    // There is nobody to tell: the value is gone either way.
    let _ = ask(|| drop(value));
}
