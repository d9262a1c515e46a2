//! Dropping a future at any await, or leaving it there.
//!
//! Each call is dropped after no poll, after one, after two and so on, until it completes; each time both at
//! once and when it has been woken, since then a result may be on its way that nobody will fetch.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::poll_fn;

use crate::clock::Clock;

/// How long to wait for a wake before polling nevertheless: longer than a call to something nearby takes.
const NAP: Duration = Duration::from_millis(50);

/// When a call is dropped, or left.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) polls: usize,
    /// Whether after the wake that would have led to the next poll.
    pub(crate) woken: bool,
}

impl Moment {
    pub(crate) fn after(self, call: &str) -> String {
        format!("after {call} was dropped ({self})")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let woken = if self.woken { ", then woken" } else { "" };
        write!(f, "polled {} times{woken}", self.polls)
    }
}

/// Every moment, up to so many polls.
pub(crate) fn moments(rounds: usize) -> impl Iterator<Item = Moment> {
    let polled = (1..=rounds).flat_map(|polls| [false, true].map(|woken| Moment { polls, woken }));
    std::iter::once(Moment { polls: 0, woken: false }).chain(polled)
}

/// Polls at most so many times, then drops; gives the output if there was one.
pub(crate) async fn poll_and_drop<T: Send>(
    clock: &dyn Clock,
    future: impl Future<Output = T> + Send,
    moment: Moment,
) -> Option<T> {
    poll_until(clock, pin!(future), moment).await
}

/// Polls at most so many times, leaves the future alone while others do something, and polls it to its end then. Gives what
/// the others came to, and whether the future had an output before.
pub(crate) async fn poll_and_leave<U>(
    clock: &dyn Clock,
    future: impl Future<Output: Send> + Send,
    moment: Moment,
    meanwhile: impl AsyncFnOnce() -> U,
) -> (U, bool) {
    let mut future = pin!(future);
    let is_done = poll_until(clock, future.as_mut(), moment).await.is_some();
    let others = meanwhile().await;
    if !is_done {
        future.await;
    }
    (others, is_done)
}

async fn poll_until<F: Future<Output: Send> + Send>(
    clock: &dyn Clock,
    mut future: Pin<&mut F>,
    moment: Moment,
) -> Option<F::Output> {
    for poll in 1..=moment.polls {
        if let Some(output) = poll_fn(|cx| Poll::Ready(ready(future.as_mut().poll(cx)))).await {
            return Some(output);
        }
        if poll < moment.polls || moment.woken {
            wake_or_nap(clock).await;
        }
    }
    None
}

/// Polls every call whenever it is polled. `join_all` stops early when calls wake themselves.
pub(crate) async fn poll_all<F: Future + Send>(calls: impl Iterator<Item = F> + Send) {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    poll_fn(|cx| {
        calls.retain_mut(|call| call.poll_unpin(cx).is_pending());
        if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Until whatever was polled before wakes this task, or a little while.
async fn wake_or_nap(clock: &dyn Clock) {
    let mut nap = clock.sleep(NAP);
    let mut polled = false;
    // The second poll is a wake: of the nap or, which comes to the same, of the call.
    poll_fn(|cx| {
        let over = nap.poll_unpin(cx).is_ready() || polled;
        polled = true;
        if over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
