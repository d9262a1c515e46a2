//! Work that several wait for, and that whoever polls drives.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;

use super::gate::WakerSet;
use super::guard::{Shielded, ask};

/// A future with clones, each of which gives its outcome, and each of which drives it. It belongs to all: it goes on
/// where it is when one of them is dropped, and ends when the last is.
///
/// Written by hand, since wakers may run anything, and hold anything: none is cloned, woken or dropped under a lock here.
pub(crate) struct Joint<T> {
    shared: Arc<Shared<T>>,
    /// Our place among those who wait.
    place: Option<usize>,
}

struct Shared<T> {
    work: Mutex<Work<T>>,
    waiting: Arc<Waiting>,
    /// What it comes to when it panics.
    panicked: fn() -> T,
}

enum Work<T> {
    Idle(Shielded<'static, T>),
    /// Somebody polls it at this moment; whether somebody else came meanwhile, and was sent away.
    Polled {
        sent_away: bool,
    },
    Done(T),
}

/// The waker of the work: wakes all who wait for it.
struct Waiting {
    wakers: WakerSet,
    /// Whether it was woken since it was last polled.
    woken: AtomicBool,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.wakers.wake_all();
    }
}

impl<T: Clone> Joint<T> {
    /// `panicked` says what it comes to when `work` panics.
    pub(crate) fn new(work: BoxFuture<'static, T>, panicked: fn() -> T) -> Self {
        let waiting = Waiting { wakers: WakerSet::new(), woken: AtomicBool::new(false) };
        let work = Mutex::new(Work::Idle(Shielded::new(work)));
        Self { shared: Arc::new(Shared { work, waiting: Arc::new(waiting), panicked }), place: None }
    }
}

impl<T> Shared<T> {
    fn work(&self) -> MutexGuard<'_, Work<T>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Shared<T> {
    /// Takes the work, to poll it; or says why not.
    fn take(&self) -> Result<Shielded<'static, T>, Poll<T>> {
        let mut work = self.work();
        match mem::replace(&mut *work, Work::Polled { sent_away: true }) {
            Work::Idle(future) => {
                *work = Work::Polled { sent_away: false };
                Ok(future)
            }
            Work::Polled { .. } => Err(Poll::Pending),
            Work::Done(outcome) => {
                *work = Work::Done(outcome.clone());
                Err(Poll::Ready(outcome))
            }
        }
    }

    fn poll(&self, mut future: Shielded<'static, T>) -> Poll<T> {
        self.waiting.woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.waiting));
        let polled = ask(|| Pin::new(&mut future).poll(&mut Context::from_waker(&waker)));
        let Ok(Poll::Pending) = polled else {
            // Gone before anybody hears of it.
            drop(future);
            let outcome = match polled {
                Ok(Poll::Ready(outcome)) => outcome,
                _ => (self.panicked)(),
            };
            *self.work() = Work::Done(outcome.clone());
            self.waiting.wakers.wake_all();
            return Poll::Ready(outcome);
        };
        let before = mem::replace(&mut *self.work(), Work::Idle(future));
        // Who was sent away came too late for a waking during this poll, and we, who were not, may be dropped before we
        // poll again.
        if matches!(before, Work::Polled { sent_away: true }) && self.waiting.woken.load(Ordering::SeqCst) {
            self.waiting.wakers.wake_all();
        }
        Poll::Pending
    }
}

impl<T: Clone> Future for Joint<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        // Registered before the look, so that an end in between is not missed.
        this.shared.waiting.wakers.register(&mut this.place, cx.waker());
        match this.shared.take() {
            Ok(future) => this.shared.poll(future),
            Err(known) => known,
        }
    }
}

impl<T> Clone for Joint<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), place: None }
    }
}

impl<T> Drop for Joint<T> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shared.waiting.wakers.remove(place);
        }
    }
}

impl<T> fmt::Debug for Joint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joint").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
