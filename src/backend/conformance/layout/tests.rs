//! No other key manager of the crate makes or takes initialization vectors of 16 bytes, so one is made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;

use super::{authenticated_data, ciphertext_can_be_read, gcm, own_ciphertext_is_read, sixteen_byte_vector};
use crate::backend::conformance::{Keys, Suite};
use crate::backend::software::KeyManager;
use crate::backend::{
    Backend, BackendError, BackendErrorKind, BackingKeyId, Change, Ciphertext, CiphertextMetadata, Closed,
    ConnectRequest, Connection, ConnectionError, DecryptRequest, Decrypted, DescribeKeyRequest,
    EncryptRequest, Health, HealthRequest, InitializationVector, InvalidChange, KeyDescription,
    StoreConfiguration,
};
use crate::conformance::Outcome;

const KEY: [u8; 32] = [0x24; 32];

#[test]
fn sixteen_bytes_are_checked_as_well_as_twelve() {
    let suite = |key| {
        let keys = Keys::new(BackingKeyId::new("usable").unwrap());
        Suite::new(Arc::new(LongVectors), keys).sixteen_byte_iv(true).usable_key_material(key)
    };
    let run = |suite: &Suite| -> [Outcome; 3] {
        [
            block_on(ciphertext_can_be_read(suite)),
            block_on(own_ciphertext_is_read(suite)),
            block_on(sixteen_byte_vector(suite)),
        ]
    };
    assert!(run(&suite(KEY)).iter().all(Result::is_ok));
    assert!(run(&suite([0; 32])).iter().all(Result::is_err));
}

#[derive(Debug)]
struct LongVectors;

#[async_trait]
impl Backend for LongVectors {
    fn configuration(&self) -> StoreConfiguration {
        KeyManager::new().configuration()
    }

    fn reconfigured(&self, _: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        Ok(Arc::new(Self))
    }

    async fn connect(&self, _: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        Ok(Arc::new(LongVectorsConnection(AtomicU8::new(0))))
    }
}

#[derive(Debug)]
struct LongVectorsConnection(AtomicU8);

#[async_trait]
impl Connection for LongVectorsConnection {
    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let vector = [self.0.fetch_add(1, Ordering::Relaxed); 16];
        let metadata = CiphertextMetadata::new(b"v=1").unwrap();
        let aad = authenticated_data(request.additional_authenticated_data, metadata.as_bytes()).unwrap();
        let (bytes, tag) = gcm::seal(&KEY, &vector, &aad, request.plaintext).unwrap();
        Ok(Ciphertext::new(bytes, InitializationVector::new(&vector).unwrap(), tag).with_metadata(metadata))
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let Ciphertext { bytes, initialization_vector, authentication_tag, metadata } = request.ciphertext;
        let aad = authenticated_data(request.additional_authenticated_data, metadata.as_bytes()).unwrap();
        gcm::open(&KEY, initialization_vector.as_bytes(), &aad, bytes, *authentication_tag)
            .unwrap()
            .map(|plaintext| Decrypted::new(plaintext.into()))
            .ok_or_else(|| BackendErrorKind::InvalidCiphertext.into())
    }

    async fn describe_key(&self, _: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        Err(BackendErrorKind::Internal.into())
    }

    async fn health(&self, _: &HealthRequest<'_>) -> Result<Health, BackendError> {
        Err(BackendErrorKind::Internal.into())
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        Ok(Closed::new())
    }
}
