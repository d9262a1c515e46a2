//! What hostile readings found, each with a test that failed before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use custom_key_store::audit::{AuditError, AuditEventType, AuditRecord, AuditSink, AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{Change, ConnectionErrorCode, XksProxyCredential};
use custom_key_store::kms::{
    AuthorizationRequest, Authorizer, BackendMap, Decision, Exception, Kms, Purpose,
};
use custom_key_store::{ConnectionState, KeyStore, StoreId, StoreName};
use futures::FutureExt as _;

use super::support::{builder, cloud_hsm, connect, drive, exception, external, turn, until};
use crate::support::ledger;

#[test]
fn a_panic_of_the_applications_code_is_the_error_of_its_call_alone() {
    let manager = KeyManager::new();
    let backends = BackendMap::new().software(manager.clone()).inspect_with(|_, purpose| async move {
        assert_ne!(purpose, Purpose::Connect, "a panic of the application's");
        Ok(())
    });
    futures::executor::block_on(async {
        let (kms, driver) = Kms::open(ledger(), backends).await.unwrap();
        drive(driver, async {
            let id = kms.create_custom_key_store(cloud_hsm("root", "abcdefghij2")).await.unwrap();
            for _ in 0..2 {
                assert_eq!(exception(kms.connect_custom_key_store(&id).await), Exception::KmsInternal);
            }
            // Nor does one whose caller has gone away end the driver.
            drop(kms.connect_custom_key_store(&id).now_or_never());
            let other = kms.create_custom_key_store(external("other")).await.unwrap();
            kms.connect_custom_key_store(&other).await.unwrap();
            until(&kms, &other, ConnectionState::Failed).await;
            assert_eq!(
                kms.describe_custom_key_store(&other).await.unwrap().connection_error_code,
                Some(ConnectionErrorCode::InternalError)
            );
        })
        .await;
    });
}

/// Lets everybody do everything, but for one store that nobody may see, as soon as it is known which.
#[derive(Debug, Clone, Default)]
struct Hides(Arc<OnceLock<StoreId>>);

impl Authorizer for Hides {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        match request.store {
            Some(store) if self.0.get() == Some(store) => Decision::Deny,
            _ => Decision::Allow,
        }
    }
}

#[test]
fn who_may_not_see_a_store_by_its_id_does_not_see_it_by_its_name() {
    let manager = KeyManager::new();
    let name = StoreName::new("secret").unwrap();
    futures::executor::block_on(async {
        let hides = Hides::default();
        let opening = builder(&ledger(), &manager).authorizer(hides.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, async {
            let id = kms.create_custom_key_store(external("secret")).await.unwrap();
            kms.describe_custom_key_store_named(&name).await.unwrap();
            hides.0.set(id.clone()).unwrap();
            assert_eq!(exception(kms.describe_custom_key_store(&id).await), Exception::AccessDenied);
            assert_eq!(exception(kms.describe_custom_key_store_named(&name).await), Exception::AccessDenied);
        })
        .await;
    });
}

#[test]
fn a_store_that_came_without_a_credential_works_when_it_is_given_one() {
    let (manager, ledger) = (KeyManager::new(), ledger());
    futures::executor::block_on(async {
        let made = KeyStore::builder(manager.clone()).create(&ledger, StoreName::new("root").unwrap());
        let id = made.await.unwrap().id().clone();
        let (kms, driver) = builder(&ledger, &manager).open().await.unwrap();
        drive(driver, async {
            kms.connect_custom_key_store(&id).await.unwrap();
            until(&kms, &id, ConnectionState::Failed).await;
            kms.disconnect_custom_key_store(&id).await.unwrap();
            until(&kms, &id, ConnectionState::Disconnected).await;
            let change = Change::new().credential(XksProxyCredential::generate().unwrap());
            kms.update_custom_key_store(&id, change).await.unwrap();
            connect(&kms, &id).await;
        })
        .await;
    });
}

/// An audit trail that panics at the first line that nobody asked for.
#[derive(Debug)]
struct PanicsOnce(AtomicBool);

#[async_trait]
impl AuditSink for PanicsOnce {
    fn reserve(&self, _: OnFailure) -> Result<(), AuditError> {
        Ok(())
    }

    fn release(&self) {}

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        let panics = record.event_type == AuditEventType::Service && self.0.swap(false, Ordering::SeqCst);
        assert!(!panics, "a panic of the application's");
        Ok(())
    }

    async fn write(&self, _: AuditRecord) -> Result<(), AuditError> {
        Ok(())
    }

    async fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

#[test]
fn a_store_whose_driving_panicked_is_driven_again_by_its_next_move() {
    let (manager, ledger) = (KeyManager::new(), ledger());
    futures::executor::block_on(async {
        let trail = AuditTrail::new(PanicsOnce(AtomicBool::new(true)), OnFailure::Continue);
        let (kms, driver) = builder(&ledger, &manager).audit(trail).open().await.unwrap();
        drive(driver, async {
            let id = kms.create_custom_key_store(external("root")).await.unwrap();
            kms.connect_custom_key_store(&id).await.unwrap();
            // How it ended was not told.
            eventually(&kms, &id, ConnectionState::Connected).await;
            kms.disconnect_custom_key_store(&id).await.unwrap();
            eventually(&kms, &id, ConnectionState::Disconnected).await;
        })
        .await;
    });
}

/// Waits for a state of which nobody may be told.
async fn eventually(kms: &Kms, id: &StoreId, state: ConnectionState) {
    for _ in 0..1000 {
        if kms.describe_custom_key_store(id).await.unwrap().connection_state == state {
            return;
        }
        turn().await;
    }
    panic!("never {state}");
}
