//! Refusals that cost nothing: whoever has no right to anything cannot fill the audit trail.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use custom_key_store::audit::{AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::catalog::{Ledger, MemoryCatalog};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Encrypt, Exception, Kms, KmsBuilder, Rule, Rules};
use custom_key_store::{Caller, KeyId, PageRequest, RateLimit, SealingKey};
use futures::FutureExt as _;
use serde_json::{Value, json};

use super::deletions::{Flawed, Flaws};
use crate::kms::support::{Kept, builder, drive, exception, store_with_key, turn};
use crate::support::{identity, ledger};

pub(super) const STRANGER: &str = "arn:aws:iam::111122223333:role/stranger";
pub(super) const OTHER: &str = "arn:aws:iam::111122223333:role/other";

pub(super) struct Rig {
    pub(super) kms: Kms,
    pub(super) manager: KeyManager,
    pub(super) kept: Kept,
    pub(super) trail: AuditTrail,
    pub(super) clock: ManualClock,
}

/// Runs a test on stores of which only the account itself may do anything.
pub(super) fn run<F: Future<Output = ()>>(
    settings: impl FnOnce(KmsBuilder) -> KmsBuilder,
    test: impl FnOnce(Rig) -> F,
) {
    let (clock, kept) = (ManualClock::new(), Kept::default());
    let manager = KeyManager::builder().clock(clock.clone()).build();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let rules = Rules::new(vec![Rule::allow(["arn:aws:iam::111122223333:root"], ["*"]).unwrap()]);
    futures::executor::block_on(async {
        let opening =
            builder(&ledger(), &manager).clock(clock.clone()).audit(trail.clone()).authorizer(rules);
        let (kms, driver) = settings(opening).open().await.unwrap();
        drive(driver, test(Rig { kms, manager, kept, trail, clock })).await;
    });
}

impl Rig {
    pub(super) async fn denied(&self, principal: &str) {
        let kms = self.kms.on_behalf_of(Caller::new(principal));
        assert_eq!(
            exception(
                kms.describe_key(&KeyId::new("12345678-1234-1234-1234-123456789012").unwrap().into()).await
            ),
            Exception::AccessDenied
        );
    }

    /// What was written of single calls, and what was counted.
    pub(super) fn lines_and_counts(&self) -> (Vec<Value>, Vec<Value>) {
        self.kept.new_lines().into_iter().partition(|line| line["eventName"] != "CountRefusedCalls")
    }

    pub(super) async fn a_minute_later(&self) {
        for _ in 0..50 {
            turn().await;
        }
        self.clock.advance(Duration::from_secs(60));
        for _ in 0..50 {
            turn().await;
        }
    }
}

#[test]
fn of_each_principal_so_many_denials_are_lines_and_the_rest_is_counted() {
    run(
        |kms| kms,
        |rig| async move {
            for _ in 0..2500 {
                rig.denied(STRANGER).await;
            }
            // What another does has lines of its own.
            rig.denied(OTHER).await;
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!((lines.len(), counts.len()), (1001, 0));
            assert_eq!(lines[999]["principal"], STRANGER);
            assert_eq!(lines[1000]["principal"], OTHER);

            rig.a_minute_later().await;
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!(lines.len(), 0);
            let [said] = counts.as_slice() else { panic!("{counts:?}") };
            assert_eq!(
                (&said["eventType"], &said["principal"]),
                (&json!("AwsServiceEvent"), &json!(STRANGER))
            );
            let details = json!({
                "calls": 1500,
                "since": "1970-01-01T00:00:00.000Z",
                "byError": { "AccessDeniedException": 1500 },
            });
            assert_eq!(said["serviceEventDetails"], details);
            // It is said once.
            rig.a_minute_later().await;
            assert_eq!(rig.kept.new_lines().len(), 0);
            // With time lines come back.
            for _ in 0..1000 {
                rig.denied(STRANGER).await;
            }
            rig.a_minute_later().await;
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!((lines.len(), counts.len()), (1000, 0));
            assert_eq!((rig.trail.lost(), rig.trail.refused()), (0, 0));
        },
    );
}

#[test]
fn what_a_quota_refuses_is_bounded_like_denials_and_what_succeeds_is_not() {
    let two = RateLimit::per_second(NonZeroU32::new(2).unwrap());
    run(
        |kms| kms.quota(two).audit_refusals(RateLimit::per_second(NonZeroU32::new(3).unwrap())),
        |rig| async move {
            let (_, key) = store_with_key(&rig.kms, &rig.manager, "payroll").await;
            rig.kept.new_lines();
            let key = key.key_id.into();
            let encrypt = Encrypt::new(&key, b"attack at dawn");
            for _ in 0..2 {
                rig.kms.encrypt(&encrypt).await.unwrap();
            }
            for _ in 0..10 {
                assert_eq!(exception(rig.kms.encrypt(&encrypt).await), Exception::Throttling);
            }
            for _ in 0..10 {
                rig.kms.describe_key(&key).await.unwrap();
            }
            rig.a_minute_later().await;
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!(lines.len(), 2 + 3 + 10);
            assert_eq!(counts[0]["serviceEventDetails"]["byError"], json!({ "ThrottlingException": 7 }));
        },
    );
}

#[test]
fn what_was_counted_is_said_at_the_end_and_when_there_is_room() {
    run(
        |kms| kms.audit_refusals(RateLimit::per_second(NonZeroU32::new(1).unwrap())),
        |rig| async move {
            for _ in 0..3 {
                rig.denied(STRANGER).await;
            }
            rig.kept.new_lines();
            rig.kept.is_full(true);
            rig.a_minute_later().await;
            assert_eq!(rig.kept.new_lines().len(), 0);
            rig.kept.is_full(false);
            rig.a_minute_later().await;
            let (_, counts) = rig.lines_and_counts();
            assert_eq!(counts[0]["serviceEventDetails"]["calls"], 2);
            assert_eq!(rig.trail.lost(), 0);

            for _ in 0..3 {
                rig.denied(OTHER).await;
            }
            rig.kms.shut_down();
            for _ in 0..500 {
                turn().await;
            }
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!(lines.len(), 1);
            assert_eq!(counts[0]["serviceEventDetails"]["calls"], 2);
        },
    );
}

#[test]
fn calls_that_are_dropped_before_they_are_judged_are_bounded_too() {
    let (clock, kept, flaws) = (ManualClock::new(), Kept::default(), Arc::new(Flaws::default()));
    let manager = KeyManager::builder().clock(clock.clone()).build();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    futures::executor::block_on(async {
        let catalog = Flawed(MemoryCatalog::new(), Arc::clone(&flaws));
        let ledger = Ledger::create(catalog, &SealingKey::generate(), identity()).await.unwrap();
        let rules = Rules::new(vec![Rule::allow(["arn:aws:iam::111122223333:root"], ["*"]).unwrap()]);
        let three = RateLimit::per_second(NonZeroU32::new(3).unwrap());
        let opening = builder(&ledger, &manager).clock(clock.clone()).audit(trail.clone()).authorizer(rules);
        let (kms, driver) = opening.audit_refusals(three).open().await.unwrap();
        let rig = Rig { kms, manager, kept, trail, clock };
        drive(driver, async {
            flaws.reads.store(true, Ordering::SeqCst);
            let key = KeyId::new("12345678-1234-1234-1234-123456789012").unwrap().into();
            let stranger = rig.kms.on_behalf_of(Caller::new(STRANGER));
            for _ in 0..5 {
                assert!(stranger.describe_key(&key).now_or_never().is_none());
                assert!(stranger.encrypt(&Encrypt::new(&key, b"attack at dawn")).now_or_never().is_none());
            }
            rig.a_minute_later().await;
            let (lines, counts) = rig.lines_and_counts();
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| line["outcome"] == "Dropped"), "{lines:?}");
            assert_eq!(counts[0]["serviceEventDetails"]["byError"], json!({ "Dropped": 7 }));
        })
        .await;
    });
}

#[test]
fn however_many_principals_are_denied_what_is_kept_in_mind_is_bounded() {
    run(
        |kms| kms.audit_refusals(RateLimit::per_second(NonZeroU32::new(1).unwrap())),
        |rig| async move {
            for number in 0..3000 {
                for _ in 0..2 {
                    rig.denied(&format!("principal {number}")).await;
                }
            }
            let (lines, _) = rig.lines_and_counts();
            assert!((1024..1030).contains(&lines.len()), "{}", lines.len());
            rig.a_minute_later().await;
            let (_, counts) = rig.lines_and_counts();
            assert!(counts.len() <= 1025, "{}", counts.len());
            let calls: u64 =
                counts.iter().map(|line| line["serviceEventDetails"]["calls"].as_u64().unwrap()).sum();
            assert_eq!(calls + lines.len() as u64, 6000);
            // Those are forgotten of whom nothing is left to be said.
            rig.a_minute_later().await;
            rig.denied("another").await;
            let (lines, _) = rig.lines_and_counts();
            assert_eq!(lines[0]["principal"], "another");
            rig.kms.list_keys(&PageRequest::default()).await.unwrap();
        },
    );
}
