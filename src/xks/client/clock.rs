//! The clock that a client goes by unless it is given another.

use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::clock::Clock;

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
        tokio::time::sleep(duration).boxed()
    }
}
