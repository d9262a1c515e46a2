//! Who makes progress on behalf of everybody.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::due::rounds;
use super::refusals::PERIOD;
use super::shared::Shared;
use super::slot::Slot;
use crate::clock::within;
use crate::panics::catch;

/// Drives all stores of a [`Kms`](super::Kms): connects, disconnects, connects again after a restart, deletes the keys
/// whose time has come, and sees through what calls began. A future to be spawned or awaited; nothing of this happens
/// anywhere else.
///
/// Ends when [`Kms::shut_down`](super::Kms::shut_down) was called and everything has been brought to its end: calls in flight
/// have finished or were abandoned, every connection was said goodbye to, the audit trail is closed. What was connected is
/// connected again by the next one who opens the catalogue.
///
/// Dropped before, it disconnects all stores at once, as a crash would, without a goodbye and without writing it down; what was
/// counted in place of lines of the audit trail alone is said to it. A `Kms` whose driver is gone refuses every call.
#[must_use = "a driver does nothing unless it is polled: spawn it"]
pub struct Driver {
    shared: Arc<Shared>,
    tasks: FuturesUnordered<BoxFuture<'static, ()>>,
    /// What is done now and then.
    rounds: BoxFuture<'static, ()>,
    ending: Ending,
}

/// How far the end has come.
enum Ending {
    NotBegun,
    /// Stores disconnect, or what calls have begun finishes within the same time again.
    Farewell(BoxFuture<'static, ()>),
    Draining(BoxFuture<'static, ()>),
    /// The audit trail is written to its end.
    Closing(BoxFuture<'static, ()>),
    Done,
}

/// How long an audit trail may take to be written to its end.
const CLOSING: Duration = Duration::from_secs(60);

/// How many pieces of work may be finished before others of the same runtime have their turn.
const BUDGET: usize = 256;

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let rounds = join(rounds(Arc::clone(&shared)), counts(Arc::clone(&shared))).map(drop).boxed();
        Self { shared, tasks: FuturesUnordered::new(), rounds, ending: Ending::NotBegun }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if matches!(this.ending, Ending::Done) {
            return Poll::Ready(());
        }
        this.work(cx);
        if !this.shared.is_shutting_down() {
            // Never ends.
            let _ = this.rounds.poll_unpin(cx);
            return Poll::Pending;
        }
        ready!(this.poll_ending(cx));
        this.end();
        Poll::Ready(())
    }
}

impl Driver {
    fn work(&mut self, cx: &mut Context<'_>) {
        for _ in 0..BUDGET {
            self.tasks.extend(self.shared.work.take(cx.waker()));
            match self.tasks.poll_next_unpin(cx) {
                // More work may have come of it.
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = match &mut self.ending {
                Ending::NotBegun => {
                    // What they have to say of what they did is said while it can be written.
                    self.rounds = std::future::pending().boxed();
                    Ending::Farewell(farewell(Arc::clone(&self.shared)).boxed())
                }
                Ending::Farewell(farewell) => {
                    ready!(farewell.poll_unpin(cx));
                    Ending::Draining(self.shared.clock().sleep(self.shared.settings.drain_limit))
                }
                Ending::Draining(limit) => {
                    if !self.tasks.is_empty() {
                        ready!(limit.poll_unpin(cx));
                    }
                    // Whatever is not over now is given up, and says so in the trail before that is closed.
                    self.shared.work.end();
                    self.tasks.clear();
                    let shared = Arc::clone(&self.shared);
                    let closing =
                        async move { within(&**shared.clock(), CLOSING, shared.trail.close()).await };
                    Ending::Closing(closing.map(drop).boxed())
                }
                Ending::Closing(closing) => {
                    ready!(closing.poll_unpin(cx));
                    Ending::Done
                }
                Ending::Done => return Poll::Ready(()),
            };
            self.ending = next;
        }
    }

    fn end(&mut self) {
        self.shared.has_ended();
        for slot in self.shared.all_slots() {
            drop(slot.take());
        }
        self.shared.work.end();
        self.tasks.clear();
        // Of a trail that was closed in order there are none.
        self.shared.trail.say_the_last_counts();
        self.shared.events.end();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Polls a store until it is in a state that lasts.
pub(super) async fn settle(shared: &Shared, slot: &Slot) {
    let driven = slot.driven();
    poll_fn(|cx| slot.poll(cx, |store, moved| shared.tell(store, moved))).await;
    driven.done();
}

/// Makes lines of the audit trail of what was counted in place of lines.
async fn counts(shared: Arc<Shared>) {
    loop {
        shared.trail.any_counted().await;
        shared.clock().sleep(PERIOD).await;
        // There is nobody to tell.
        let _ = catch(|| shared.trail.say_what_was_counted());
    }
}

/// Brings everything to its end, and writes nothing down.
async fn farewell(shared: Arc<Shared>) {
    let retire = |slot: Arc<Slot>| async move {
        if let Some(store) = slot.take() {
            store.retire().await;
        }
    };
    join_all(shared.all_slots().into_iter().map(retire)).await;
}
