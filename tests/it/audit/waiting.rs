//! What waits is bounded, whatever holds it up; and nobody waits without an end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use custom_key_store::audit::{AuditErrorKind as Kind, AuditSink as _, AuditTrail, OnFailure};
use custom_key_store::catalog::{CatalogError, CatalogErrorKind};
use custom_key_store::clock::ManualClock;
use futures::executor::block_on;
use futures::future::join_all;

use super::support::{Met, Place, ledger_on, prompt, record, wait_until, write};
use crate::support::poll_once;

/// A catalogue whose commits wait while it is shut.
fn door() -> (Arc<Mutex<()>>, Arc<AtomicUsize>, Met) {
    let (door, commits) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let (shut, counted) = (Arc::clone(&door), Arc::clone(&commits));
    let met = Met::new(move |_| {
        drop(shut.lock().unwrap());
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    (door, commits, met)
}

#[test]
fn lines_that_wait_together_are_made_durable_together() {
    block_on(async {
        let place = Place::new();
        let (door, commits, catalog) = door();
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let before = commits.load(Ordering::Relaxed);
        let shut = door.lock().unwrap();
        let mut writes: Vec<_> = (0..200).map(|number| Box::pin(write(&log, format!("{number}")))).collect();
        for write in &mut writes {
            assert!(poll_once(write).is_pending());
        }
        drop(shut);
        for written in join_all(writes).await {
            written.unwrap();
        }
        let made = commits.load(Ordering::Relaxed) - before;
        assert!(made <= 2, "{made} commits for 200 lines");
        assert_eq!(log.lines(), 202);
    });
}

#[test]
fn what_waits_is_bounded_in_lines() {
    block_on(async {
        let place = Place::new();
        let (door, _, catalog) = door();
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).max_lines(10).open(place.log()).await.unwrap();
        let refuse = AuditTrail::new(log.clone(), OnFailure::Refuse);
        let shut = door.lock().unwrap();
        let held = refuse.begin().unwrap();
        for number in 0..9 {
            refuse.begin().unwrap().enqueue(record(format!("{number}")));
        }
        assert_eq!(refuse.begin().unwrap_err().kind(), Kind::Overflow);
        assert_eq!(log.waiting(), 10);
        // A place that was given is there when it is needed.
        held.enqueue(record("held"));
        drop(shut);
        wait_until(|| log.waiting() == 0);
        refuse.begin().unwrap().enqueue(record("after"));
        log.flush().await.unwrap();
        assert_eq!(place.names()[11..], ["held", "LoseAuditLines", "after"]);
        assert_eq!(place.lines()[12]["serviceEventDetails"]["refusedOperations"], 1);
    });
}

#[test]
fn under_continue_what_has_no_room_is_counted() {
    block_on(async {
        let place = Place::new();
        let (door, _, catalog) = door();
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).max_lines(10).open(place.log()).await.unwrap();
        let trail = AuditTrail::new(log.clone(), OnFailure::Continue);
        let shut = door.lock().unwrap();
        for number in 0..25 {
            trail.begin().unwrap().enqueue(record(format!("{number}")));
        }
        assert_eq!(trail.lost(), 15);
        drop(shut);
        log.flush().await.unwrap();
        trail.flush().await.unwrap();
        assert_eq!(place.names().len(), 2 + 10 + 1);
        assert_eq!(place.lines()[12]["serviceEventDetails"]["lostLines"], 15);
        let report = log.verify().await.unwrap();
        assert!(report.is_intact(), "{report}");
    });
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    block_on(async {
        let place = Place::new();
        let (door, _, catalog) = door();
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).max_bytes(100_000).open(place.log()).await.unwrap();
        let shut = door.lock().unwrap();
        let mut taken = 0;
        let error = loop {
            if let Err(error) = log.reserve(OnFailure::Continue) {
                break error;
            }
            log.enqueue(record("long").with_parameter("text", "x".repeat(10_000))).unwrap();
            taken += 1;
        };
        assert_eq!((error.kind(), taken), (Kind::Overflow, 10));
        drop(shut);
        log.flush().await.unwrap();
        log.reserve(OnFailure::Continue).unwrap();
        log.release();
    });
}

#[test]
fn while_the_catalogue_fails_lines_are_kept_and_operations_refused() {
    block_on(async {
        let place = Place::new();
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let catalog = Met::new(move |_| match failing.load(Ordering::Relaxed) {
            true => Err(CatalogError::new(CatalogErrorKind::Unavailable)),
            false => Ok(()),
        });
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let trail = AuditTrail::new(log.clone(), OnFailure::Refuse);
        assert!(log.failure().is_none());
        let begun = trail.begin().unwrap();
        fails.store(true, Ordering::Relaxed);
        let error = begun.write(record("begun")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        let source = std::error::Error::source(&error).unwrap().downcast_ref::<CatalogError>().unwrap();
        assert_eq!(source.kind(), CatalogErrorKind::Unavailable);
        assert_eq!(log.failure().unwrap().kind(), Kind::Unavailable);
        assert_eq!(trail.begin().unwrap_err().kind(), Kind::Unavailable);
        // What happened is kept all the same.
        trail.event(record("event"));
        assert_eq!(log.flush().await.unwrap_err().kind(), Kind::Unavailable);
        fails.store(false, Ordering::Relaxed);
        // It tries by itself.
        wait_until(|| log.failure().is_none());
        wait_until(|| log.waiting() == 0);
        trail.begin().unwrap().write(record("after")).await.unwrap();
        assert_eq!(place.names()[2..], ["begun", "LoseAuditLines", "event", "after"]);
        assert!(log.verify().await.unwrap().is_intact());
    });
}

#[test]
fn a_commit_that_took_place_though_it_failed_does_no_harm() {
    block_on(async {
        let place = Place::new();
        let inner = Arc::new(custom_key_store::catalog::MemoryCatalog::new());
        let (behind, failures) = (Arc::clone(&inner), AtomicUsize::new(0));
        let on_commit = move |edits: &[custom_key_store::catalog::Edit]| {
            // Every other commit takes place, and is answered with an error.
            if failures.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                block_on(custom_key_store::catalog::Catalog::commit(&*behind, edits.to_vec()))?;
                return Err(CatalogError::new(CatalogErrorKind::Unavailable));
            }
            Ok(())
        };
        let ledger = ledger_on(Met { inner, on_commit: Box::new(on_commit) }).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let mut failed = 0;
        for number in 0..20 {
            failed += usize::from(write(&log, format!("{number}")).await.is_err());
        }
        wait_until(|| log.waiting() == 0);
        assert!(failed >= 8, "{failed}");
        let report = log.verify().await.unwrap();
        assert!(report.is_intact() && report.lines == 22, "{report}");
    });
}

#[test]
fn a_catalogue_that_panics_or_hangs_costs_no_line_and_no_thread() {
    block_on(async {
        let place = Place::new();
        let panics = Arc::new(AtomicBool::new(false));
        let panicking = Arc::clone(&panics);
        let catalog = Met::new(move |_| {
            assert!(!panicking.load(Ordering::Relaxed), "a panic of the test's own");
            Ok(())
        });
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        panics.store(true, Ordering::Relaxed);
        assert_eq!(write(&log, "one").await.unwrap_err().kind(), Kind::Unavailable);
        panics.store(false, Ordering::Relaxed);
        write(&log, "two").await.unwrap();
        assert_eq!(place.names()[2..], ["one", "two"]);
    });
}

#[test]
fn a_caller_waits_no_longer_than_the_deadline() {
    block_on(async {
        let place = Place::new();
        let clock = ManualClock::new();
        let (door, _, catalog) = door();
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).clock(clock.clone()).open(place.log()).await.unwrap();
        let shut = door.lock().unwrap();
        let mut writing = Box::pin(write(&log, "slow"));
        assert!(poll_once(&mut writing).is_pending());
        clock.advance(Duration::from_secs(10));
        let late = poll_once(&mut writing).map(|written| written.unwrap_err().kind());
        assert_eq!(late, Poll::Ready(Kind::TooLate));
        drop(shut);
        log.flush().await.unwrap();
        assert_eq!(place.names()[2], "slow");
    });
}

#[test]
fn a_catalogue_that_needs_a_runtime_is_given_one() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_time().worker_threads(1).build().unwrap();
    let place = Place::new();
    let catalog = Met::new(|_| {
        // Panics outside of one.
        drop(tokio::time::sleep(Duration::ZERO));
        Ok(())
    });
    let ledger = block_on(ledger_on(catalog));
    let handle = runtime.handle().clone();
    let error = block_on(prompt(&ledger).open(place.path("other.jsonl"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let place = Place::new();
    let builder = prompt(&ledger).begin_anew().run_catalog_on(move |task| drop(handle.spawn(task)));
    let log = block_on(builder.open(place.log())).unwrap();
    block_on(write(&log, "one")).unwrap();
    // One that has ended runs nothing.
    runtime.shutdown_background();
    assert_eq!(block_on(write(&log, "two")).unwrap_err().kind(), Kind::Unavailable);
}

#[test]
fn closing_says_what_is_lost() {
    block_on(async {
        let place = Place::new();
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let catalog = Met::new(move |_| match failing.load(Ordering::Relaxed) {
            true => Err(CatalogError::new(CatalogErrorKind::Full)),
            false => Ok(()),
        });
        let ledger = ledger_on(catalog).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        fails.store(true, Ordering::Relaxed);
        log.reserve(OnFailure::Refuse).unwrap();
        assert_eq!(log.write(record("kept")).await.unwrap_err().kind(), Kind::NoRoom);
        assert_eq!(log.close().await.unwrap_err().kind(), Kind::NoRoom);
        fails.store(false, Ordering::Relaxed);
        // The file could be written, and the catalogue not told.
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        assert_eq!(place.names()[2..], ["kept", "CloseAuditLog", "OpenAuditLog"]);
        assert_eq!(place.lines()[4]["serviceEventDetails"]["adoptedLines"], 2);
        drop(log);
    });
}

#[test]
fn a_trail_that_its_driver_closed_is_closed_once_more_without_an_error() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let trail = AuditTrail::new(log, OnFailure::Refuse);
        trail.begin().unwrap().write(record("one")).await.unwrap();
        trail.close().await.unwrap();
        trail.close().await.unwrap();
        assert_eq!(trail.begin().unwrap_err().kind(), Kind::Closed);
        assert_eq!(trail.lost(), 0);
        ledger.close().await.unwrap();
    });
}
