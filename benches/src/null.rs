//! A key manager that does nothing, so that what is measured is what lies above it.
#![expect(clippy::exhaustive_structs, reason = "nobody outside this package uses them")]

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use custom_key_store::InvalidValue;
use custom_key_store::backend::{
    Backend, BackendError, Change, Ciphertext, Closed, ConnectRequest, Connection, ConnectionError,
    DecryptRequest, Decrypted, DescribeKeyRequest, EncryptRequest, Health, HealthRequest, HealthStatus,
    InitializationVector, InvalidChange, KeyDescription, KeySpec, KeyStatus, KeyUsages, ManagerInstance,
    StoreConfiguration,
};

/// A key manager whose one connection was made before.
#[derive(Debug)]
pub struct NullBackend {
    /// What it says of itself.
    pub configuration: StoreConfiguration,
    /// The connection.
    pub connection: Arc<dyn Connection>,
}

#[async_trait]
impl Backend for NullBackend {
    fn configuration(&self) -> StoreConfiguration {
        self.configuration.clone()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let configuration = change.apply_to(&self.configuration)?;
        Ok(Arc::new(Self { configuration, connection: Arc::clone(&self.connection) }))
    }

    async fn connect(&self, _: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        Ok(Arc::clone(&self.connection))
    }
}

/// Answers at once and encrypts nothing.
#[derive(Debug)]
pub struct NullConnection {
    iv: InitializationVector,
}

impl NullConnection {
    /// One.
    ///
    /// # Errors
    ///
    /// None, as far as anybody knows.
    pub fn new() -> Result<Self, InvalidValue> {
        Ok(Self { iv: InitializationVector::new(&[0; 12])? })
    }
}

#[async_trait]
impl Connection for NullConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        black_box(request);
        Ok(KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled))
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        black_box(request);
        Ok(Ciphertext::new(request.plaintext.to_vec(), self.iv, [0; 16]))
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        black_box(request);
        Ok(Decrypted::new(request.ciphertext.bytes.clone().into()))
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        black_box(request);
        Ok(Health::new("null", vec![ManagerInstance::new("1", "null", HealthStatus::Active)]))
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        Ok(Closed::new())
    }
}
