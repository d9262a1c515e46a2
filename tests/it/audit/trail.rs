//! An operation whose line cannot be taken is refused before anything happens, or its line is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use custom_key_store::audit::{
    AuditCategory, AuditError, AuditErrorKind as Kind, AuditOutcome, AuditRecord, AuditSink, AuditTrail,
    OnFailure,
};
use custom_key_store::backend::Operation;
use futures::executor::block_on;

/// A sink of an application's own, with so many places.
#[derive(Debug, Default)]
struct Sink {
    places: usize,
    held: AtomicUsize,
    fails: AtomicBool,
    closed: AtomicBool,
    taken: Mutex<Vec<AuditRecord>>,
}

impl Sink {
    fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, ..Self::default() })
    }

    fn names(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|record| record.operation.to_string()).collect()
    }

    /// All that wait are written, which makes room.
    fn make_room(&self) {
        self.held.store(0, Ordering::Relaxed);
    }
}

#[async_trait]
impl AuditSink for Sink {
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        if on_failure == OnFailure::Refuse && self.fails.load(Ordering::Relaxed) {
            return Err(AuditError::new(Kind::Unavailable));
        }
        let more = |held| (held < self.places).then_some(held + 1);
        let made = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        made.map(drop).map_err(|_| AuditError::new(Kind::Overflow))
    }

    fn release(&self) {
        assert!(self.held.fetch_sub(1, Ordering::Relaxed) > 0);
    }

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AuditError::new(Kind::Closed));
        }
        self.taken.lock().unwrap().push(record);
        Ok(())
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.enqueue(record)?;
        match self.fails.load(Ordering::Relaxed) {
            true => Err(AuditError::new(Kind::NoRoom)),
            false => Ok(()),
        }
    }

    async fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), AuditError> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn record(name: &'static str) -> AuditRecord {
    AuditRecord::call(UNIX_EPOCH, AuditCategory::Cryptographic, Operation::new(name))
        .with_outcome(AuditOutcome::Succeeded)
}

#[test]
fn under_refuse_an_operation_without_a_place_does_not_begin() {
    let sink = Sink::new(2);
    let trail = AuditTrail::new(Arc::clone(&sink), OnFailure::Refuse);
    let (one, two) = (trail.begin().unwrap(), trail.begin().unwrap());
    assert_eq!(trail.begin().unwrap_err().kind(), Kind::Overflow);
    one.enqueue(record("one"));
    // One that came to nothing leaves its place to another.
    drop(two);
    block_on(trail.begin().unwrap().write(record("three"))).unwrap();
    assert!(trail.begin().is_err());
    assert_eq!((trail.lost(), trail.refused()), (0, 2));
    assert_eq!(sink.names(), ["one", "three"]);
    // When it works again, it says how many operations there were that left no line.
    sink.make_room();
    trail.begin().unwrap().enqueue(record("four"));
    assert_eq!(sink.names(), ["one", "three", "LoseAuditLines", "four"]);
    let said = sink.taken.lock().unwrap()[2].to_json();
    assert!(said.contains(r#""serviceEventDetails":{"lostLines":0,"refusedOperations":2}"#), "{said}");
}

#[test]
fn under_refuse_nothing_begins_while_lines_do_not_become_durable() {
    let sink = Sink::new(9);
    let trail = AuditTrail::new(Arc::clone(&sink), OnFailure::Refuse);
    let begun = trail.begin().unwrap();
    sink.fails.store(true, Ordering::Relaxed);
    assert_eq!(trail.begin().unwrap_err().kind(), Kind::Unavailable);
    // What has begun is told that its line is not durable.
    assert_eq!(block_on(begun.write(record("begun"))).unwrap_err().kind(), Kind::NoRoom);
    // What has happened is kept for when it is.
    trail.event(record("event"));
    assert_eq!(sink.names(), ["LoseAuditLines", "begun", "event"]);
    assert_eq!(trail.lost(), 0);
}

#[test]
fn under_continue_lines_without_a_place_are_counted_and_the_count_is_a_line() {
    let sink = Sink::new(1);
    let trail = AuditTrail::new(Arc::clone(&sink), OnFailure::Continue);
    trail.begin().unwrap().enqueue(record("one"));
    for _ in 0..3 {
        trail.begin().unwrap().enqueue(record("lost"));
    }
    block_on(trail.begin().unwrap().write(record("lost"))).unwrap();
    trail.event(record("lost"));
    drop(trail.begin().unwrap());
    assert_eq!((trail.lost(), trail.refused()), (5, 0));
    assert_eq!(sink.names(), ["one"]);
    sink.make_room();
    block_on(trail.flush()).unwrap();
    block_on(trail.flush()).unwrap();
    assert_eq!(sink.names(), ["one", "LoseAuditLines"]);
    assert!(sink.taken.lock().unwrap()[1].to_json().contains(r#""lostLines":5"#));
    assert_eq!(trail.lost(), 5, "all there ever were");
}

#[test]
fn under_continue_a_line_that_is_not_durable_yet_is_not_lost() {
    let sink = Sink::new(9);
    let trail = AuditTrail::new(Arc::clone(&sink), OnFailure::Continue);
    sink.fails.store(true, Ordering::Relaxed);
    block_on(trail.begin().unwrap().write(record("one"))).unwrap();
    assert_eq!((sink.names(), trail.lost()), (vec!["one".to_owned()], 0));
}

#[test]
fn lines_that_come_after_the_end_are_counted() {
    let sink = Sink::new(9);
    let trail = AuditTrail::new(Arc::clone(&sink), OnFailure::Continue);
    let (one, two) = (trail.begin().unwrap(), trail.begin().unwrap());
    block_on(trail.close()).unwrap();
    one.enqueue(record("late"));
    block_on(two.write(record("late"))).unwrap();
    assert_eq!((trail.lost(), sink.names().len()), (2, 0));
}
