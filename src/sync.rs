//! The synchronization primitives that the admission gate is built on.
//!
//! The gate takes them from here by name, so that `tests/loom` can compile the same source
//! against loom's versions, without a `cfg` that would leak into our users' builds.

pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;

static NEXT_HINT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HINT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A small number that differs between threads and stays the same within one, to spread them over shards.
pub(crate) fn thread_hint() -> usize {
    HINT.with(|hint| {
        hint.get().unwrap_or_else(|| {
            let number = NEXT_HINT.fetch_add(1, Ordering::Relaxed);
            hint.set(Some(number));
            number
        })
    })
}
