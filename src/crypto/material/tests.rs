//! The golden blobs: made by the first release, to be read by every later one.
//!
//! `tests/blobs.py` reads the same file with an implementation of its own.

use serde::Deserialize;

use super::Material;
use crate::crypto::{
    EncryptionContext, Parsed, RootKey, TAG_LEN, additional_authenticated_data, aes_256_gcm, digest,
};
use crate::key::KeyId;

#[derive(Deserialize)]
struct Golden {
    origin: String,
    /// Of the external key, or of that in the cluster.
    backing_key: String,
    material: Option<String>,
    context: Vec<(String, String)>,
    plaintext: String,
    blob: String,
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../tests/data/blobs.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What a key manager does: AES-GCM whose authenticated data has its layout.
fn outer_open(key: &[u8], blob: &Parsed<'_>, aad: &[u8]) -> Vec<u8> {
    let ciphertext = blob.ciphertext();
    let authenticated = crate::backend::authenticated_data(aad, ciphertext.metadata.as_bytes()).unwrap();
    let nonce = ciphertext.initialization_vector.as_bytes();
    let mut data = [&ciphertext.bytes[..], &ciphertext.authentication_tag].concat();
    let opened = aes_256_gcm(key.try_into().unwrap())
        .open_in_place(
            aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).unwrap(),
            aws_lc_rs::aead::Aad::from(authenticated),
            &mut data,
        )
        .unwrap()
        .to_vec();
    assert_eq!(opened.len() + TAG_LEN, data.len());
    opened
}

#[test]
fn golden_blobs_are_read_for_ever() {
    let golden = golden();
    assert!(golden.len() >= 6);
    for Golden { origin, backing_key, material, context, plaintext, blob } in golden {
        let blob = bytes(&blob);
        let blob = Parsed::new(&blob).unwrap();
        let context = EncryptionContext::new(context).unwrap();
        let digest = digest(blob.header, context.canonical());
        let aad = additional_authenticated_data(&digest);
        let outer = outer_open(&bytes(&backing_key), &blob, &aad);
        let opened = match material {
            Some(material) => {
                assert_eq!(origin, "EXTERNAL_KEY_STORE");
                let root = RootKey::new(&bytes(&material).try_into().unwrap());
                let material = Material::new(blob.key, blob.material, root);
                material.check(&blob, &digest).unwrap();
                material.open(&blob, &digest, &outer).unwrap().expose().to_vec()
            }
            None => {
                assert_eq!(origin, "AWS_CLOUDHSM");
                outer
            }
        };
        assert_eq!(opened, bytes(&plaintext));
    }
}

#[test]
fn an_inner_ciphertext_of_another_blob_or_key_is_not_taken() {
    let material = || Material::new(KeyId::from_bytes([1; 16]), [2; 16], RootKey::new(&[3; 32]));
    let outer = |inner: &super::Inner| {
        crate::backend::Ciphertext::new(inner.ciphertext.clone(), [0; 12].into(), [0; 16])
    };
    let made = |material: &Material| {
        let inner = material.seal(b"plaintext", b"context");
        let (digest, ciphertext, outer) = (inner.digest, inner.ciphertext.clone(), outer(&inner));
        let draft = inner.draft.with_outer(&outer);
        let commitment = material.commit(draft.committed(), &digest);
        (draft.finish(&commitment).into_bytes(), digest, ciphertext)
    };
    let (blob, digest, inner) = made(&material());
    let (_, _, other_inner) = made(&material());
    let blob = Parsed::new(&blob).unwrap();
    assert_eq!(material().open(&blob, &digest, &inner).unwrap().expose(), b"plaintext");
    material().open(&blob, &digest, &other_inner).unwrap_err();
    for short in [0, 1, 15] {
        material().open(&blob, &digest, &inner[..short]).unwrap_err();
    }
    // Another key, other material, or another id of it: another commitment, and another key of the inner layer.
    let others = [
        Material::new(KeyId::from_bytes([9; 16]), [2; 16], RootKey::new(&[3; 32])),
        Material::new(KeyId::from_bytes([1; 16]), [9; 16], RootKey::new(&[3; 32])),
        Material::new(KeyId::from_bytes([1; 16]), [2; 16], RootKey::new(&[9; 32])),
    ];
    for other in others {
        other.check(&blob, &digest).unwrap_err();
        other.open(&blob, &digest, &inner).unwrap_err();
    }
}
