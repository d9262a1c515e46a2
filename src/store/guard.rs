//! What keeps a backend's panics and its slowness out of the store.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::backend::BackendErrorKind;
use crate::clock::{Clock, within};
use crate::panics::{Panicked, catch, caught};

/// Runs a piece of a backend's work for `limit` at most.
///
/// When it gives no answer, the error says why: `TimedOut` or `Panicked`. The call itself belongs inside `work`, as
/// an async block, since a backend may panic before it returns a future.
pub(super) async fn answer<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: BoxFuture<'_, T>,
) -> Result<T, BackendErrorKind> {
    match caught(within(clock, limit, Shielded::new(work))).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(BackendErrorKind::TimedOut),
        Err(Panicked) => Err(BackendErrorKind::Panicked),
    }
}

/// Calls a backend where there is nothing to wait for.
#[inline]
pub(super) fn ask<T>(question: impl FnOnce() -> T) -> Result<T, BackendErrorKind> {
    catch(question).map_err(|Panicked| BackendErrorKind::Panicked)
}

/// Drops something of a backend's, which may panic at that too.
///
/// (A connection or backend that panics when it is dropped is let through: so a mock whose expectations were not met
/// fails its test.)
pub(super) fn discard<T>(value: T) {
    // There is nobody to tell: the value is gone either way.
    let _ = ask(|| drop(value));
}

/// A future of a backend's that is [discarded](discard), whoever drops it and when.
pub(super) struct Shielded<'a, T>(Option<BoxFuture<'a, T>>);

impl<'a, T> Shielded<'a, T> {
    pub(super) const fn new(future: BoxFuture<'a, T>) -> Self {
        Self(Some(future))
    }
}

impl<T> Future for Shielded<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // There until it is dropped.
        self.0.as_mut().map_or(Poll::Pending, |future| future.as_mut().poll(cx))
    }
}

impl<T> Drop for Shielded<'_, T> {
    fn drop(&mut self) {
        discard(self.0.take());
    }
}
