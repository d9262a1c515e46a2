//! The admission gate beside what else could count calls: entering and leaving once.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use criterion::Criterion;
use custom_key_store_benches::{THREADS, criterion, group, measure, now};

use crate::gate::{Entry, Gate};
use crate::sync::thread_hint;

// The gate is private; this compiles the very source that ships, as `tests/loom` does.
#[path = "../src/sync.rs"]
mod sync;

#[path = "../src/store/gate.rs"]
#[expect(dead_code, reason = "shutting is not measured")]
mod gate;

/// A counter that shares its cache line with nothing.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    /// The same two atomic steps that any count of calls in flight costs at least.
    #[inline]
    fn pass(&self) {
        black_box(self.0.fetch_add(1, Ordering::AcqRel));
        black_box(self.0.fetch_sub(1, Ordering::AcqRel));
    }
}

#[inline]
fn pass(gate: &Gate, hint: usize) {
    match gate.enter(hint) {
        Entry::Admitted(mut permit) => assert!(black_box(permit.finish()), "nobody abandons the gate"),
        Entry::Shut | Entry::Full => unreachable!("nobody shuts the gate"),
    }
}

fn compare(criterion: &mut Criterion, threads: usize) {
    let gate = Gate::new(threads);
    let one_shard = Gate::new(1);
    let counter = Counter::default();
    let counters: Vec<Counter> = (0..threads).map(|_| Counter::default()).collect();
    let std_lock = RwLock::new(());
    let tokio_lock = Arc::new(tokio::sync::RwLock::new(()));

    let mut group = group(criterion, "gate", threads);
    measure(&mut group, threads, "gate", |thread| pass(black_box(&gate), thread));
    measure(&mut group, threads, "gate, shard by thread_hint", |_| pass(black_box(&gate), thread_hint()));
    measure(&mut group, threads, "gate, all on one shard", |thread| pass(black_box(&one_shard), thread));
    measure(&mut group, threads, "one atomic counter", |_| black_box(&counter).pass());
    measure(&mut group, threads, "sharded atomic counter", |thread| {
        if let Some(counter) = black_box(&counters).get(thread) {
            counter.pass();
        }
    });
    measure(&mut group, threads, "std RwLock read", |_| {
        drop(black_box(black_box(&std_lock).read().unwrap_or_else(PoisonError::into_inner)));
    });
    measure(&mut group, threads, "tokio RwLock read", |_| {
        drop(black_box(now!(black_box(&tokio_lock).read())));
    });
    measure(&mut group, threads, "tokio RwLock read_owned", |_| {
        drop(black_box(now!(Arc::clone(black_box(&tokio_lock)).read_owned())));
    });
    group.finish();
}

fn main() {
    let mut criterion = criterion();
    for threads in THREADS {
        compare(&mut criterion, threads);
    }
    criterion.final_summary();
}
