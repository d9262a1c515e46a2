//! A backend that notes what the key manager gets to see.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend, BackendError, Change, Ciphertext, Closed, ConnectRequest, Connection, ConnectionError,
    DecryptRequest, Decrypted, DescribeKeyRequest, EncryptRequest, Health, HealthRequest, InvalidChange,
    KeyDescription, StoreConfiguration,
};

/// The data and the additional authenticated data of each encryption and decryption.
pub(crate) type Log = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

#[derive(Debug)]
pub(crate) struct Recording {
    manager: KeyManager,
    pub(crate) log: Log,
}

impl Recording {
    pub(crate) fn new(manager: KeyManager) -> Self {
        Self { manager, log: Log::default() }
    }
}

#[async_trait]
impl Backend for Recording {
    fn configuration(&self) -> StoreConfiguration {
        self.manager.configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        self.manager.reconfigured(change)
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let connection = self.manager.connect(request).await?;
        Ok(Arc::new(RecordingConnection { connection, log: Arc::clone(&self.log) }))
    }
}

#[derive(Debug)]
struct RecordingConnection {
    connection: Arc<dyn Connection>,
    log: Log,
}

#[async_trait]
impl Connection for RecordingConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        self.connection.describe_key(request).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let aad = request.additional_authenticated_data.to_vec();
        self.log.lock().unwrap().push((request.plaintext.to_vec(), aad));
        self.connection.encrypt(request).await
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let aad = request.additional_authenticated_data.to_vec();
        self.log.lock().unwrap().push((request.ciphertext.bytes.clone(), aad));
        self.connection.decrypt(request).await
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        self.connection.health(request).await
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.connection.close().await
    }
}
