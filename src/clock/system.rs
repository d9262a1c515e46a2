use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use futures_timer::Delay;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Clock;
use crate::panics::catch;

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
        Box::pin(Sleep { delay: Delay::new(duration), muffled: None })
    }
}

/// A delay that never lets a waker panic on the timer's thread: it is the only one, and would not come back.
struct Sleep {
    delay: Delay,
    /// The waker that was given last, and what the timer has in its place.
    muffled: Option<(Waker, Waker)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let known = self.muffled.as_ref().filter(|(given, _)| given.will_wake(cx.waker()));
        let muffled = known.map_or_else(
            || Waker::from(Arc::new(Muffled(Some(cx.waker().clone())))),
            |(_, muffled)| muffled.clone(),
        );
        let polled = self.delay.poll_unpin(&mut Context::from_waker(&muffled));
        self.muffled = polled.is_pending().then(|| (cx.waker().clone(), muffled));
        polled
    }
}

/// A waker that may panic when it is woken, and when it is dropped.
struct Muffled(Option<Waker>);

impl Muffled {
    fn quietly(work: impl FnOnce()) {
        // There is nobody to tell.
        let _ = catch(work);
    }
}

impl Wake for Muffled {
    fn wake(self: Arc<Self>) {
        Self::quietly(|| self.0.iter().for_each(Waker::wake_by_ref));
    }
}

impl Drop for Muffled {
    fn drop(&mut self) {
        let waker = self.0.take();
        Self::quietly(|| drop(waker));
    }
}
