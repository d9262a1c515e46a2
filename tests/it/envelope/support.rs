//! What the tests of envelopes share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::clock::ManualClock;
use custom_key_store::envelope::{DataKeys, Envelope, FreshKey, Standing, StoreKey};
use custom_key_store::{
    Connected, EncryptionContext, Error, InvalidBlob, KeyArn, KeyId, KeyStore, NewKey, SecretBytes, StoreName,
};
use tokio::sync::Semaphore;

pub(crate) const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "patients"), ("tenant", "blue")]).unwrap()
}

pub(crate) fn other_context() -> EncryptionContext {
    EncryptionContext::new([("table", "patients"), ("tenant", "green")]).unwrap()
}

/// Bytes of which no two places are alike for long.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place.wrapping_mul(31) ^ (place >> 8)).to_le_bytes()[0]).collect()
}

/// A store in memory, connected, with a KMS key.
pub(crate) struct Fixture {
    pub(crate) manager: KeyManager,
    pub(crate) store: KeyStore<Connected>,
    pub(crate) key: KeyId,
    pub(crate) clock: ManualClock,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let manager = KeyManager::new();
        let clock = ManualClock::new();
        let store = KeyStore::ephemeral(StoreName::new("root keys").unwrap(), manager.clone());
        let store = store.connect().await.unwrap();
        let mut fixture =
            Self { manager, store, key: "1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap(), clock };
        fixture.key = fixture.another_key("key-1").await;
        fixture
    }

    pub(crate) async fn another_key(&self, name: &str) -> KeyId {
        let external = BackingKeyId::new(name).unwrap();
        self.manager.create_key(external.clone());
        self.store.handle().create_key(&NewKey::external(external)).await.unwrap().key_id
    }

    pub(crate) fn source(&self) -> StoreKey {
        StoreKey::new(&self.store.handle(), self.key)
    }

    pub(crate) fn envelope(&self) -> Envelope {
        Envelope::builder(self.source()).clock(self.clock.clone()).build()
    }
}

/// A source that a test controls. Its wrapped keys are authentic as far as their one byte goes.
#[derive(Debug)]
pub(crate) struct Source {
    key: KeyArn,
    next: AtomicU8,
    pub(crate) calls: AtomicU64,
    pub(crate) generation: AtomicU64,
    pub(crate) connected: AtomicBool,
    pub(crate) changing: AtomicBool,
    pub(crate) panics: AtomicBool,
    /// One permit for each call that may go on.
    pub(crate) gate: Semaphore,
}

impl Source {
    /// One whose calls are answered at once.
    pub(crate) fn new() -> Arc<Self> {
        let source = Self::gated();
        source.gate.add_permits(1 << 20);
        source
    }

    /// One whose calls wait for the gate.
    pub(crate) fn gated() -> Arc<Self> {
        Arc::new(Self {
            key: KeyArn::new(ARN).unwrap(),
            next: AtomicU8::new(1),
            calls: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            connected: AtomicBool::new(true),
            changing: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            gate: Semaphore::new(0),
        })
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn pass(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        assert!(!self.panics.load(Ordering::SeqCst), "the source panics, as it was told to");
    }
}

#[async_trait]
impl DataKeys for Source {
    fn key(&self) -> &KeyArn {
        &self.key
    }

    fn standing(&self, _: &KeyArn) -> Standing {
        Standing::new(self.generation.load(Ordering::SeqCst), self.connected.load(Ordering::SeqCst))
    }

    fn is_changing(&self, _: &KeyArn) -> bool {
        self.changing.load(Ordering::SeqCst)
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<FreshKey, Error> {
        self.pass().await;
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Ok(FreshKey::new(SecretBytes::new(vec![number; 32]), vec![number]))
    }

    async fn unwrap(&self, wrapped: &[u8], _: &EncryptionContext) -> Result<SecretBytes, Error> {
        self.pass().await;
        match wrapped {
            [number] => Ok(SecretBytes::new(vec![*number; 32])),
            _ => Err(InvalidBlob::Malformed.into()),
        }
    }
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
