//! The client's requests, written.

use super::metadata;
use super::name;
use super::{AES_GCM, SHA_256};
use crate::backend::{DecryptRequest, DescribeKeyRequest, EncryptRequest, HealthRequest, RequestMetadata};
use crate::json::EncodedBody;
use crate::json::{Writer, base64_len};
use crate::xks::ProxyOperation;

/// More than the names, quotes and constant values of any request.
const FRAME: usize = 512;

/// A request for a key's metadata.
pub(crate) fn key_metadata_request(request: &DescribeKeyRequest<'_>) -> EncodedBody {
    start(&request.metadata, ProxyOperation::GetKeyMetadata).finish()
}

/// A request for an encryption; asks for an integrity value when the caller wants verification.
pub(crate) fn encrypt_request(request: &EncryptRequest<'_>) -> EncodedBody {
    let mut json = start(&request.metadata, ProxyOperation::Encrypt);
    let aad = request.additional_authenticated_data;
    json.reserve(FRAME + base64_len(aad.len()) + base64_len(request.plaintext.len()));
    optional_base64(&mut json, name::AAD, aad);
    json.base64(name::PLAINTEXT, request.plaintext);
    json.string(name::ALGORITHM, AES_GCM);
    if request.verified {
        json.string(name::INTEGRITY_ALGORITHM, SHA_256);
    }
    json.finish()
}

/// A request for a decryption; repeats all that the encryption gave (XKS-C-35).
pub(crate) fn decrypt_request(request: &DecryptRequest<'_>) -> EncodedBody {
    let mut json = start(&request.metadata, ProxyOperation::Decrypt);
    let (ciphertext, aad) = (request.ciphertext, request.additional_authenticated_data);
    json.reserve(FRAME + base64_len(aad.len()) + base64_len(ciphertext.bytes.len()));
    optional_base64(&mut json, name::AAD, aad);
    json.base64(name::CIPHERTEXT, &ciphertext.bytes);
    json.base64(name::IV, ciphertext.initialization_vector.as_bytes());
    json.base64(name::TAG, &ciphertext.authentication_tag);
    optional_base64(&mut json, name::METADATA, ciphertext.metadata.as_bytes());
    json.string(name::ALGORITHM, AES_GCM);
    json.finish()
}

/// A request for the health.
pub(crate) fn health_request(request: &HealthRequest<'_>) -> EncodedBody {
    start(&request.metadata, ProxyOperation::GetHealthStatus).finish()
}

fn start(request: &RequestMetadata<'_>, operation: ProxyOperation) -> Writer {
    let mut json = Writer::new(FRAME);
    metadata::write(&mut json, request, operation);
    json
}

/// Empty and absent are the same, and some proxies hash what is empty: it is never sent.
fn optional_base64(json: &mut Writer, name: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        json.base64(name, bytes);
    }
}
