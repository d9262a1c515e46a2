//! What calls leave for the driver to see through.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;

use super::error::KmsError;
use super::exception::Exception;
use crate::panics::{Panicked, caught};
use crate::store::Joint;

/// The way from calls to the driver.
#[derive(Debug, Default)]
pub(super) struct Work {
    queue: Mutex<Queue>,
    driver: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<BoxFuture<'static, ()>>,
    /// Nobody will look here again.
    has_ended: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Work {
    /// Leaves something to be seen through. Dropped, when the driver is gone. What panics ends alone.
    pub(super) fn push(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shielded = caught(work).map(drop);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.has_ended {
            drop(queue);
            return drop(shielded);
        }
        queue.waiting.push(shielded.boxed());
        drop(queue);
        self.driver.wake();
    }

    /// Work whose result somebody waits for, and which goes on when nobody does any more.
    pub(super) fn see_through<T: Clone + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, KmsError>> + Send + 'static,
    ) -> Joint<Result<T, KmsError>> {
        let joint = Joint::new(work.boxed(), || Err(panicked()));
        self.push(joint.clone().map(drop));
        joint
    }

    /// What was left since the last time; `waker` is woken when there is more.
    pub(super) fn take(&self, waker: &Waker) -> Vec<BoxFuture<'static, ()>> {
        self.driver.register(waker);
        std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }

    pub(super) fn wake(&self) {
        self.driver.wake();
    }

    /// Lets go of everything, now and later.
    pub(super) fn end(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.has_ended = true;
        let left = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(left);
    }
}

/// Carries work out that ends in an error when it panics.
pub(super) async fn shielded<T>(work: impl Future<Output = Result<T, KmsError>>) -> Result<T, KmsError> {
    caught(work).await.unwrap_or_else(|Panicked| Err(panicked()))
}

/// Code of the application's, or our own, panicked in a call.
fn panicked() -> KmsError {
    let error = KmsError::new(
        Exception::KmsInternal,
        "something failed inside; whether the call took effect is unknown",
    );
    // As a call that was dropped.
    error.audited();
    error
}
