use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt as _;
use futures::executor::block_on;

use super::Joint;

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<T: Clone>(joint: &mut Joint<T>, waker: &Waker) -> Poll<T> {
    Pin::new(joint).poll(&mut Context::from_waker(waker))
}

/// Work that is ready when it is told, and wakes whoever polled it last.
fn told() -> (Joint<u32>, impl Fn(u32)) {
    let state: Arc<Mutex<(Option<u32>, Option<Waker>)>> = Arc::default();
    let seen = Arc::clone(&state);
    let work = poll_fn(move |cx| {
        let mut state = seen.lock().unwrap();
        state.1 = Some(cx.waker().clone());
        state.0.map_or(Poll::Pending, Poll::Ready)
    });
    let tell = move |outcome| {
        let waker = {
            let mut state = state.lock().unwrap();
            state.0 = Some(outcome);
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    };
    (Joint::new(work.boxed(), || 0), tell)
}

#[test]
fn all_get_the_outcome_and_are_woken_for_it() {
    let (mut first, tell) = told();
    let mut second = first.clone();
    let (one, two) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let wakers = (Waker::from(Arc::clone(&one)), Waker::from(Arc::clone(&two)));
    assert!(poll(&mut first, &wakers.0).is_pending());
    assert!(poll(&mut second, &wakers.1).is_pending());
    tell(7);
    assert_eq!((one.0.load(Ordering::SeqCst), two.0.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(poll(&mut second, &wakers.1), Poll::Ready(7));
    assert_eq!(block_on(first.clone()), 7);
    assert_eq!(block_on(first), 7);
}

#[test]
fn the_work_goes_on_when_whoever_began_it_is_dropped() {
    let (mut first, tell) = told();
    let mut second = first.clone();
    let waiting = Arc::new(Counter::default());
    assert!(poll(&mut second, &Waker::from(Arc::clone(&waiting))).is_pending());
    assert!(poll(&mut first, Waker::noop()).is_pending());
    drop(first);
    tell(7);
    assert_eq!(waiting.0.load(Ordering::SeqCst), 1, "the last who polled was another");
    assert_eq!(block_on(second), 7);
}

#[test]
fn the_work_ends_with_the_last_of_its_clones() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let work = async move {
        let _held = held;
        pending::<()>().await;
    };
    let mut first = Joint::new(work.boxed(), || ());
    let second = first.clone();
    assert!(poll(&mut first, Waker::noop()).is_pending());
    drop(first);
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(second);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_is_an_outcome_like_any_other() {
    let work = async { std::panic::panic_any("secret") };
    let joint = Joint::new(work.boxed(), || 13);
    assert_eq!(block_on(joint.clone()), 13);
    assert_eq!(block_on(joint), 13);
}

/// A waker that polls another clone when it is woken, as an executor without a queue would.
struct Eager(Mutex<Option<Joint<u32>>>, AtomicUsize);

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let joint = self.0.lock().unwrap().take();
        if joint.is_some_and(|mut joint| poll(&mut joint, Waker::noop()).is_ready()) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_waker_may_poll_the_work_itself() {
    let (mut first, tell) = told();
    let eager = Arc::new(Eager(Mutex::new(Some(first.clone())), AtomicUsize::new(0)));
    assert!(poll(&mut first, &Waker::from(Arc::clone(&eager))).is_pending());
    tell(7);
    assert_eq!(eager.1.load(Ordering::SeqCst), 1);
}

#[test]
fn who_was_sent_away_is_woken_for_what_he_missed() {
    // While it is being polled the work is woken, and then somebody else comes, and is sent away. Whoever polls is dropped.
    let other: Arc<Mutex<Option<Joint<u32>>>> = Arc::default();
    let (late, count) = (Arc::clone(&other), Arc::new(Counter::default()));
    let counted = Arc::clone(&count);
    let mut polls = 0;
    let work = poll_fn(move |cx| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(7);
        }
        cx.waker().wake_by_ref();
        let mut late = late.lock().unwrap();
        assert!(poll(late.as_mut().unwrap(), &Waker::from(Arc::clone(&counted))).is_pending());
        Poll::Pending
    });
    let mut first = Joint::new(work.boxed(), || 0);
    *other.lock().unwrap() = Some(first.clone());
    assert!(poll(&mut first, Waker::noop()).is_pending());
    drop(first);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    let late = other.lock().unwrap().take();
    assert_eq!(block_on(late.unwrap()), 7);
}

#[test]
fn many_threads_may_wait_for_it() {
    for _ in 0..200 {
        let (joint, tell) = told();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let joint = joint.clone();
                scope.spawn(move || assert_eq!(block_on(joint), 7));
            }
            scope.spawn(|| tell(7));
        });
    }
}
