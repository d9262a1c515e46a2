//! What takes the use of keys away is answered though nobody can say when its line is durable.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use custom_key_store::audit::{AuditError, AuditRecord, AuditSink, AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::KmsError;
use futures::FutureExt as _;

use crate::kms::support::{Kept, builder, drive, store_with_key, turn};
use crate::support::ledger;

/// A sink that takes a line when its medium does not hang any more, in the future that writes it.
#[derive(Debug, Clone, Default)]
struct Hangs {
    kept: Kept,
    hangs: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl AuditSink for Hangs {
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        self.kept.reserve(on_failure)
    }

    fn release(&self) {}

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.kept.enqueue(record)
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        while self.hangs.load(Ordering::SeqCst) {
            turn().await;
        }
        self.kept.write(record).await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

/// What it comes to within a second, and not before.
async fn within_a_second(clock: &ManualClock, call: impl Future<Output = Result<(), KmsError>>) {
    let mut call = pin!(call.fuse());
    for second in 0..2 {
        for _ in 0..50 {
            if let Some(result) = (&mut call).now_or_never() {
                assert_eq!(second, 1);
                return result.unwrap();
            }
            turn().await;
        }
        clock.advance(Duration::from_secs(1));
    }
    panic!("it waits for its line");
}

#[test]
fn a_kill_switch_is_answered_within_a_second_while_the_medium_hangs_and_its_line_comes_later() {
    let (sink, clock) = (Hangs::default(), ManualClock::new());
    let manager = KeyManager::builder().clock(clock.clone()).build();
    let trail = AuditTrail::new(sink.clone(), OnFailure::Refuse);
    futures::executor::block_on(async {
        let opening = builder(&ledger(), &manager).clock(clock.clone()).audit(trail.clone());
        let (kms, driver) = opening.open().await.unwrap();
        drive(driver, async {
            let (store, key) = store_with_key(&kms, &manager, "payroll").await;
            sink.kept.new_lines();
            sink.hangs.store(true, Ordering::SeqCst);
            within_a_second(&clock, kms.disable_key(&key.key_id)).await;
            within_a_second(&clock, kms.disconnect_custom_key_store(&store)).await;
            // Everything else waits as long as it takes.
            let enable = kms.enable_key(&key.key_id);
            let mut enable = pin!(enable);
            for _ in 0..5 {
                clock.advance(Duration::from_secs(1));
                turn().await;
                assert!((&mut enable).now_or_never().is_none());
            }
            let named = |name| {
                let lines = sink.kept.all();
                lines
                    .iter()
                    .filter(|line| line.operation.as_str() == name && line.principal.is_some())
                    .count()
            };
            assert_eq!((named("DisableKey"), named("DisconnectCustomKeyStore")), (0, 0));
            sink.hangs.store(false, Ordering::SeqCst);
            enable.await.unwrap();
            for _ in 0..50 {
                turn().await;
            }
            assert_eq!((named("DisableKey"), named("DisconnectCustomKeyStore")), (1, 1));
            assert_eq!(trail.lost(), 0);
        })
        .await;
    });
}
