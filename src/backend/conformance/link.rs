//! A connection under test, with calls that are short to write.

use std::sync::Arc;

use super::Suite;
use crate::backend::{
    BackendError, BackingKeyId, Ciphertext, ConnectReason, ConnectRequest, Connection, ConnectionError,
    DecryptRequest, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest, GenerateKeyRequest,
    GenerateRandomRequest, Health, HealthRequest, KeyDescription, Operation, RequestId, RequestMetadata,
};
use crate::conformance::{Expect as _, Outcome, ensure, failed};
use crate::secret::SecretBytes;

pub(super) const KMS_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:111122223333:key/c0f04ace-0000-4000-8000-000000000000";

/// A live connection to the backend under test.
pub(super) struct Link<'a> {
    suite: &'a Suite,
    pub(super) connection: Arc<dyn Connection>,
}

impl Suite {
    pub(super) async fn try_connect(
        &self,
        reason: ConnectReason,
    ) -> Result<Arc<dyn Connection>, ConnectionError> {
        self.backend.connect(&self.connect_request(reason)).await
    }

    pub(super) fn connect_request(&self, reason: ConnectReason) -> ConnectRequest {
        // Every attempt sees the same vault, so that a password which one attempt changed is known to the next.
        ConnectRequest::new(reason, self.deadline).with_vault(Arc::clone(&self.vault))
    }

    /// A connection of one's own for a check, so that what spoils it spoils no other check.
    pub(super) async fn connect(&self) -> Outcome<Link<'_>> {
        // A reason for which no password may be changed: it would be changed with every check.
        match self.try_connect(ConnectReason::Resume).await {
            Ok(connection) => Ok(self.link(connection)),
            Err(error) => failed(format!("connect: failed with {error:?}")),
        }
    }

    pub(super) const fn link(&self, connection: Arc<dyn Connection>) -> Link<'_> {
        Link { suite: self, connection }
    }

    fn metadata<'a>(&'a self, operation: &'a Operation, id: &'a RequestId) -> RequestMetadata<'a> {
        RequestMetadata::new(&self.principal, operation, id).with_kms_key_arn(KMS_KEY_ARN)
    }
}

impl Link<'_> {
    pub(super) async fn describe(&self, key: &BackingKeyId) -> Result<KeyDescription, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::CREATE_KEY, &id);
        self.connection.describe_key(&DescribeKeyRequest::new(metadata, key)).await
    }

    pub(super) async fn encrypt(
        &self,
        key: &BackingKeyId,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<Ciphertext, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::ENCRYPT, &id);
        self.connection.encrypt(&EncryptRequest::new(metadata, key, plaintext).with_aad(aad)).await
    }

    pub(super) async fn encrypt_unverified(
        &self,
        key: &BackingKeyId,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<Ciphertext, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::ENCRYPT, &id);
        let request = EncryptRequest::new(metadata, key, plaintext).with_aad(aad).unverified();
        self.connection.encrypt(&request).await
    }

    pub(super) async fn decrypt(
        &self,
        key: &BackingKeyId,
        ciphertext: &Ciphertext,
        aad: &[u8],
    ) -> Result<SecretBytes, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::DECRYPT, &id);
        let request = DecryptRequest::new(metadata, key, ciphertext).with_aad(aad);
        self.connection.decrypt(&request).await.map(|decrypted| decrypted.plaintext)
    }

    pub(super) async fn generate_key(&self) -> Result<BackingKeyId, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::CREATE_KEY, &id);
        let request = GenerateKeyRequest::new(metadata, KMS_KEY_ARN);
        self.connection.generate_key(&request).await.map(|generated| generated.key)
    }

    pub(super) async fn delete_key(&self, key: &BackingKeyId) -> Result<(), BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::DELETE_KEY, &id);
        self.connection.delete_key(&DeleteKeyRequest::new(metadata, key)).await
    }

    pub(super) async fn generate_random(&self, length: usize) -> Result<SecretBytes, BackendError> {
        let id = RequestId::generate();
        let metadata = self.suite.metadata(&Operation::GENERATE_RANDOM, &id);
        self.connection.generate_random(&GenerateRandomRequest::new(metadata, length)).await
    }

    pub(super) async fn health(&self) -> Result<Health, BackendError> {
        let id = RequestId::generate();
        // A health request has no KMS key: it is about none.
        let metadata = RequestMetadata::new(&self.suite.principal, &Operation::HEALTH_CHECK, &id);
        self.connection.health(&HealthRequest::new(metadata)).await
    }

    /// Encrypts and decrypts again under the usable key, and gives the ciphertext.
    pub(super) async fn round_trip(&self, plaintext: &[u8], aad: &[u8]) -> Outcome<Ciphertext> {
        let key = &self.suite.keys.usable;
        let call = format!("encrypt {} bytes with {} of AAD", plaintext.len(), aad.len());
        let ciphertext = self.encrypt(key, plaintext, aad).await.or_fail(call)?;
        self.opens(key, &ciphertext, plaintext, aad).await?;
        Ok(ciphertext)
    }

    /// The ciphertext has the right length and decrypts to the plaintext.
    pub(super) async fn opens(
        &self,
        key: &BackingKeyId,
        ciphertext: &Ciphertext,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Outcome {
        let (length, expected) = (ciphertext.bytes.len(), plaintext.len());
        ensure(length == expected, || format!("encrypt: {expected} bytes became {length}"))?;
        let call = format!("decrypt {length} bytes with {} of AAD", aad.len());
        let opened = self.decrypt(key, ciphertext, aad).await.or_fail(&call)?;
        ensure(opened.expose() == plaintext, || format!("{call}: not what was encrypted"))
    }

    /// The connection still does what it is for.
    pub(super) async fn still_works(&self, after: &str) -> Outcome {
        match self.round_trip(&pattern(64, 0x5a), b"still works").await {
            Ok(_) => Ok(()),
            Err(crate::conformance::Stop::Failed(reason)) => failed(format!("{after}, {reason}")),
            Err(stop) => Err(stop),
        }
    }
}

/// Bytes that differ from their neighbours, and from those of another seed.
pub(super) fn pattern(length: usize, seed: u8) -> Vec<u8> {
    let mut byte = seed;
    std::iter::repeat_with(|| {
        byte = byte.wrapping_mul(5).wrapping_add(113);
        byte
    })
    .take(length)
    .collect()
}
