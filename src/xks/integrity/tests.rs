use super::IntegrityValue;
use crate::backend::{Ciphertext, CiphertextMetadata, InitializationVector};
use crate::xks::vectors::{base64, hex, named, section, text};
use serde_json::Value;

fn parts(inputs: &Value) -> (Vec<u8>, Ciphertext) {
    let part = |name: &str| inputs[name].as_str().map_or_else(Vec::new, base64);
    let ciphertext = Ciphertext::new(
        part("ciphertext"),
        InitializationVector::new(&part("initializationVector")).unwrap(),
        part("authenticationTag").try_into().unwrap(),
    );
    let metadata = part("ciphertextMetadata");
    // The trap's metadata lies in its authenticated data.
    let ciphertext = ciphertext.with_metadata(CiphertextMetadata::new(&metadata).unwrap());
    (part("additionalAuthenticatedData"), ciphertext)
}

// XKS-P-67, XKS-P-68, XKS-C-54
#[test]
fn the_vectors_hold() {
    for vector in section("cdiv").iter().filter(|vector| vector.get("inputs_b64").is_some()) {
        let (aad, ciphertext) = parts(&vector["inputs_b64"]);
        let value = IntegrityValue::compute(&aad, &ciphertext);
        assert_eq!(value.as_bytes().as_slice(), hex(text(vector, "sha256_hex")), "{}", vector["name"]);
        assert!(value.matches(&base64(text(vector, "cdiv_b64"))));
    }
}

// XKS-P-68: the length-prefixed string of AES-GCM is another one.
#[test]
fn the_trap_is_not_stepped_into() {
    let (aad, ciphertext) = parts(&named("cdiv", "cdiv-spec-example")["inputs_b64"]);
    let trap = hex(text(&named("cdiv", "cdiv-trap-length-prefixed-aad"), "sha256_hex"));
    assert!(!IntegrityValue::compute(&aad, &ciphertext).matches(&trap));
}

// XKS-C-54: neither a bit nor a length goes unnoticed.
#[test]
fn another_value_does_not_match() {
    let (aad, ciphertext) = parts(&named("cdiv", "cdiv-spec-example")["inputs_b64"]);
    let value = IntegrityValue::compute(&aad, &ciphertext);
    for at in 0..IntegrityValue::LEN {
        let mut other = *value.as_bytes();
        other[at] ^= 1;
        assert!(!value.matches(&other));
    }
    assert!(!value.matches(&value.as_bytes()[..31]));
    assert!(!value.matches(b""));
}
