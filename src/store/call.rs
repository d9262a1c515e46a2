//! One call on a connection, under supervision of the gate.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::gate::Permit;
use super::guard::{ask, discard};
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::Clock;
use crate::error::Error;

/// Drives an admitted call to its result, and no further than the gate allows.
///
/// - Once the call is abandoned it answers `NotConnected` and never polls the backend again; a result that
///   arrives in the poll during which it was abandoned is thrown away.
/// - A panic of the backend becomes the call's error; what it said is not repeated, since it may hold a secret.
/// - The timer is made only when the first poll gives no result, so that a call in memory does not pay for it.
///
/// Dropping the future drops the backend's and gives the permit back.
///
/// Written by hand, since an `async fn` keeps a copy of what it is given beside the one it uses.
#[must_use = "futures do nothing unless polled"]
pub(super) struct Supervised<'c, T, M> {
    // Gone before the permit is given back, at every ending and when dropped: whoever finds the call out of the
    // count finds its future gone too.
    call: Call<'c, T, M>,
    timer: Option<BoxFuture<'static, ()>>,
    clock: &'c dyn Clock,
    limit: Duration,
    permit: Permit<'c>,
}

enum Call<'c, T, M> {
    /// To be made in the first poll, where a backend that panics before it returns a future is caught like any
    /// other.
    ToMake(M),
    Made(BoxFuture<'c, Result<T, BackendError>>),
    Gone,
}

/// Supervises the call that `make` makes.
pub(super) const fn supervise<'c, T, M>(
    permit: Permit<'c>,
    clock: &'c dyn Clock,
    limit: Duration,
    make: M,
) -> Supervised<'c, T, M>
where
    M: FnOnce() -> BoxFuture<'c, Result<T, BackendError>> + Unpin,
{
    Supervised { call: Call::ToMake(make), timer: None, clock, limit, permit }
}

impl<'c, T, M> Call<'c, T, M>
where
    M: FnOnce() -> BoxFuture<'c, Result<T, BackendError>> + Unpin,
{
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, BackendError>> {
        if let Self::ToMake(_) = self
            && let Self::ToMake(make) = mem::replace(self, Self::Gone)
        {
            *self = Self::Made(make());
        }
        match self {
            Self::Made(call) => call.as_mut().poll(cx),
            // Not reached: it is made above, and nobody polls what has ended.
            Self::ToMake(_) | Self::Gone => Poll::Ready(Err(BackendErrorKind::Internal.into())),
        }
    }
}

impl<T, M> Drop for Supervised<'_, T, M> {
    fn drop(&mut self) {
        discard(mem::replace(&mut self.call, Call::Gone));
    }
}

impl<'c, T, M> Future for Supervised<'c, T, M>
where
    M: FnOnce() -> BoxFuture<'c, Result<T, BackendError>> + Unpin,
{
    type Output = Result<T, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, timer, clock, limit, permit } = self.get_mut();
        // Written from within the catching, and already what it shall be: each time that a result is handed on it
        // is copied, and it is as large as a ciphertext.
        let mut polled = Poll::Ready(Err(Error::ABANDONED));
        if permit.begin_poll() {
            if let Err(panicked) = ask(|| polled = call.poll(cx).map_err(Error::from)) {
                polled = Poll::Ready(Err(BackendError::new(panicked).into()));
            }
            if polled.is_pending() {
                // A clock that panics gives no more time.
                let over = limit.is_zero()
                    || ask(|| timer.get_or_insert_with(|| clock.sleep(*limit)).poll_unpin(cx).is_ready())
                        .unwrap_or(true);
                if over {
                    polled = Poll::Ready(Err(BackendError::new(BackendErrorKind::TimedOut).into()));
                } else if permit.park(cx.waker()) {
                    return Poll::Pending;
                } else {
                    polled = Poll::Ready(Err(Error::ABANDONED));
                }
            }
        }
        // A backend's future that panics when it is dropped has still given its answer.
        discard(mem::replace(call, Call::Gone));
        if permit.finish() { polled } else { Poll::Ready(Err(Error::ABANDONED)) }
    }
}
