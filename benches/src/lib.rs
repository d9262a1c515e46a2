//! What the benchmarks share: how an operation is timed, on one thread or on several that run it together.

pub mod loopback;
pub mod null;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

/// The numbers of threads that everything is measured with.
pub const THREADS: [usize; 2] = [1, 2];

/// Operations between two looks at whether to stop, and before the clock starts.
const BATCH: u64 = 256;

/// Criterion as its command line asks for it. Short measurements: nothing here takes more than microseconds.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(50)
        .configure_from_args()
}

/// The group `name` for this many threads.
pub fn group<'c>(criterion: &'c mut Criterion, name: &str, threads: usize) -> BenchmarkGroup<'c, WallTime> {
    let plural = if threads == 1 { "" } else { "s" };
    criterion.benchmark_group(format!("{name}, {threads} thread{plural}"))
}

/// Measures `operation`, which is given the number of the thread it runs on.
pub fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    threads: usize,
    name: &str,
    operation: impl Fn(usize) + Sync,
) {
    group.bench_function(name, |bencher| bencher.iter_custom(|count| time(threads, count, &operation)));
}

/// How long a thread takes for `count` operations while `threads` threads run them: the mean over the threads.
fn time(threads: usize, count: u64, operation: &(impl Fn(usize) + Sync)) -> Duration {
    if threads == 1 {
        return run(0, count, operation);
    }
    let (ready, done) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let worker = |thread| {
        move || {
            // What a thread does once in its life, such as filling its thread-locals, is not measured.
            run(thread, BATCH, operation);
            ready.fetch_add(1, Ordering::SeqCst);
            while ready.load(Ordering::SeqCst) < threads {
                thread::yield_now();
            }
            let taken = run(thread, count, operation);
            // Whoever is through goes on, so that nobody is measured alone.
            done.fetch_add(1, Ordering::SeqCst);
            while done.load(Ordering::SeqCst) < threads {
                run(thread, BATCH, operation);
            }
            taken
        }
    };
    let total: Duration = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(worker(thread))).collect();
        // A worker that panics has said why; criterion is told no time.
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
    });
    total / u32::try_from(threads).unwrap_or(u32::MAX)
}

fn run(thread: usize, count: u64, operation: &impl Fn(usize)) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        operation(thread);
    }
    start.elapsed()
}

/// The output of a future that is ready at its first poll; no executor, so that none is measured.
///
/// A macro, so that the future is made where it is polled, as `.await` does it: moving it costs several nanoseconds.
#[macro_export]
macro_rules! now {
    ($future:expr) => {
        $crate::first_poll(::std::pin::pin!($future))
    };
}

/// For [`now!`].
///
/// # Panics
///
/// When the future is not ready.
#[inline]
pub fn first_poll<F: Future>(future: Pin<&mut F>) -> F::Output {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready at its first poll"),
    }
}
