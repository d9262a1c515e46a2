//! What the tests of many stores share.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use custom_key_store::audit::{AuditError, AuditErrorKind, AuditRecord, AuditSink, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccessKeyId, BackingKeyId, CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword, SecretAccessKey,
    TrustAnchorCertificate, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::catalog::Ledger;
use custom_key_store::kms::{BackendMap, CreateCustomKeyStore, Driver, Exception, Kms, KmsBuilder, KmsError};
use custom_key_store::{ConnectionState, KeyMetadata, NewKey, StoreId, StoreName};
use futures::future::{Either, select};
use futures::{StreamExt as _, pin_mut};

use crate::support::ledger;

pub(crate) fn credential() -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new("AKIDOFATEST222222222").unwrap(),
        SecretAccessKey::new(&"s".repeat(43)).unwrap(),
    )
}

pub(crate) fn password() -> KeyStorePassword {
    KeyStorePassword::new("correcthorse").unwrap()
}

/// An external key store of its own path.
pub(crate) fn external(name: &str) -> CreateCustomKeyStore {
    CreateCustomKeyStore::external(
        StoreName::new(name).unwrap(),
        UriEndpoint::new("https://xks.example.com").unwrap(),
        UriPath::new(format!("/{name}/kms/xks/v1")).unwrap(),
        credential(),
    )
}

/// A CloudHSM key store on a cluster of its own: `tail` is 11 characters of A-Z a-z 2-7.
pub(crate) fn cloud_hsm(name: &str, tail: &str) -> CreateCustomKeyStore {
    let certificate = TrustAnchorCertificate::new(format!("-----{tail}-----")).unwrap();
    let cluster = CloudHsmConfiguration::new(CloudHsmClusterId::new(format!("cluster-{tail}")).unwrap());
    CreateCustomKeyStore::cloud_hsm(
        StoreName::new(name).unwrap(),
        cluster.with_trust_anchor(certificate),
        password(),
    )
}

pub(crate) fn builder(ledger: &Ledger, manager: &KeyManager) -> KmsBuilder {
    Kms::builder(ledger.clone(), BackendMap::new().software(manager.clone()))
}

/// Runs a test beside the driver of what it opened, in memory and without a runtime.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Kms, KeyManager) -> F) {
    let manager = KeyManager::new();
    let ledger = ledger();
    futures::executor::block_on(async {
        let (kms, driver) = builder(&ledger, &manager).open().await.unwrap();
        drive(driver, test(kms, manager)).await;
    });
}

/// Polls the driver as long as the test goes on.
pub(crate) async fn drive<T>(driver: Driver, test: impl Future<Output = T>) -> T {
    pin_mut!(test);
    match select(driver, test).await {
        Either::Right((outcome, _)) => outcome,
        Either::Left(((), test)) => test.await,
    }
}

/// Waits until the store is in this state.
pub(crate) async fn until(kms: &Kms, id: &StoreId, state: ConnectionState) {
    let mut events = kms.events();
    loop {
        let found = kms.describe_custom_key_store(id).await.unwrap();
        if found.connection_state == state {
            return;
        }
        assert!(found.connection_state.is_transient(), "never {state}, since nobody moves it: {found:?}");
        events.next().await.unwrap();
    }
}

pub(crate) async fn connect(kms: &Kms, id: &StoreId) {
    kms.connect_custom_key_store(id).await.unwrap();
    until(kms, id, ConnectionState::Connected).await;
}

/// A connected external key store with one key on a backing key of this name.
pub(crate) async fn store_with_key(kms: &Kms, manager: &KeyManager, name: &str) -> (StoreId, KeyMetadata) {
    let id = kms.create_custom_key_store(external(name)).await.unwrap();
    connect(kms, &id).await;
    let backing = BackingKeyId::new(format!("{name}-key")).unwrap();
    manager.create_key(backing.clone());
    let key = kms.create_key(&id, &NewKey::external(backing)).await.unwrap();
    (id, key)
}

pub(crate) fn exception<T: std::fmt::Debug>(result: Result<T, KmsError>) -> Exception {
    result.unwrap_err().exception()
}

/// Lets everybody else have a turn.
pub(crate) fn turn() -> impl Future<Output = ()> {
    let mut had = false;
    poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut had, true) { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// An audit trail in memory, whose medium can be made to fail, or its queue to be full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(std::sync::Arc<Lines>);

#[derive(Debug, Default)]
struct Lines {
    taken: std::sync::Mutex<Vec<AuditRecord>>,
    fails: AtomicBool,
    is_full: AtomicBool,
    /// Only until it is flushed.
    flushing_helps: AtomicBool,
}

impl Kept {
    pub(crate) fn fails(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn is_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::SeqCst);
    }

    pub(crate) fn is_full_until_flushed(&self) {
        self.0.flushing_helps.store(true, Ordering::SeqCst);
        self.is_full(true);
    }

    pub(crate) fn all(&self) -> Vec<AuditRecord> {
        self.0.taken.lock().unwrap().clone()
    }

    /// What was written since it was asked the last time, as JSON.
    pub(crate) fn new_lines(&self) -> Vec<serde_json::Value> {
        let taken = std::mem::take(&mut *self.0.taken.lock().unwrap());
        taken.iter().map(|record| serde_json::to_value(record).unwrap()).collect()
    }

    /// The one line that was written since.
    #[track_caller]
    pub(crate) fn line(&self) -> serde_json::Value {
        let mut lines = self.new_lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

#[async_trait::async_trait]
impl AuditSink for Kept {
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err(AuditError::new(AuditErrorKind::Overflow));
        }
        match on_failure {
            OnFailure::Refuse if self.0.fails.load(Ordering::SeqCst) => {
                Err(AuditError::new(AuditErrorKind::NoRoom))
            }
            _ => Ok(()),
        }
    }

    fn release(&self) {}

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.0.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(record);
        Ok(())
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.enqueue(record)?;
        match self.0.fails.load(Ordering::SeqCst) {
            true => Err(AuditError::new(AuditErrorKind::NoRoom)),
            false => Ok(()),
        }
    }

    async fn flush(&self) -> Result<(), AuditError> {
        if self.0.flushing_helps.load(Ordering::SeqCst) {
            self.is_full(false);
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), AuditError> {
        Ok(())
    }
}
