//! Properties: no input panics, and what is written is read back.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{id, key, metadata, spec_ciphertext};
use crate::SecretBytes;
use crate::backend::{
    Ciphertext, CiphertextMetadata, DecryptRequest, Decrypted, EncryptRequest, InitializationVector,
    Operation,
};
use crate::xks::integrity::IntegrityValue;
use crate::xks::wire::{
    DecryptBody, EncryptBody, HealthBody, KeyMetadataBody, SizeLimits, decrypt_request, decrypt_response,
    decrypted_body, encrypt_request, encrypt_response, encrypted_body, error_body, error_response,
    health_response, key_metadata_response,
};

/// Every reader of the module.
fn read(body: &[u8]) {
    if let Ok(parsed) = EncryptBody::parse(body) {
        let _ = parsed.decode(SizeLimits::MINIMUM);
    }
    if let Ok(parsed) = DecryptBody::parse(body) {
        let _ = parsed.decode(SizeLimits::MINIMUM);
    }
    let _ = KeyMetadataBody::parse(body).map(|parsed| format!("{:?}", parsed.metadata.as_request_metadata()));
    let _ = HealthBody::parse(body).map(drop);
    let _ = key_metadata_response(body);
    let _ = health_response(body);
    let _ = decrypt_response(body, 12);
    let _ = error_response(400, body);
    let (key, id, operation) = (key(), id(), Operation::ENCRYPT);
    let _ = encrypt_response(body, &EncryptRequest::new(metadata(&operation, &id), &key, &[0; 12]));
}

/// JSON that is nearly right: known members with values of every kind.
fn nearly() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "requestMetadata",
        "plaintext",
        "additionalAuthenticatedData",
        "encryptionAlgorithm",
        "ciphertext",
        "initializationVector",
        "authenticationTag",
        "ciphertextMetadata",
        "awsPrincipalArn",
        "kmsKeyArn",
        "kmsOperation",
        "kmsRequestId",
        "keySpec",
        "keyUsage",
        "keyStatus",
        "xksProxyFleetSize",
        "ekmFleetDetails",
        "errorName",
        "errorMessage",
        "ciphertextDataIntegrityValue",
        "id",
        "healthStatus",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"AES_GCM\"".to_owned()),
        "[-]?[0-9]{1,3}(\\.[0-9])?",
        "\"[A-Za-z0-9+/]{0,24}={0,2}\"",
        "\"(\\\\/|\\\\u00[0-9a-f]{2}|\\\\n|\\\\ud83d|a){0,6}\"",
    ];
    leaf.prop_recursive(3, 40, 8, move |inner| {
        prop_oneof![
            vec((name.clone(), inner.clone()), 0..8).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            vec(inner, 0..12).prop_map(|entries| format!("[{}]", entries.join(", "))),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..300)) {
        read(&body);
    }

    #[test]
    fn anything_nearly_right_is_read_or_refused(body in nearly()) {
        read(body.as_bytes());
    }

    #[test]
    fn any_damage_to_a_request_is_read_or_refused(at in 0_usize..500, byte in any::<u8>()) {
        let (key, id, operation, ciphertext) = (key(), id(), Operation::DECRYPT, spec_ciphertext());
        let body = decrypt_request(&DecryptRequest::new(metadata(&operation, &id), &key, &ciphertext));
        let mut body = body.as_bytes().to_vec();
        let at = at % body.len();
        body[at] = byte;
        read(&body);
    }

    // XKS-C-35, XKS-P-68, XKS-P-87: requests and responses of any content make the round trip.
    #[test]
    fn what_is_written_is_read_back(
        plaintext in vec(any::<u8>(), 0..100),
        aad in vec(any::<u8>(), 0..100),
        note in vec(any::<u8>(), 0..=20),
        tag in any::<[u8; 16]>(),
        vector in prop_oneof![vec(any::<u8>(), 12), vec(any::<u8>(), 16)],
        principal in ".{0,40}",
    ) {
        let (key, id, operation) = (key(), id(), Operation::new("Some\"Thing"));
        let mut metadata = metadata(&operation, &id);
        metadata.principal = &principal;
        let request = EncryptRequest::new(metadata, &key, &plaintext).with_aad(&aad);
        let body = encrypt_request(&request);
        let parsed = EncryptBody::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(parsed.metadata.as_request_metadata(), metadata);
        let input = parsed.decode(SizeLimits::MINIMUM).unwrap();
        prop_assert_eq!((input.plaintext.expose(), &input.aad), (&plaintext[..], &aad));

        let ciphertext = Ciphertext::new(plaintext.clone(), InitializationVector::new(&vector).unwrap(), tag)
            .with_metadata(CiphertextMetadata::new(&note).unwrap());
        let body = encrypted_body(&ciphertext, Some(&IntegrityValue::compute(&aad, &ciphertext)));
        prop_assert_eq!(&encrypt_response(body.as_bytes(), &request).unwrap(), &ciphertext);

        let body = decrypt_request(&DecryptRequest::new(metadata, &key, &ciphertext).with_aad(&aad));
        let input = DecryptBody::parse(body.as_bytes()).unwrap().decode(SizeLimits::MINIMUM).unwrap();
        prop_assert_eq!((&input.ciphertext, &input.aad), (&ciphertext, &aad));

        let body = decrypted_body(&Decrypted::new(SecretBytes::new(plaintext.clone())));
        let decrypted = decrypt_response(body.as_bytes(), plaintext.len()).unwrap();
        prop_assert_eq!(decrypted.plaintext.expose(), &plaintext[..]);
    }

    // XKS-P-111, XKS-P-112, XKS-C-69
    #[test]
    fn any_message_is_written_within_the_rule(message in ".{0,700}") {
        let body = error_body(crate::xks::ErrorName::Internal, Some(&message));
        let error = error_response(500, body.as_bytes());
        let detail = error.detail().unwrap();
        prop_assert!(detail.len() <= 511 && detail.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    }
}
