//! The four operations over a transport.

use std::fmt;

use async_trait::async_trait;
use http::StatusCode;
use tokio::runtime::Handle;

use super::failure::Failure;
use super::transport::Transport;
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, Ciphertext, Closed, Connection, DecryptRequest, Decrypted,
    DescribeKeyRequest, EncryptRequest, Health, HealthRequest, KeyDescription, UriPath,
};
use crate::json::EncodedBody;
use crate::value::InvalidValue;
use crate::xks::path::{health_path, key_path};
use crate::xks::{ProxyOperation, Region, wire};

/// A connection to a proxy: a credential, a path, and whatever network connections the calls need.
pub(super) struct XksConnection {
    pub(super) transport: Transport,
    pub(super) path: UriPath,
    pub(super) region: Region,
}

impl XksConnection {
    fn key_path(&self, operation: ProxyOperation, key: &BackingKeyId) -> Result<String, BackendError> {
        let host = self.transport.connector.endpoint.host();
        key_path(host, &self.path, operation, key).map_err(too_long)
    }

    /// What stands for the ARN of a KMS key that a caller does not have; the protocol demands one (XKS-C-31).
    fn stand_in(&self, given: Option<&str>, key: &BackingKeyId) -> Option<String> {
        match given {
            Some(_) => None,
            None => Some(format!("arn:aws:kms:{}:000000000000:key/{key}", self.region)),
        }
    }

    /// One request from beginning to end: counted, within the deadline, and read by `read` when it is a success.
    async fn call<T>(
        &self,
        path: Result<String, BackendError>,
        body: EncodedBody,
        read: impl FnOnce(&[u8]) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let transport = &self.transport;
        if transport.pool.is_closed() {
            return Err(BackendErrorKind::Closed.into());
        }
        // Here, so that it does not count among what the network or the proxy did.
        Handle::try_current().map_err(|error| Failure::no_runtime(error).into_error())?;
        let path = path?;
        // Not even sent: a proxy that refuses it may close while we still write, which would look like a broken
        // network. Twice as much as the protocol's greatest request is no proxy's duty to take (XKS-C-34).
        if body.as_bytes().len() > wire::MAX_BODY_LEN {
            let detail = "the request is longer than the 64 KiB that are sent to a proxy";
            return Err(BackendError::new(BackendErrorKind::Unsupported).with_detail(detail));
        }
        let counted = transport.connector.counters.begin();
        let started = transport.clock.monotonic();
        let result = match transport.post(&path, body).await {
            Err(error) => Err(error),
            Ok(answer) => {
                if !wire::is_json(&answer.headers) {
                    let detail = format!("status {}, and the content type is not JSON", answer.status);
                    Err(BackendError::new(BackendErrorKind::InvalidResponse).with_detail(detail))
                } else if answer.status == StatusCode::OK {
                    read(&answer.body)
                } else {
                    // XKS-C-41
                    Err(wire::error_response(answer.status.as_u16(), &answer.body))
                }
            }
        };
        let after = transport.clock.monotonic().saturating_duration_since(started);
        counted.end(result.as_ref().err().map(BackendError::kind), after);
        result
    }
}

/// XKS-C-14: it is not even sent.
fn too_long(error: InvalidValue) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidRequest).with_source(error)
}

#[async_trait]
impl Connection for XksConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        let path = self.key_path(ProxyOperation::GetKeyMetadata, request.key);
        self.call(path, wire::key_metadata_request(request), wire::key_metadata_response).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let mut request = *request;
        let arn = self.stand_in(request.metadata.kms_key_arn, request.key);
        request.metadata.kms_key_arn = request.metadata.kms_key_arn.or(arn.as_deref());
        let path = self.key_path(ProxyOperation::Encrypt, request.key);
        let body = wire::encrypt_request(&request);
        self.call(path, body, |body| wire::encrypt_response(body, &request)).await
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let mut request = *request;
        let arn = self.stand_in(request.metadata.kms_key_arn, request.key);
        request.metadata.kms_key_arn = request.metadata.kms_key_arn.or(arn.as_deref());
        let path = self.key_path(ProxyOperation::Decrypt, request.key);
        let body = wire::decrypt_request(&request);
        let length = request.ciphertext.bytes.len();
        self.call(path, body, |body| wire::decrypt_response(body, length)).await
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        let path = health_path(self.transport.connector.endpoint.host(), &self.path).map_err(too_long);
        let health = self.call(path, wire::health_request(request), wire::health_response).await?;
        self.transport.connector.counters.managers_are(&health);
        Ok(health)
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.transport.pool.close();
        Ok(Closed::new())
    }
}

impl fmt::Debug for XksConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XksConnection")
            .field("transport", &self.transport)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
