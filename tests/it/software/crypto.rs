//! Encryption and decryption: vectors, round trips, tampering, usages and status.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use custom_key_store::backend::software::{KeyManager, SoftwareKey};
use custom_key_store::backend::{
    BackendErrorKind, Ciphertext, CiphertextMetadata, EncryptRequest, InitializationVector, KeyStatus,
    KeyUsages,
};

use super::{connect, connected, decrypt, encrypt, id, kind, metadata};

const VECTOR_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const VECTOR_IV: &str = "cafebabefacedbaddecaf888";
const VECTOR_PLAINTEXT: &str = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
const VECTOR_CIPHERTEXT: &str = "0a2222a52effc99cce82d756f79007b09db152c24b8cfce3d6469eea2214fb60";
const VECTOR_AAD: &[u8] = b"tenant=blue,env=test";
const VECTOR_METADATA: &[u8] = b"kv=3;alg=1";
const TAG_WITH_BOTH: &str = "13714e642c37810defa63fb5ac5fbde7";

fn unhex<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

fn vector(ciphertext: Vec<u8>, iv: &[u8], tag: &str, metadata: &[u8]) -> Ciphertext {
    Ciphertext::new(ciphertext, InitializationVector::new(iv).unwrap(), unhex(tag))
        .with_metadata(CiphertextMetadata::new(metadata).unwrap())
}

fn vector_manager() -> KeyManager {
    let manager = KeyManager::new();
    manager.insert_key(id("vector"), SoftwareKey::from_bytes(&unhex(VECTOR_KEY)));
    manager
}

/// facts/xks-vectors.json, `aad_gcm`; rows XKS-P-61 and XKS-P-62.
#[tokio::test]
async fn the_vectors_of_the_protocol_are_decrypted() {
    let connection = connect(&vector_manager()).await;
    let cases: &[(&str, &[u8], &[u8], &str)] = &[
        ("gcm-aad-and-metadata-iv12", VECTOR_AAD, VECTOR_METADATA, TAG_WITH_BOTH),
        ("gcm-no-aad-no-metadata-iv12", b"", b"", "845168ba9a7feffed7a37994cc7fc20a"),
        ("gcm-aad-no-metadata-iv12", VECTOR_AAD, b"", "b390b2730bc8b467288143d15385fae9"),
        ("gcm-no-aad-with-metadata-iv12", b"", VECTOR_METADATA, "bba41faeb51bc640a65124c5c73bdb4e"),
    ];
    for (name, aad, metadata, tag) in cases {
        let bytes = unhex::<32>(VECTOR_CIPHERTEXT).to_vec();
        let ciphertext = vector(bytes, &unhex::<12>(VECTOR_IV), tag, metadata);
        let plaintext = decrypt(&*connection, &id("vector"), &ciphertext, aad).await;
        assert_eq!(plaintext.unwrap(), unhex::<32>(VECTOR_PLAINTEXT), "{name}");
    }
    // gcm-empty-plaintext
    let iv = unhex::<12>(VECTOR_IV);
    let empty = vector(Vec::new(), &iv, "1b64f56190452871dda07e3ba8921535", VECTOR_METADATA);
    assert_eq!(decrypt(&*connection, &id("vector"), &empty, VECTOR_AAD).await.unwrap(), b"");
}

/// facts/xks-vectors.json, `aad_gcm_negative`.
#[tokio::test]
async fn the_negative_vectors_of_the_protocol_are_refused_in_silence() {
    let connection = connect(&vector_manager()).await;
    let metadata_alone = "bba41faeb51bc640a65124c5c73bdb4e";
    let cases: &[(&str, &[u8], &[u8], &str)] = &[
        ("gcm-neg-metadata-moved-into-aad", VECTOR_METADATA, b"", metadata_alone),
        ("gcm-neg-aad-dropped", b"", VECTOR_METADATA, TAG_WITH_BOTH),
        ("gcm-neg-aad-changed", b"tenant=blue,env=prod", VECTOR_METADATA, TAG_WITH_BOTH),
        ("gcm-neg-metadata-dropped", VECTOR_AAD, b"", TAG_WITH_BOTH),
        ("gcm-neg-metadata-bitflip", VECTOR_AAD, b"jv=3;alg=1", TAG_WITH_BOTH),
        ("gcm-neg-tag-bitflip", VECTOR_AAD, VECTOR_METADATA, "13714e642c37810defa63fb5ac5fbd67"),
        ("gcm-trap-little-endian-length", VECTOR_AAD, VECTOR_METADATA, "a1e710c69135d31260a82940018e0b42"),
    ];
    for (name, aad, metadata, tag) in cases {
        let bytes = unhex::<32>(VECTOR_CIPHERTEXT).to_vec();
        let ciphertext = vector(bytes, &unhex::<12>(VECTOR_IV), tag, metadata);
        let error = decrypt(&*connection, &id("vector"), &ciphertext, aad).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidCiphertext, "{name}");
        assert_eq!(error.detail(), None, "{name}");
        assert!(std::error::Error::source(&error).is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_long_initialization_vector_is_refused_as_an_invalid_ciphertext() {
    let connection = connect(&vector_manager()).await;
    // gcm-aad-and-metadata-iv16: a legal ciphertext, of a manager that takes 16 bytes.
    let ciphertext = vector(
        unhex::<32>("0adbb8e363f4bd28e38214e23b2d9f8e2014f34ba499935a92992620c46a13c9").to_vec(),
        &unhex::<16>("101112131415161718191a1b1c1d1e1f"),
        "baaf88599e85e0904f534ec378284e2c",
        VECTOR_METADATA,
    );
    let outcome = decrypt(&*connection, &id("vector"), &ciphertext, VECTOR_AAD).await;
    assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext);
}

#[tokio::test]
async fn a_ciphertext_is_what_the_protocol_says_and_not_what_we_made_of_it() {
    let connection = connect(&vector_manager()).await;
    let ciphertext = encrypt(&*connection, &id("vector"), b"plaintext", b"aad").await.unwrap();
    assert_eq!(ciphertext.metadata.as_bytes(), [0x01]);
    assert_eq!(ciphertext.initialization_vector.as_bytes().len(), 12);

    // Opened by the cryptographic library alone, with the authenticated string written out (XKS-P-61).
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &unhex::<32>(VECTOR_KEY)).unwrap());
    let iv = ciphertext.initialization_vector.as_bytes();
    let mut plaintext = [0; 9];
    key.open_separate_gather(
        Nonce::try_assume_unique_for_key(iv).unwrap(),
        Aad::from([0, 3, b'a', b'a', b'd', 1, 0x01]),
        &ciphertext.bytes,
        &ciphertext.authentication_tag,
        &mut plaintext,
    )
    .unwrap();
    assert_eq!(&plaintext, b"plaintext");
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_at_every_size_up_to_the_limits() {
    let (_manager, key, connection) = connected().await;
    for length in [0, 1, 15, 16, 17, 4300, KeyManager::MAX_PLAINTEXT_LEN] {
        for aad_length in [0, 1, 8192, KeyManager::MAX_AAD_LEN] {
            let (plaintext, aad) = (vec![0x5a; length], vec![0xa5; aad_length]);
            let ciphertext = encrypt(&*connection, &key, &plaintext, &aad).await.unwrap();
            assert_eq!(ciphertext.bytes.len(), length);
            assert_eq!(decrypt(&*connection, &key, &ciphertext, &aad).await.unwrap(), plaintext);
        }
    }
}

#[tokio::test]
async fn more_data_than_the_limits_is_unsupported() {
    let (_manager, key, connection) = connected().await;
    let too_long = vec![0; KeyManager::MAX_PLAINTEXT_LEN + 1];
    let too_much_aad = vec![0; KeyManager::MAX_AAD_LEN + 1];
    let mut ciphertext = encrypt(&*connection, &key, b"", b"").await.unwrap();

    assert_eq!(kind(encrypt(&*connection, &key, &too_long, b"").await), BackendErrorKind::Unsupported);
    assert_eq!(kind(encrypt(&*connection, &key, b"", &too_much_aad).await), BackendErrorKind::Unsupported);
    let outcome = decrypt(&*connection, &key, &ciphertext, &too_much_aad).await;
    assert_eq!(kind(outcome), BackendErrorKind::Unsupported);
    ciphertext.bytes = too_long;
    assert_eq!(kind(decrypt(&*connection, &key, &ciphertext, b"").await), BackendErrorKind::Unsupported);
}

#[tokio::test]
async fn the_same_plaintext_never_gives_the_same_ciphertext() {
    let (_manager, key, connection) = connected().await;
    let one = encrypt(&*connection, &key, b"the same", b"").await.unwrap();
    let two = encrypt(&*connection, &key, b"the same", b"").await.unwrap();
    assert_ne!(one.initialization_vector, two.initialization_vector);
    assert_ne!(one.bytes, two.bytes);
}

#[tokio::test]
async fn every_part_of_a_ciphertext_is_authenticated() {
    let (manager, key, connection) = connected().await;
    let good = encrypt(&*connection, &key, b"plaintext", b"aad").await.unwrap();
    let mut damaged = Vec::new();
    for position in 0..good.bytes.len() {
        let mut bad = good.clone();
        bad.bytes[position] ^= 0x80;
        damaged.push(bad);
    }
    for position in 0..good.authentication_tag.len() {
        let mut bad = good.clone();
        bad.authentication_tag[position] ^= 0x01;
        damaged.push(bad);
    }
    for position in 0..12 {
        let mut iv = good.initialization_vector.as_bytes().to_vec();
        iv[position] ^= 0x10;
        let mut bad = good.clone();
        bad.initialization_vector = InitializationVector::new(&iv).unwrap();
        damaged.push(bad);
    }
    for metadata in [&b""[..], &[0x00], &[0x01, 0x00]] {
        damaged.push(good.clone().with_metadata(CiphertextMetadata::new(metadata).unwrap()));
    }
    let mut shorter = good.clone();
    shorter.bytes.pop();
    damaged.push(shorter);

    for bad in damaged {
        let outcome = decrypt(&*connection, &key, &bad, b"aad").await;
        assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext, "{bad:?}");
    }
    for aad in [&b""[..], b"aaD", b"aad\0", b"aa"] {
        let outcome = decrypt(&*connection, &key, &good, aad).await;
        assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext);
    }
    manager.create_key(id("other"));
    let outcome = decrypt(&*connection, &id("other"), &good, b"aad").await;
    assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext);
    assert_eq!(decrypt(&*connection, &key, &good, b"aad").await.unwrap(), b"plaintext");
}

#[tokio::test]
async fn every_usage_and_status_permits_what_it_says_and_nothing_else() {
    let manager = KeyManager::new();
    let both = SoftwareKey::generate();
    manager.insert_key(id("both"), both.clone());
    let connection = connect(&manager).await;
    let good = encrypt(&*connection, &id("both"), b"plaintext", b"").await.unwrap();

    for usages in [KeyUsages::NONE, KeyUsages::ENCRYPT, KeyUsages::DECRYPT, KeyUsages::ENCRYPT_DECRYPT] {
        for status in [KeyStatus::Enabled, KeyStatus::Disabled] {
            let key = id("restricted");
            manager.insert_key(key.clone(), both.clone().usages(usages).status(status));
            // A disabled key is disabled first of all: which usages it has is not told by a refusal.
            let expected = |permitted| match (status, permitted) {
                (KeyStatus::Enabled, true) => None,
                (KeyStatus::Enabled, false) => Some(BackendErrorKind::InvalidKeyUsage),
                _ => Some(BackendErrorKind::InvalidKeyState),
            };
            let case = format!("{usages:?} {status:?}");

            let verified = EncryptRequest::new(metadata(), &key, b"plaintext");
            let outcome = connection.encrypt(&verified).await.err().map(|error| error.kind());
            assert_eq!(outcome, expected(usages.encrypt && usages.decrypt), "verified, {case}");

            let outcome = connection.encrypt(&verified.unverified()).await.err().map(|error| error.kind());
            assert_eq!(outcome, expected(usages.encrypt), "unverified, {case}");

            let outcome = decrypt(&*connection, &key, &good, b"").await.err().map(|error| error.kind());
            assert_eq!(outcome, expected(usages.decrypt), "decrypt, {case}");

            let description = connection.describe_key(&super::describe(&key)).await.unwrap();
            assert_eq!((description.usages, description.status), (usages, status), "{case}");
        }
    }
}

#[tokio::test]
async fn an_unverified_encryption_can_be_decrypted_too() {
    let (_manager, key, connection) = connected().await;
    let request = EncryptRequest::new(metadata(), &key, b"plaintext").unverified();
    let ciphertext = connection.encrypt(&request).await.unwrap();
    assert_eq!(decrypt(&*connection, &key, &ciphertext, b"").await.unwrap(), b"plaintext");
}

#[tokio::test]
async fn the_checks_come_in_the_documented_order() {
    let manager = KeyManager::new();
    let key = id("key");
    let useless = SoftwareKey::generate().usages(KeyUsages::NONE).status(KeyStatus::Disabled);
    manager.insert_key(key.clone(), useless);
    let connection = connect(&manager).await;
    let too_long = vec![0; KeyManager::MAX_PLAINTEXT_LEN + 1];

    let outcome = encrypt(&*connection, &id("none"), &too_long, b"").await;
    assert_eq!(kind(outcome), BackendErrorKind::KeyNotFound);
    assert_eq!(kind(encrypt(&*connection, &key, &too_long, b"").await), BackendErrorKind::Unsupported);
    assert_eq!(kind(encrypt(&*connection, &key, b"", b"").await), BackendErrorKind::InvalidKeyState);
    manager.set_key_status(&key, KeyStatus::Enabled);
    assert_eq!(kind(encrypt(&*connection, &key, b"", b"").await), BackendErrorKind::InvalidKeyUsage);
    connection.close().await.unwrap();
    assert_eq!(kind(encrypt(&*connection, &id("none"), b"", b"").await), BackendErrorKind::Closed);
}
