//! What a proxy makes of sizes, Base64 and lengths, and what it answers.
#![expect(clippy::unwrap_in_result, reason = "a test that cannot go on should say where")]

use serde_json::{Value, json};

use super::super::proxy_request::DecryptInput;
use super::{
    bytes, decrypt_request_json, encrypt_request_json, key, metadata, spec_ciphertext, with, without,
};
use crate::SecretBytes;
use crate::backend::{
    BackendErrorKind, Decrypted, Health, HealthStatus, KeyDescription, KeySpec, KeyStatus, KeyUsages,
    ManagerInstance, Operation, ProxyDescription, RequestId,
};
use crate::xks::ErrorName;
use crate::xks::integrity::IntegrityValue;
use crate::xks::vectors::{base64, section};
use crate::xks::wire::{
    DecryptBody, EncryptBody, EncryptInput, MAX_BODY_LEN, Refusal, SizeLimits, decrypt_request,
    decrypted_body, encrypt_request, encrypted_body, health_body, key_description_body,
};

fn encode(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    json!(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn encrypt(json: &Value, limits: SizeLimits) -> Result<EncryptInput, Refusal> {
    EncryptBody::parse(&bytes(json)).unwrap().decode(limits)
}

fn decrypt(json: &Value) -> Result<DecryptInput, Refusal> {
    DecryptBody::parse(&bytes(json)).unwrap().decode(SizeLimits::MINIMUM)
}

// XKS-P-78, XKS-P-51, XKS-P-59, XKS-P-83: standard alphabet, padded, nothing else.
#[test]
fn base64_is_strict() {
    let bad = [
        "A",
        "AAA",
        "AA=",
        "AAA-",
        "AA_A",
        "A===",
        "AB==",
        "AA==AAAA",
        "AAAA\n",
        " AAAA",
        "AAAA====",
        "\u{e9}AAA",
        "=",
    ];
    for text in bad {
        for member in ["plaintext", "additionalAuthenticatedData"] {
            let json = with(encrypt_request_json(), member, json!(text));
            assert_eq!(
                encrypt(&json, SizeLimits::MINIMUM).unwrap_err().name,
                ErrorName::Validation,
                "{text}"
            );
        }
        for member in [
            "ciphertext",
            "initializationVector",
            "authenticationTag",
            "ciphertextMetadata",
            "additionalAuthenticatedData",
        ] {
            let refusal = decrypt(&with(decrypt_request_json(), member, json!(text))).unwrap_err();
            assert_eq!(refusal.name, ErrorName::Validation, "{member} {text}");
            let message = refusal.message.unwrap();
            assert_eq!(message, format!("{member} is not Base64 of the standard alphabet with padding"));
        }
    }
    // Long enough to be no vector at all, and undecodable: the latter counts.
    let long = json!("-".repeat(100));
    let refusal = decrypt(&with(decrypt_request_json(), "initializationVector", long)).unwrap_err();
    assert_eq!(refusal.name, ErrorName::Validation);
}

// The facts, part 2: JSON may escape the slash of Base64, or anything else.
#[test]
fn escapes_are_undone_before_base64() {
    let json = with(encrypt_request_json(), "plaintext", json!("////")).to_string();
    for escaped in [r"\/\/\/\/", r"\u002f/\u002F\/"] {
        let body = json.replace("////", escaped);
        let input = EncryptBody::parse(body.as_bytes()).unwrap().decode(SizeLimits::MINIMUM).unwrap();
        assert_eq!(input.plaintext.expose(), [0xff; 3]);
    }
    for escaped in [r"///\n", r"///\u0100", r"///\ud800", r"///\\", r#"///\""#] {
        let body = json.replace("////", escaped);
        let refusal = EncryptBody::parse(body.as_bytes()).unwrap().decode(SizeLimits::MINIMUM).unwrap_err();
        assert_eq!(refusal.name, ErrorName::Validation);
    }
}

// XKS-P-47, XKS-P-49, XKS-P-52, XKS-P-79, XKS-P-84: the minimum is taken, a byte more is 501 and not 400.
#[test]
fn sizes_up_to_the_limit_are_taken() {
    let sized = |json: Value, member: &str, size: usize| with(json, member, encode(&vec![7; size]));
    let full = sized(sized(encrypt_request_json(), "plaintext", 4300), "additionalAuthenticatedData", 8192);
    let input = encrypt(&full, SizeLimits::MINIMUM).unwrap();
    assert_eq!((input.plaintext.len(), input.aad.len()), (4300, 8192));
    let full_json =
        sized(sized(decrypt_request_json(), "ciphertext", 4300), "additionalAuthenticatedData", 8192);
    let input = decrypt(&full_json).unwrap();
    assert_eq!((input.ciphertext.bytes.len(), input.aad.len()), (4300, 8192));

    for json in [sized(full.clone(), "plaintext", 4301), sized(full, "additionalAuthenticatedData", 8193)] {
        let refusal = encrypt(&json, SizeLimits::MINIMUM).unwrap_err();
        assert_eq!(refusal.name, ErrorName::UnsupportedOperation);
        assert!(encrypt(&json, SizeLimits::at_least(5000, 9000)).is_ok());
    }
    for (member, size) in [("ciphertext", 4301), ("additionalAuthenticatedData", 8193)] {
        let refusal = decrypt(&sized(full_json.clone(), member, size)).unwrap_err();
        assert_eq!(refusal.name, ErrorName::UnsupportedOperation);
    }
    // Before Base64, and never below the minimum or above what the layout can carry.
    let undecodable = with(encrypt_request_json(), "plaintext", json!("-".repeat(8000)));
    assert_eq!(encrypt(&undecodable, SizeLimits::MINIMUM).unwrap_err().name, ErrorName::UnsupportedOperation);
    assert_eq!(SizeLimits::at_least(0, 0), SizeLimits::MINIMUM);
    assert_eq!(SizeLimits::at_least(0, 70_000), SizeLimits::at_least(0, 65_535));
    for length in section("base64_lengths") {
        let (raw, encoded) = (length["raw"].as_u64().unwrap(), length["encoded"].as_u64().unwrap());
        let raw = usize::try_from(raw).unwrap();
        assert_eq!(encode(&vec![0; raw]).as_str().unwrap().len() as u64, encoded);
        assert_eq!(crate::json::base64_len(raw) as u64, encoded);
    }
}

// XKS-P-80, XKS-P-85, XKS-P-86, XKS-P-92
#[test]
fn vector_and_tag_have_their_lengths() {
    let sized =
        |member: &str, size: usize| decrypt(&with(decrypt_request_json(), member, encode(&vec![7; size])));
    let one = Refusal::new(ErrorName::InvalidCiphertext);
    for size in [0, 1, 11, 13, 15, 17, 46, 47, 48, 300] {
        assert_eq!(sized("initializationVector", size).unwrap_err(), one, "{size}");
        if size != 16 {
            assert_eq!(sized("authenticationTag", size).unwrap_err(), one, "{size}");
        }
    }
    assert!(sized("initializationVector", 12).is_ok() && sized("initializationVector", 16).is_ok());
    assert_eq!(sized("ciphertextMetadata", 21).unwrap_err().name, ErrorName::Validation);
    assert_eq!(sized("ciphertextMetadata", 60).unwrap_err().name, ErrorName::Validation);
    assert_eq!(sized("ciphertextMetadata", 20).unwrap().ciphertext.metadata.as_bytes().len(), 20);
}

// XKS-P-62, and the facts' 2.5: absent, null and empty are the same; an empty plaintext is one.
#[test]
fn absent_and_empty_are_the_same() {
    for member in ["additionalAuthenticatedData", "ciphertextMetadata"] {
        let json = decrypt_request_json();
        for json in [
            without(json.clone(), member),
            with(json.clone(), member, json!("")),
            with(json, member, Value::Null),
        ] {
            let input = decrypt(&json).unwrap();
            let found: &[u8] = match member {
                "ciphertextMetadata" => input.ciphertext.metadata.as_bytes(),
                _ => &input.aad,
            };
            assert!(found.is_empty());
        }
    }
    let input = encrypt(&with(encrypt_request_json(), "plaintext", json!("")), SizeLimits::MINIMUM);
    assert!(input.unwrap().plaintext.is_empty());
}

// XKS-P-54: an integrity value is wanted exactly when the member is there.
#[test]
fn an_integrity_value_is_wanted_when_its_algorithm_is_named() {
    let body = bytes(&encrypt_request_json());
    assert!(EncryptBody::parse(&body).unwrap().verified);
    let body = bytes(&without(encrypt_request_json(), "ciphertextDataIntegrityValueAlgorithm"));
    assert!(!EncryptBody::parse(&body).unwrap().verified);
}

// XKS-P-36 to XKS-P-42
#[test]
fn a_key_is_described() {
    let body = |spec, usages, status| key_description_body(&KeyDescription::new(spec, usages, status));
    let enabled = body(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled);
    assert_eq!(
        enabled.as_bytes(),
        br#"{"keySpec":"AES_256","keyUsage":["ENCRYPT","DECRYPT"],"keyStatus":"ENABLED"}"#
    );
    let disabled = body(KeySpec::Other("RSA \"4096\"\n".to_owned()), KeyUsages::NONE, KeyStatus::Disabled);
    assert_eq!(
        disabled.as_bytes(),
        br#"{"keySpec":"RSA \"4096\"\u000a","keyUsage":[],"keyStatus":"DISABLED"}"#
    );
}

// XKS-P-54, XKS-P-55, XKS-P-87: the vectors' responses, member by member.
#[test]
fn encryptions_are_answered_as_in_the_vectors() {
    for vector in section("aad_gcm") {
        let response = &vector["response"];
        let part = |name: &str| response[name].as_str().map_or_else(Vec::new, base64);
        let ciphertext = crate::backend::Ciphertext::new(
            part("ciphertext"),
            crate::backend::InitializationVector::new(&part("initializationVector")).unwrap(),
            part("authenticationTag").try_into().unwrap(),
        )
        .with_metadata(crate::backend::CiphertextMetadata::new(&part("ciphertextMetadata")).unwrap());
        let aad = crate::xks::vectors::hex(vector["additional_authenticated_data_hex"].as_str().unwrap());
        let value = IntegrityValue::compute(&aad, &ciphertext);
        let body = encrypted_body(&ciphertext, Some(&value));
        assert_eq!(serde_json::from_slice::<Value>(body.as_bytes()).unwrap(), *response);
        let body = encrypted_body(&ciphertext, None);
        let expected = without(response.clone(), "ciphertextDataIntegrityValue");
        assert_eq!(serde_json::from_slice::<Value>(body.as_bytes()).unwrap(), expected);
    }
    let body = decrypted_body(&Decrypted::new(SecretBytes::from([0xff; 3].as_slice())));
    assert_eq!(body.as_bytes(), br#"{"plaintext":"////"}"#);
    assert_eq!(format!("{body:?}"), "EncodedBody(20 bytes)");
}

// XKS-P-98 to XKS-P-105
#[test]
fn health_names_one_to_ten_instances() {
    let instance = |id: usize, status| ManagerInstance::new(id.to_string(), "hsm", status);
    let proxy = ProxyDescription::new(0, "Example", "proxy 1.0");
    let many = (0..12)
        .map(|id| instance(id, if id < 11 { HealthStatus::Unavailable } else { HealthStatus::Active }));
    let body = health_body(&Health::new("Example", many.collect()), &proxy).unwrap();
    let json: Value = serde_json::from_slice(body.as_bytes()).unwrap();
    let fleet = json["ekmFleetDetails"].as_array().unwrap();
    assert_eq!((fleet.len(), &fleet[0]["healthStatus"]), (10, &json!("ACTIVE")));
    assert_eq!(json["xksProxyFleetSize"], 1);
    assert_eq!((&json["xksProxyVendor"], &json["ekmVendor"]), (&json!("Example"), &json!("Example")));
    let error = health_body(&Health::new("Example", Vec::new()), &proxy).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidResponse);
}

// XKS-C-28 to XKS-C-37 on our own proxy: what the client sends is what the proxy reads; XKS-P-18: and it fits.
#[test]
fn the_largest_requests_make_the_round_trip() {
    let (key, id, operation) = (key(), RequestId::from(&*"i".repeat(2048)), Operation::GENERATE_DATA_KEY);
    let arn = "a".repeat(2048);
    let metadata = { metadata(&operation, &id).with_kms_key_arn(&arn) };
    let (plaintext, aad) = ([0xfb; 4300], [0xff; 8192]);
    let request = crate::backend::EncryptRequest::new(metadata, &key, &plaintext).with_aad(&aad);
    let body = encrypt_request(&request);
    assert!(body.as_bytes().len() < MAX_BODY_LEN / 2);
    let parsed = EncryptBody::parse(body.as_bytes()).unwrap();
    assert_eq!(parsed.metadata.as_request_metadata(), metadata);
    assert!(parsed.verified);
    let input = parsed.decode(SizeLimits::MINIMUM).unwrap();
    assert_eq!((input.plaintext.expose(), &*input.aad), (&plaintext[..], &aad[..]));

    let ciphertext = spec_ciphertext();
    let request = crate::backend::DecryptRequest::new(metadata, &key, &ciphertext).with_aad(&aad);
    let body = decrypt_request(&request);
    let parsed = DecryptBody::parse(body.as_bytes()).unwrap();
    assert_eq!(parsed.metadata.as_request_metadata(), metadata);
    let input = parsed.decode(SizeLimits::MINIMUM).unwrap();
    assert_eq!((input.ciphertext, &*input.aad), (ciphertext, &aad[..]));
}
