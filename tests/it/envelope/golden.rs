//! Version 1 opens forever: vectors that were made from the description of the format, by other code.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use custom_key_store::envelope::{
    DataKeys, Envelope, EnvelopeError, FreshKey, with_wrapped_data_key, wrapped_data_key,
};
use custom_key_store::{EncryptionContext, Error, InvalidBlob, KeyArn, SecretBytes};
use futures::executor::block_on;
use serde_json::Value;

use super::support::ARN;

/// Unwraps the one data key that it knows.
#[derive(Debug)]
struct Known {
    arn: KeyArn,
    key: SecretBytes,
    wrapped: Vec<u8>,
}

#[async_trait]
impl DataKeys for Known {
    fn key(&self) -> &KeyArn {
        &self.arn
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<FreshKey, Error> {
        Ok(FreshKey::new(self.key.clone(), self.wrapped.clone()))
    }

    async fn unwrap(&self, wrapped: &[u8], _: &EncryptionContext) -> Result<SecretBytes, Error> {
        if wrapped == self.wrapped { Ok(self.key.clone()) } else { Err(InvalidBlob::Malformed.into()) }
    }
}

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../data/envelope-vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn member(vector: &Value, name: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(vector[name].as_str().unwrap()).unwrap()
}

fn parts(vector: &Value) -> (Envelope, EncryptionContext) {
    let key = SecretBytes::new(member(vector, "data_key"));
    let source = Known { arn: KeyArn::new(ARN).unwrap(), key, wrapped: member(vector, "wrapped") };
    let pairs: BTreeMap<String, String> = serde_json::from_value(vector["context"].clone()).unwrap();
    (Envelope::new(source), EncryptionContext::new(pairs).unwrap())
}

#[test]
fn every_vector_opens() {
    let mut kinds = [0, 0];
    for vector in vectors() {
        let (envelope, context) = parts(&vector);
        let (plaintext, sealed) = (member(&vector, "plaintext"), member(&vector, "sealed"));
        assert_eq!(wrapped_data_key(&sealed).unwrap(), member(&vector, "wrapped"));
        if vector["kind"] == "record" {
            kinds[0] += 1;
            assert_eq!(block_on(envelope.open(&sealed, &context)).unwrap().expose(), plaintext);
        } else {
            kinds[1] += 1;
            let mut read = Vec::new();
            block_on(envelope.reader(sealed.as_slice(), &context)).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, plaintext);
            read.clear();
            let ranged = block_on(envelope.ranged_reader(Cursor::new(sealed), &context));
            ranged.unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, plaintext);
        }
    }
    assert_eq!(kinds, [3, 5]);
}

#[test]
fn a_newer_version_is_an_error_of_its_own() {
    for vector in vectors() {
        let (envelope, context) = parts(&vector);
        let mut sealed = member(&vector, "sealed");
        sealed[0] = 2;
        for bytes in [&sealed[..], &sealed[..1]] {
            let error = block_on(envelope.open(bytes, &context)).unwrap_err();
            assert!(matches!(error, EnvelopeError::UnknownVersion(2)), "{error:?}");
        }
        let error = block_on(envelope.reader(sealed.as_slice(), &context)).unwrap_err();
        assert!(matches!(error, EnvelopeError::UnknownVersion(2)), "{error:?}");
    }
}

#[test]
fn a_wrapped_data_key_has_1_to_6144_bytes() {
    let vector = &vectors()[2];
    let sealed = member(vector, "sealed");
    for length in [1, 6144] {
        let wrapped = vec![7; length];
        let anew = with_wrapped_data_key(&sealed, &wrapped).unwrap();
        assert_eq!(wrapped_data_key(&anew).unwrap(), wrapped);
        let back = with_wrapped_data_key(&anew, &member(vector, "wrapped")).unwrap();
        assert_eq!(back, sealed);
    }
    for length in [0, 6145] {
        let refused = with_wrapped_data_key(&sealed, &vec![7; length]);
        assert!(matches!(refused, Err(EnvelopeError::Invalid)));
    }
}
