//! What was counted in place of lines is said, whatever comes, or is counted as lost.

use std::num::NonZeroU32;
use std::time::Duration;

use custom_key_store::RateLimit;
use custom_key_store::audit::{AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Driver, KmsBuilder, Rules};

use super::refusals::{OTHER, Rig, STRANGER, run};
use crate::kms::support::{Kept, builder, turn};
use crate::support::ledger;

fn one(kms: KmsBuilder) -> KmsBuilder {
    kms.audit_refusals(RateLimit::per_second(NonZeroU32::new(1).unwrap()))
}

async fn turns() {
    for _ in 0..500 {
        turn().await;
    }
}

#[test]
fn what_waits_makes_room_for_the_counts_before_the_trail_is_closed() {
    run(one, |rig| async move {
        for _ in 0..3 {
            rig.denied(STRANGER).await;
        }
        rig.kept.new_lines();
        rig.kept.is_full_until_flushed();
        rig.kms.shut_down();
        turns().await;
        let (_, counts) = rig.lines_and_counts();
        assert_eq!(counts[0]["serviceEventDetails"]["calls"], 2);
        assert_eq!(rig.trail.lost(), 0);
    });
}

#[test]
fn counts_for_which_there_is_no_room_at_the_end_are_lost_lines() {
    run(one, |rig| async move {
        for principal in [STRANGER, OTHER] {
            for _ in 0..3 {
                rig.denied(principal).await;
            }
        }
        rig.kept.new_lines();
        rig.kept.is_full(true);
        rig.kms.shut_down();
        turns().await;
        assert!(rig.kept.all().is_empty());
        assert_eq!(rig.trail.lost(), 2);
    });
}

#[test]
fn a_driver_that_is_dropped_says_what_was_counted() {
    let (clock, kept, manager) = (ManualClock::new(), Kept::default(), KeyManager::new());
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    futures::executor::block_on(async {
        let opening = builder(&ledger(), &manager).clock(clock.clone()).audit(trail.clone());
        let (kms, driver): (_, Driver) = one(opening.authorizer(Rules::new(vec![]))).open().await.unwrap();
        let rig = Rig { kms, manager, kept, trail, clock };
        for _ in 0..3 {
            rig.denied(STRANGER).await;
        }
        drop(driver);
        let (lines, counts) = rig.lines_and_counts();
        assert_eq!((lines.len(), counts.len()), (1, 1));
        assert_eq!(counts[0]["serviceEventDetails"]["calls"], 2);
    });
}

#[test]
fn whoever_comes_when_many_are_known_takes_the_place_of_one_who_is_done() {
    run(one, |rig| async move {
        for number in 0..1024 {
            rig.denied(&format!("principal {number}")).await;
        }
        assert_eq!(rig.lines_and_counts().0.len(), 1024);
        // As long as these may not all come again, others share one limit.
        for number in 0..5 {
            rig.denied(&format!("early {number}")).await;
        }
        assert_eq!(rig.lines_and_counts().0.len(), 1);
        rig.clock.advance(Duration::from_secs(5));
        for number in 0..5 {
            rig.denied(&format!("late {number}")).await;
        }
        assert_eq!(rig.lines_and_counts().0.len(), 5);
    });
}
