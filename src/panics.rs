//! Panics of code that is not ours: a backend's, a catalogue's, the application's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

/// Something panicked. What it said is not repeated, since it may hold a secret; nor dropped, since its destructor is foreign
/// code too, and may panic in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

impl Panicked {
    fn of(payload: Box<dyn std::any::Any + Send>) -> Self {
        std::mem::forget(payload);
        Self
    }
}

/// Does something that may panic.
#[inline]
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(Panicked::of)
}

/// The same of a future. A call that gives one belongs inside, in an async block: it may panic before it does.
#[inline]
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(Panicked::of)
}
