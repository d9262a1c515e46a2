//! Where time comes from: one trait for wall time, monotonic time and sleeping.
//!
//! Every deadline of a store, a connection or a proxy is measured by a [`Clock`], so tests can drive time by hand with
//! [`ManualClock`] and a store needs no async runtime's timer. What lies below, such as the head start of one address
//! before the next and the timeouts of a proxy's listener, goes by the machine's.

mod manual;
mod system;

pub use manual::ManualClock;
pub use system::SystemClock;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};

use crate::panics::caught;

/// A source of time.
///
/// # For implementers
///
/// [`monotonic`](Self::monotonic) never goes back. A future from [`sleep`](Self::sleep) owns all it
/// needs, may be dropped at any time, and resolves when at least `duration` has passed since the call.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall time now. It may jump when the machine's clock is set.
    fn wall(&self) -> SystemTime;

    /// The monotonic time now.
    fn monotonic(&self) -> Instant;

    /// Resolves when `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// An `Arc` of a clock is that clock: many stores can share one.
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn monotonic(&self) -> Instant {
        (**self).monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        (**self).sleep(duration)
    }
}

/// Runs `work` for `limit` at most, and starts a timer only when the first poll gives no result: what is there at
/// once does not pay for one.
#[cfg(any(feature = "proxy", feature = "kms-api"))]
pub(crate) async fn in_time<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    use std::task::Poll;

    let mut work = std::pin::pin!(work);
    match std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => within(clock, limit, work).await,
    }
}

/// Runs `work` for at most `limit`, a limit of zero being one poll; `None` when the time ran out, with `work`
/// dropped.
///
/// Dropping this future drops `work` and the timer.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    if limit.is_zero() {
        // No time is no timer either, whose thread would give the work a moment longer.
        return work.now_or_never();
    }
    let work = std::pin::pin!(work);
    // A clock that panics gives no more time: better too early than never.
    let timer = caught(async { clock.sleep(limit).await });
    match select(work, std::pin::pin!(timer)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
