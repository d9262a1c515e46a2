mod client;
mod errors;
mod proxy;
mod shape;
mod total;

use serde_json::{Value, json};

use super::Flaw;
use crate::backend::{
    BackendError, BackingKeyId, Ciphertext, CiphertextMetadata, InitializationVector, Operation, RequestId,
    RequestMetadata,
};
use crate::xks::vectors::base64;

fn encrypt_request_json() -> Value {
    json!({
        "requestMetadata": metadata_json(),
        "plaintext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "additionalAuthenticatedData": "dGVuYW50PWJsdWU=",
        "encryptionAlgorithm": "AES_GCM",
        "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
    })
}

fn decrypt_request_json() -> Value {
    json!({
        "requestMetadata": metadata_json(),
        "ciphertext": "ghxkK1txeDNn3q8Y",
        "initializationVector": "HMrlRw85cAJUd5Ax",
        "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==",
        "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
        "additionalAuthenticatedData": "dGVuYW50PWJsdWU=",
        "encryptionAlgorithm": "AES_GCM",
    })
}

fn metadata_json() -> Value {
    json!({
        "awsPrincipalArn": "arn:aws:iam::111122223333:role/R",
        "awsSourceVpc": "vpc-1",
        "awsSourceVpce": "vpce-1",
        "kmsKeyArn": "arn:aws:kms:us-east-2:111122223333:key/k",
        "kmsOperation": "Encrypt",
        "kmsRequestId": "request-1",
        "kmsViaService": "ebs",
    })
}

fn encrypt_response_json() -> Value {
    json!({
        "ciphertext": "ghxkK1txeDNn3q8Y",
        "initializationVector": "HMrlRw85cAJUd5Ax",
        "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==",
        "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
        "ciphertextDataIntegrityValue": "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=",
    })
}

/// What the integrity value above belongs to.
fn spec_aad() -> Vec<u8> {
    base64("cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n")
}

fn spec_ciphertext() -> Ciphertext {
    Ciphertext::new(
        base64("ghxkK1txeDNn3q8Y"),
        InitializationVector::new(&base64("HMrlRw85cAJUd5Ax")).unwrap(),
        base64("vBxN2ncH1oEkR8WVXpmyYQ==").try_into().unwrap(),
    )
    .with_metadata(CiphertextMetadata::new(b"key_version=1").unwrap())
}

fn health_response_json() -> Value {
    json!({
        "xksProxyFleetSize": 2,
        "xksProxyVendor": "Example",
        "xksProxyModel": "proxy 1.0",
        "ekmVendor": "Example",
        "ekmFleetDetails": [
            { "id": "a", "model": "hsm", "healthStatus": "ACTIVE" },
            { "id": "b", "model": "hsm", "healthStatus": "DEGRADED" },
        ],
    })
}

fn key_metadata_response_json() -> Value {
    json!({ "keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT", "WRAP"], "keyStatus": "ENABLED" })
}

fn with(mut json: Value, member: &str, value: Value) -> Value {
    json[member] = value;
    json
}

fn without(mut json: Value, member: &str) -> Value {
    json.as_object_mut().unwrap().remove(member);
    json
}

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

/// The same with a member repeated at the end.
fn repeated(json: &Value, member: &str) -> Vec<u8> {
    let text = json.to_string();
    let value = json.get(member).cloned().unwrap_or(Value::Null);
    format!("{},\"{member}\":{value}}}", text.strip_suffix('}').unwrap()).into_bytes()
}

fn key() -> BackingKeyId {
    BackingKeyId::new("payroll").unwrap()
}

fn id() -> RequestId {
    RequestId::from("request-1")
}

fn metadata<'a>(operation: &'a Operation, id: &'a RequestId) -> RequestMetadata<'a> {
    RequestMetadata::new("arn:aws:iam::111122223333:role/R", operation, id)
        .with_kms_key_arn("arn:aws:kms:us-east-2:111122223333:key/k")
        .with_source(Some("vpc-1"), Some("vpce-1"))
        .with_via_service(Some("ebs"))
}

/// What is wrong with a response, by the error's source.
fn flaw(error: &BackendError) -> Option<(Flaw, String)> {
    use std::error::Error as _;
    let malformed = error.source()?.downcast_ref::<super::Malformed>()?;
    Some((malformed.flaw(), malformed.to_string()))
}
