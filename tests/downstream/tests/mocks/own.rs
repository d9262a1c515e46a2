//! With mocks of one's own, for which the library needs no feature: it is enough that its traits are public.
//!
//! `async_trait` stands inside `mock!`, above each `impl`, and keeps its own name. Methods that have a default may
//! be left out; what is written down is mocked. The lifetime of a request has to be written out, as in the trait.

use std::sync::Arc;

use async_trait::async_trait;
use custom_key_store::ErrorKind;
use custom_key_store::backend::{
    Backend, BackendError, BackendErrorKind, Change, Ciphertext, Closed, ConnectRequest, Connection,
    ConnectionError, DecryptRequest, Decrypted, DescribeKeyRequest, EncryptRequest, Health, HealthRequest,
    InvalidChange, KeyDescription, StoreConfiguration,
};
use custom_key_store_downstream::Ledger;
use mockall::{Sequence, mock};

use super::{as_seen, configuration, key, seal, store, unseal, usable};

mock! {
    #[derive(Debug)]
    Manager {}

    #[async_trait]
    impl Backend for Manager {
        fn configuration(&self) -> StoreConfiguration;
        fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange>;
        async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError>;
    }
}

// Written out: `mock!` wants the lifetime of a request by name, where the trait leaves it to be inferred.
mock! {
    #[derive(Debug)]
    Session {
        fn describe_key<'a>(&self, request: &DescribeKeyRequest<'a>) -> Result<KeyDescription, BackendError>;
        fn encrypt<'a>(&self, request: &EncryptRequest<'a>) -> Result<Ciphertext, BackendError>;
        fn decrypt<'a>(&self, request: &DecryptRequest<'a>) -> Result<Decrypted, BackendError>;
        fn health<'a>(&self, request: &HealthRequest<'a>) -> Result<Health, BackendError>;
        fn close(&self) -> Result<Closed, BackendError>;
    }
}

#[async_trait]
impl Connection for MockSession {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        Self::describe_key(self, request)
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        Self::encrypt(self, request)
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        Self::decrypt(self, request)
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        Self::health(self, request)
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        Self::close(self)
    }
}

fn manager(mut session: MockSession) -> MockManager {
    session.expect_describe_key().returning(|_| Ok(usable()));
    let mut manager = MockManager::new();
    manager.expect_configuration().returning(configuration);
    manager.expect_connect().return_once(|_| Ok(Arc::new(session)));
    manager
}

#[tokio::test]
async fn a_mock_of_ones_own_fails_half_way_and_is_closed_last() {
    // With one's own mockall there is all of mockall, such as an order across methods.
    let mut order = Sequence::new();
    let mut session = MockSession::new();
    session
        .expect_encrypt()
        .withf(|request| request.plaintext.len() == as_seen("opening balance"))
        .times(1)
        .in_sequence(&mut order)
        .returning(|request| Ok(seal(request)));
    session
        .expect_encrypt()
        .withf(|request| request.plaintext.len() == as_seen("two cows"))
        .times(1)
        .in_sequence(&mut order)
        .returning(|_| Err(BackendErrorKind::Unreachable.into()));
    session.expect_decrypt().times(1).in_sequence(&mut order).returning(|request| Ok(unseal(request)));
    session.expect_close().times(1).in_sequence(&mut order).returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(session)), key()).await.unwrap();
    ledger.append("opening balance").await.unwrap();
    ledger.append("two cows").await.unwrap();
    assert_eq!((ledger.sealed(), ledger.waiting()), (1, 1));
    assert_eq!(ledger.read(0).await.unwrap().unwrap().expose(), b"opening balance");
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn methods_that_are_left_out_keep_their_defaults() {
    let mut session = MockSession::new();
    session.expect_close().times(1).returning(|| Ok(Closed::new()));

    let store = store(manager(session)).connect().await.unwrap();
    let error = store.generate_random(16).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Unsupported));
    let store = store.disconnect().await;
    assert!(store.disconnect_report().is_some());
}
