//! The bodies of requests and responses, read strictly and written compactly.
//!
//! Reading is strict where a slip would be dangerous and tolerant where the protocol will grow: a body is one JSON
//! object and nothing else, never an array in its place; unknown members are ignored (XKS-P-35, XKS-C-73); a known
//! member that appears twice is refused; `null` is absence. Strings are borrowed from the body, and Base64 stays as
//! it is until somebody asks for the bytes, so that a proxy can look up the key first.

mod base64_text;
mod error_body;
mod json;
mod malformed;
mod metadata;
mod proxy_request;
mod proxy_response;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub(crate) use error_body::{error_body, error_response};
#[cfg(test)]
pub(crate) use malformed::Flaw;
pub(crate) use malformed::Malformed;
pub(crate) use metadata::ParsedMetadata;
pub(crate) use proxy_request::{
    DecryptBody, EncryptBody, EncryptInput, HealthBody, KeyMetadataBody, Refusal, SizeLimits,
};
pub(crate) use proxy_response::{decrypted_body, encrypted_body, health_body, key_description_body};
pub(crate) use request::{decrypt_request, encrypt_request, health_request, key_metadata_request};
pub(crate) use response::{
    decrypt_response, encrypt_response, health_response, is_json, key_metadata_response,
};

/// The bound on a body that both sides set while reading it: three times the largest legal one (XKS-P-18,
/// XKS-C-08).
pub(crate) const MAX_BODY_LEN: usize = 64 * 1024;

/// Names of members that more than one message has.
mod name {
    pub(super) const REQUEST_METADATA: &str = "requestMetadata";
    pub(super) const PLAINTEXT: &str = "plaintext";
    pub(super) const AAD: &str = "additionalAuthenticatedData";
    pub(super) const ALGORITHM: &str = "encryptionAlgorithm";
    pub(super) const INTEGRITY_ALGORITHM: &str = "ciphertextDataIntegrityValueAlgorithm";
    pub(super) const CIPHERTEXT: &str = "ciphertext";
    pub(super) const IV: &str = "initializationVector";
    pub(super) const TAG: &str = "authenticationTag";
    pub(super) const METADATA: &str = "ciphertextMetadata";
    pub(super) const INTEGRITY_VALUE: &str = "ciphertextDataIntegrityValue";
    pub(super) const PRINCIPAL: &str = "awsPrincipalArn";
    pub(super) const SOURCE_VPC: &str = "awsSourceVpc";
    pub(super) const SOURCE_VPCE: &str = "awsSourceVpce";
    pub(super) const KEY_ARN: &str = "kmsKeyArn";
    pub(super) const OPERATION: &str = "kmsOperation";
    pub(super) const REQUEST_ID: &str = "kmsRequestId";
    pub(super) const VIA_SERVICE: &str = "kmsViaService";
    pub(super) const KEY_SPEC: &str = "keySpec";
    pub(super) const KEY_USAGE: &str = "keyUsage";
    pub(super) const KEY_STATUS: &str = "keyStatus";
    pub(super) const FLEET_SIZE: &str = "xksProxyFleetSize";
    pub(super) const PROXY_VENDOR: &str = "xksProxyVendor";
    pub(super) const PROXY_MODEL: &str = "xksProxyModel";
    pub(super) const MANAGER_VENDOR: &str = "ekmVendor";
    pub(super) const FLEET: &str = "ekmFleetDetails";
    pub(super) const ID: &str = "id";
    pub(super) const MODEL: &str = "model";
    pub(super) const HEALTH_STATUS: &str = "healthStatus";
    pub(super) const ERROR_NAME: &str = "errorName";
    pub(super) const ERROR_MESSAGE: &str = "errorMessage";
}

/// The only algorithm of the protocol's version 1 (XKS-P-50, XKS-C-32).
const AES_GCM: &str = "AES_GCM";
/// The only hash of the integrity value (XKS-P-53, XKS-C-33).
const SHA_256: &str = "SHA_256";
/// The tag's length in bytes (XKS-P-65, XKS-C-52).
const TAG_LEN: usize = 16;
/// The most usages that a key may list (XKS-P-40, XKS-C-43).
const MAX_USAGES: usize = 10;
/// The most instances that a health answer may list (XKS-P-105, XKS-C-62).
const MAX_INSTANCES: usize = 10;
