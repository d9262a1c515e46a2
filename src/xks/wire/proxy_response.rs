//! The proxy's responses, written.

use super::{MAX_INSTANCES, name};
use crate::backend::{
    BackendError, BackendErrorKind, Ciphertext, Decrypted, Health, HealthStatus, KeyDescription,
    ManagerInstance, ProxyDescription,
};
use crate::json::EncodedBody;
use crate::json::{Writer, base64_len};
use crate::xks::integrity::IntegrityValue;

/// More than the names, quotes, vector, tag and metadata of any response.
const FRAME: usize = 256;

/// What a key is (XKS-P-36 to XKS-P-41).
pub(crate) fn key_description_body(description: &KeyDescription) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.display(name::KEY_SPEC, &description.spec);
    json.open_array(name::KEY_USAGE);
    for (allowed, word) in [(description.usages.encrypt, "ENCRYPT"), (description.usages.decrypt, "DECRYPT")]
    {
        if allowed {
            json.entry(word);
        }
    }
    json.close_array();
    json.string(name::KEY_STATUS, description.status.as_str());
    json.finish()
}

/// What an encryption gave (XKS-P-54, XKS-P-55).
pub(crate) fn encrypted_body(ciphertext: &Ciphertext, integrity: Option<&IntegrityValue>) -> EncodedBody {
    let mut json = Writer::new(FRAME + base64_len(ciphertext.bytes.len()));
    json.base64(name::CIPHERTEXT, &ciphertext.bytes);
    json.base64(name::IV, ciphertext.initialization_vector.as_bytes());
    json.base64(name::TAG, &ciphertext.authentication_tag);
    let metadata = ciphertext.metadata.as_bytes();
    if !metadata.is_empty() {
        json.base64(name::METADATA, metadata);
    }
    if let Some(value) = integrity {
        json.base64(name::INTEGRITY_VALUE, value.as_bytes());
    }
    json.finish()
}

/// What a decryption gave (XKS-P-87). The room is reserved at once, so that one buffer holds the plaintext.
pub(crate) fn decrypted_body(decrypted: &Decrypted) -> EncodedBody {
    let plaintext = &decrypted.plaintext;
    let mut json = Writer::new(FRAME + base64_len(plaintext.len()));
    json.base64(name::PLAINTEXT, plaintext.expose());
    json.finish()
}

/// How the key manager behind `proxy` is (XKS-P-98 to XKS-P-105).
///
/// Of more than ten instances those that serve best are named, since a client judges by what it sees. That no two have
/// one id is the connection's part: which of two was meant nobody here could say.
///
/// # Errors
///
/// A reading without any instance is [`InvalidResponse`](BackendErrorKind::InvalidResponse) of the connection.
pub(crate) fn health_body(health: &Health, proxy: &ProxyDescription) -> Result<EncodedBody, BackendError> {
    if health.instances.is_empty() {
        return Err(BackendError::new(BackendErrorKind::InvalidResponse)
            .with_detail("the key manager's health names no instance"));
    }
    let mut instances: Vec<&ManagerInstance> = health.instances.iter().collect();
    if instances.len() > MAX_INSTANCES {
        instances.sort_by_key(|instance| match instance.status {
            HealthStatus::Active => 0,
            HealthStatus::Degraded => 1,
            HealthStatus::Unavailable => 2,
        });
        instances.truncate(MAX_INSTANCES);
    }

    let mut json = Writer::new(FRAME * 4);
    // Who answers is one at least.
    json.number(name::FLEET_SIZE, proxy.fleet_size.max(1));
    json.string(name::PROXY_VENDOR, &proxy.vendor);
    json.string(name::PROXY_MODEL, &proxy.model);
    json.string(name::MANAGER_VENDOR, &health.vendor);
    json.open_array(name::FLEET);
    for instance in instances {
        json.open_object(None);
        json.string(name::ID, &instance.id);
        json.string(name::MODEL, &instance.model);
        json.string(name::HEALTH_STATUS, instance.status.as_str());
        json.close_object();
    }
    json.close_array();
    Ok(json.finish())
}
