//! Where time comes from: one trait for wall time, monotonic time and sleeping.
//!
//! Every deadline of the crate is measured by a [`Clock`], so tests can drive time by hand with
//! [`ManualClock`] and nothing needs an async runtime's timer.

mod manual;
pub use manual::ManualClock;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};

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

/// The machine's own clocks. Sleeps on one timer thread shared by the process; needs no runtime.
///
/// ```
/// use custom_key_store::clock::{Clock, SystemClock};
/// use std::time::Duration;
///
/// let before = SystemClock.monotonic();
/// futures::executor::block_on(SystemClock.sleep(Duration::from_millis(2)));
/// assert!(before.elapsed() >= Duration::from_millis(2));
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state and never will")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        futures_timer::Delay::new(duration).boxed()
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
    match select(work, clock.sleep(limit)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(((), _)) => None,
    }
}
