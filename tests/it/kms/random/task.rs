//! Futures, each with a waker of its own: nobody is polled who was not woken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use futures::future::BoxFuture;

/// A future, and whether it was woken.
pub(super) struct Task<T> {
    future: BoxFuture<'static, T>,
    woken: Arc<Flag>,
}

/// A waker that remembers that it was woken, and wakes the thread of the test, should it wait for another thread.
struct Flag {
    is_up: AtomicBool,
    thread: Thread,
}

impl Flag {
    fn new(is_up: bool) -> Arc<Self> {
        Arc::new(Self { is_up: AtomicBool::new(is_up), thread: std::thread::current() })
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_up.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl<T> Task<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { future: Box::pin(future), woken: Flag::new(true) }
    }

    /// Whether it was woken since it was last polled, or never was.
    pub(super) fn is_woken(&self) -> bool {
        self.woken.is_up.load(Ordering::SeqCst)
    }

    /// Polls it, woken or not. The waker is a new one each time: only the last one that a future saw counts.
    pub(super) fn poll(&mut self) -> Poll<T> {
        self.woken = Flag::new(false);
        let waker = Arc::clone(&self.woken).into();
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}
