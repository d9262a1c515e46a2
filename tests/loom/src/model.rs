//! Every interleaving of the gate's steps that loom can find, in small settings.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::gate::{Entry, Gate, Permit};

/// Explores all interleavings with up to three preemptions, which is where such bugs are found; without the
/// bound the larger settings take minutes and have found no more.
fn check(setting: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(setting);
}

/// What came of a call.
#[derive(Debug, PartialEq)]
enum End {
    Refused,
    Delivered,
    Withheld,
}

/// Does something with the gate on another thread.
fn beside<T: 'static>(gate: &Arc<Gate>, work: impl FnOnce(&Gate) -> T + 'static) -> JoinHandle<T> {
    let gate = Arc::clone(gate);
    thread::spawn(move || work(&gate))
}

/// A call whose backend answers in the first poll.
fn quick_call(gate: &Gate, hint: usize) -> End {
    match gate.enter(hint) {
        Entry::Shut | Entry::Full => End::Refused,
        Entry::Admitted(mut permit) => {
            assert!(permit.begin_poll(), "the first poll was begun by entering");
            if permit.finish() { End::Delivered } else { End::Withheld }
        }
    }
}

/// A call that is polled once and sleeps then.
fn sleeping_call(gate: &Gate) -> Option<Permit<'_>> {
    let Entry::Admitted(mut permit) = gate.enter(0) else {
        return None;
    };
    block_on(poll_fn(|cx| {
        permit.park(cx.waker());
        Poll::Ready(())
    }));
    Some(permit)
}

/// A call whose backend answers in the second poll, and which is polled only when it is woken.
fn slow_call(gate: &Gate, hint: usize, wake_itself: bool) -> End {
    let Entry::Admitted(mut permit) = gate.enter(hint) else {
        return End::Refused;
    };
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        if !permit.begin_poll() {
            return Poll::Ready(End::Withheld);
        }
        polls += 1;
        if polls == 2 {
            return Poll::Ready(if permit.finish() { End::Delivered } else { End::Withheld });
        }
        if !permit.park(cx.waker()) {
            return Poll::Ready(End::Withheld);
        }
        if wake_itself {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }))
}

#[test]
fn a_call_is_counted_by_shutting_or_refused() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| quick_call(gate, 0));
        let in_flight = gate.shut();
        block_on(gate.drained());
        assert_eq!(gate.shut(), 0, "shutting again counts nothing");

        let end = caller.join().unwrap();
        assert!(in_flight == 0 || end == End::Delivered, "{in_flight} {end:?}");
        assert_eq!(quick_call(&gate, 0), End::Refused);
    });
}

#[test]
fn draining_waits_for_every_shard_and_is_woken_by_the_last_call() {
    check(|| {
        let gate = Arc::new(Gate::new(2));
        let callers: Vec<_> = (0..2).map(|hint| beside(&gate, move |gate| quick_call(gate, hint))).collect();
        gate.shut();
        // A lost wake-up would be a deadlock, which loom reports.
        block_on(gate.drained());
        assert!(gate.is_drained());
        for caller in callers {
            assert_ne!(caller.join().unwrap(), End::Withheld, "nothing was abandoned");
        }
    });
}

#[test]
fn two_callers_on_one_shard_are_both_counted() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| quick_call(gate, 0));
        let own = quick_call(&gate, 0);
        assert_eq!(own, End::Delivered);
        assert_eq!(caller.join().unwrap(), End::Delivered);
        assert_eq!(gate.shut(), 0);
    });
}

#[test]
fn a_result_is_withheld_exactly_when_its_call_was_abandoned() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| quick_call(gate, 0));
        let in_flight = gate.shut();
        let abandoned = gate.abandon();
        block_on(gate.quiet());

        let end = caller.join().unwrap();
        assert!(abandoned <= in_flight);
        assert_eq!(abandoned == 1, end == End::Withheld, "{abandoned} {end:?}");
    });
}

#[test]
fn after_quiet_no_poll_is_running_and_none_begins() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let polling = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let caller = {
            let (gate, polling) = (Arc::clone(&gate), Arc::clone(&polling));
            thread::spawn(move || {
                if let Entry::Admitted(mut permit) = gate.enter(0) {
                    polling.store(true, loom::sync::atomic::Ordering::Relaxed);
                    polling.store(false, loom::sync::atomic::Ordering::Relaxed);
                    permit.finish();
                }
            })
        };
        gate.abandon();
        block_on(gate.quiet());
        // Relaxed is enough only if quiet synchronizes with the end of the poll.
        assert!(!polling.load(loom::sync::atomic::Ordering::Relaxed));
        caller.join().unwrap();
    });
}

#[test]
fn an_abandoned_call_that_sleeps_is_woken() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        // Nobody but the gate wakes it: a lost wake-up is a deadlock, which loom reports.
        let caller = beside(&gate, |gate| slow_call(gate, 0, false));
        gate.shut();
        let abandoned = gate.abandon();
        block_on(gate.quiet());
        let end = caller.join().unwrap();
        // It may be delivered still, since loom's scheduler also wakes for no reason.
        assert_eq!(abandoned == 1, end == End::Withheld, "{abandoned} {end:?}");
    });
}

#[test]
fn a_call_in_its_second_poll_is_waited_for_or_withheld() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| slow_call(gate, 0, true));
        let in_flight = gate.shut();
        let abandoned = gate.abandon();
        block_on(gate.quiet());
        let end = caller.join().unwrap();
        assert!(abandoned <= in_flight);
        assert_eq!(abandoned == 1, end == End::Withheld, "{abandoned} {end:?}");
    });
}

#[test]
fn every_call_in_flight_is_counted_once() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| drop(gate.enter(0)));
        let in_flight = gate.shut();
        let abandoned = gate.abandon();
        caller.join().unwrap();
        // It was dropped before the gate was shut (and is not in flight), or it is in exactly one of the counts.
        assert_eq!(in_flight, abandoned + gate.dropped());
    });
}

#[test]
fn a_sleeping_call_that_is_dropped_is_counted_once_whenever_one_looks() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| drop(sleeping_call(gate)));
        // What a disconnect does, and when it looks: nobody has waited for the caller.
        let in_flight = gate.shut();
        let abandoned = gate.abandon();
        block_on(gate.quiet());
        let dropped = gate.dropped();
        assert_eq!(in_flight, abandoned + dropped, "abandoned {abandoned}, dropped {dropped}");
        caller.join().unwrap();
    });
}

#[test]
fn a_sleeping_call_that_is_dropped_lets_the_drain_end() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| drop(sleeping_call(gate)));
        gate.shut();
        block_on(gate.drained());
        caller.join().unwrap();
    });
}

#[test]
fn a_call_that_sleeps_and_is_forgotten_keeps_no_disconnect_from_being_quiet() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| std::mem::forget(sleeping_call(gate)));
        gate.abandon();
        block_on(gate.quiet());
        caller.join().unwrap();
    });
}

#[test]
fn a_dropped_call_lets_the_drain_end_and_is_seen_by_it() {
    check(|| {
        let gate = Arc::new(Gate::new(1));
        let caller = beside(&gate, |gate| drop(gate.enter(0)));
        let in_flight = gate.shut();
        block_on(gate.drained());
        assert_eq!(in_flight, gate.dropped());
        caller.join().unwrap();
    });
}
