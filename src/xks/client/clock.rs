//! The clock that a client goes by unless it is given another.

use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::clock::{Clock, SystemClock};

/// The machine's clocks, sleeping on tokio's timer: each call needs one, and this one costs no other thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokioClock;

impl Clock for TokioClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if tokio::runtime::Handle::try_current().is_err() {
            // tokio would panic. A call outside of a runtime is to fail, and it does when it opens a connection.
            return SystemClock.sleep(duration);
        }
        tokio::time::sleep(duration).boxed()
    }
}
