//! Each way in which each member of a request can be malformed.

use serde_json::{Value, json};

use super::{bytes, decrypt_request_json, encrypt_request_json, metadata_json, repeated, with, without};
use crate::xks::ErrorName;
use crate::xks::wire::{
    DecryptBody, EncryptBody, Flaw, HealthBody, KeyMetadataBody, Malformed, Refusal, SizeLimits,
};

type Parser = fn(&[u8]) -> Result<(), Malformed>;

const ENCRYPT: Parser = |body| EncryptBody::parse(body).map(drop);
const DECRYPT: Parser = |body| DecryptBody::parse(body).map(drop);
const META: Parser = |body| KeyMetadataBody::parse(body).map(drop);
const HEALTH: Parser = |body| HealthBody::parse(body).map(drop);

fn flaw(parse: Parser, body: &[u8]) -> Option<Flaw> {
    parse(body).err().map(Malformed::flaw)
}

/// Every member of the two larger requests, whether it is required, and its parser.
fn members() -> Vec<(Value, &'static str, bool, Parser)> {
    let encrypt = |name, required| (encrypt_request_json(), name, required, ENCRYPT);
    let decrypt = |name, required| (decrypt_request_json(), name, required, DECRYPT);
    vec![
        encrypt("requestMetadata", true),
        encrypt("plaintext", true),
        encrypt("encryptionAlgorithm", true),
        encrypt("additionalAuthenticatedData", false),
        encrypt("ciphertextDataIntegrityValueAlgorithm", false),
        decrypt("requestMetadata", true),
        decrypt("ciphertext", true),
        decrypt("initializationVector", true),
        decrypt("authenticationTag", true),
        decrypt("encryptionAlgorithm", true),
        decrypt("ciphertextMetadata", false),
        decrypt("additionalAuthenticatedData", false),
    ]
}

// XKS-P-32, XKS-P-72: absent and null are the same; wrong types and repetitions are refused.
#[test]
fn each_member_is_checked() {
    for (json, member, required, parse) in members() {
        assert_eq!(flaw(parse, &bytes(&json)), None);
        let missing = required.then_some(Flaw::Missing);
        assert_eq!(flaw(parse, &bytes(&without(json.clone(), member))), missing, "{member}");
        assert_eq!(flaw(parse, &bytes(&with(json.clone(), member, Value::Null))), missing, "{member}");
        for wrong in [json!(1), json!(true), json!([]), json!(["x"])] {
            let body = bytes(&with(json.clone(), member, wrong));
            assert_eq!(flaw(parse, &body), Some(Flaw::WrongType), "{member}");
        }
        assert_eq!(flaw(parse, &repeated(&json, member)), Some(Flaw::Duplicate), "{member}");
        let null_first = with(json.clone(), member, Value::Null);
        assert_eq!(flaw(parse, &repeated(&null_first, member)), Some(Flaw::Duplicate), "{member}");
    }
}

// XKS-P-32 to XKS-P-34, XKS-P-45: which members of the metadata each operation needs.
#[test]
fn each_member_of_the_metadata_is_checked() {
    let all = [
        "awsPrincipalArn",
        "awsSourceVpc",
        "awsSourceVpce",
        "kmsKeyArn",
        "kmsOperation",
        "kmsRequestId",
        "kmsViaService",
    ];
    let cases: [(Value, Parser, &[&str]); 4] = [
        (encrypt_request_json(), ENCRYPT, &["awsPrincipalArn", "kmsKeyArn", "kmsOperation", "kmsRequestId"]),
        (decrypt_request_json(), DECRYPT, &["awsPrincipalArn", "kmsKeyArn", "kmsOperation", "kmsRequestId"]),
        (json!({}), META, &["awsPrincipalArn", "kmsOperation", "kmsRequestId"]),
        (json!({}), HEALTH, &["kmsOperation", "kmsRequestId"]),
    ];
    for (json, parse, required) in cases {
        let body = |metadata| bytes(&with(json.clone(), "requestMetadata", metadata));
        assert_eq!(flaw(parse, &body(metadata_json())), None);
        assert_eq!(flaw(parse, &body(json!({}))), Some(Flaw::Missing));
        assert_eq!(flaw(parse, &body(Value::Null)), Some(Flaw::Missing));
        assert_eq!(flaw(parse, b"{}"), Some(Flaw::Missing));
        for member in all {
            let expected = required.contains(&member).then_some(Flaw::Missing);
            assert_eq!(flaw(parse, &body(without(metadata_json(), member))), expected, "{member}");
            let null = with(metadata_json(), member, Value::Null);
            assert_eq!(flaw(parse, &body(null)), expected, "{member}");
            let number = with(metadata_json(), member, json!(1));
            assert_eq!(flaw(parse, &body(number)), Some(Flaw::WrongType), "{member}");
            let twice = String::from_utf8(repeated(&metadata_json(), member)).unwrap();
            let text = body(json!("HERE"));
            let text = String::from_utf8(text).unwrap().replace("\"HERE\"", &twice);
            assert_eq!(flaw(parse, text.as_bytes()), Some(Flaw::Duplicate), "{member}");
        }
    }
}

// A body is one JSON object: what serde derives would take an array of the right length.
#[test]
fn a_body_is_one_object() {
    let array = json!([metadata_json()]);
    for (body, expected) in [
        (bytes(&array), Flaw::NotAnObject),
        (b"[]".to_vec(), Flaw::NotAnObject),
        (b"null".to_vec(), Flaw::NotAnObject),
        (b"\"x\"".to_vec(), Flaw::NotAnObject),
        (b"7".to_vec(), Flaw::NotAnObject),
        (Vec::new(), Flaw::NotJson),
        (b"{".to_vec(), Flaw::NotJson),
        (b"{\"a\":1,}".to_vec(), Flaw::NotJson),
        (b"{a:1}".to_vec(), Flaw::NotJson),
        (b"{\"a\":\"\n\"}".to_vec(), Flaw::NotJson),
        (b"{\"a\":\"\xff\"}".to_vec(), Flaw::NotJson),
        (b"\xef\xbb\xbf{}".to_vec(), Flaw::NotJson),
        ([bytes(&json!({ "requestMetadata": metadata_json() })), b"{}".to_vec()].concat(), Flaw::NotJson),
    ] {
        for parse in [META, HEALTH, ENCRYPT, DECRYPT] {
            assert_eq!(flaw(parse, &body), Some(expected), "{}", String::from_utf8_lossy(&body));
        }
    }
    let spaced = format!(" \r\n\t{{ \"requestMetadata\" : {} }} \n", metadata_json());
    assert_eq!(flaw(META, spaced.as_bytes()), None);
    let array = with(json!({}), "requestMetadata", json!(["arn", "vpc", "vpce", "key", "op", "id", "via"]));
    assert_eq!(flaw(META, &bytes(&array)), Some(Flaw::WrongType));
}

// XKS-P-35: the protocol grows; also deeply nested, and repeated, since nobody looks at it.
#[test]
fn unknown_members_are_ignored() {
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let json = encrypt_request_json().to_string();
    let json = format!("{{\"new\":{nested},\"new\":\"\",{}", json.strip_prefix('{').unwrap());
    assert_eq!(flaw(ENCRYPT, json.as_bytes()), None);
    let metadata = with(metadata_json(), "awsSourceIdentity", json!({ "nitro": [1, 2] }));
    assert_eq!(flaw(META, &bytes(&json!({ "requestMetadata": metadata }))), None);
}

// XKS-P-25, XKS-P-26, XKS-P-28, XKS-P-29, XKS-P-31: nothing of the contents is judged.
#[test]
fn the_contents_of_the_metadata_are_opaque() {
    for principal in ["AWS Internal", "ebs.amazonaws.com", "", &"a".repeat(2048), "ü\"\\\u{1F511}"] {
        let metadata = with(metadata_json(), "awsPrincipalArn", json!(principal));
        let metadata = with(metadata, "kmsOperation", json!("NotYetInvented"));
        let body = bytes(&json!({ "requestMetadata": with(metadata, "kmsRequestId", json!(principal)) }));
        let parsed = KeyMetadataBody::parse(&body).unwrap();
        let parsed = parsed.metadata.as_request_metadata();
        assert_eq!(parsed.principal, principal);
        assert_eq!(parsed.operation.as_str(), "NotYetInvented");
        assert_eq!(parsed.request_id.to_string(), principal);
    }
    // Names of members may be escaped as any string; half a surrogate pair is no text.
    let escaped = br#"{"requestMetadat\u0061":{"kmsOperation":"\u004b","kmsRequestId":"\ud83d\udd11"}}"#;
    assert_eq!(HealthBody::parse(escaped).unwrap().metadata.request_id.to_string(), "\u{1F511}");
    let half = br#"{"requestMetadata":{"kmsOperation":"\ud83d","kmsRequestId":"x"}}"#;
    assert_eq!(flaw(HEALTH, half), Some(Flaw::WrongType));
}

// XKS-P-50, XKS-P-53, XKS-P-82
#[test]
fn algorithms_are_those_of_version_1() {
    for wrong in ["aes_gcm", "AES_CBC", "", "AES_GCM "] {
        for (json, parse) in [(encrypt_request_json(), ENCRYPT), (decrypt_request_json(), DECRYPT)] {
            let body = bytes(&with(json, "encryptionAlgorithm", json!(wrong)));
            assert_eq!(flaw(parse, &body), Some(Flaw::UnknownWord));
        }
    }
    for wrong in ["SHA_512", "sha_256", ""] {
        let body =
            bytes(&with(encrypt_request_json(), "ciphertextDataIntegrityValueAlgorithm", json!(wrong)));
        assert_eq!(flaw(ENCRYPT, &body), Some(Flaw::UnknownWord));
    }
}

// XKS-P-110, XKS-P-115: a refusal names the member and never quotes it.
#[test]
fn a_refusal_says_which_member() {
    let body = bytes(&with(encrypt_request_json(), "encryptionAlgorithm", json!("SECRET")));
    let refusal = Refusal::from(EncryptBody::parse(&body).unwrap_err());
    assert_eq!(refusal.name, ErrorName::Validation);
    assert_eq!(
        refusal.message.as_deref(),
        Some("encryptionAlgorithm has a value that the protocol does not know")
    );
    // XKS-P-48: nor does any Debug show a plaintext.
    let body = bytes(&encrypt_request_json());
    let parsed = EncryptBody::parse(&body).unwrap();
    let shown = format!("{parsed:?} {:?}", parsed.decode(SizeLimits::MINIMUM).unwrap());
    assert!(!shown.contains("AAECAwQF") && !shown.contains("0, 1, 2"), "{shown}");
}
