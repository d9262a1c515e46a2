//! A call through a store beside the same call on the bare connection: what the store adds.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use criterion::Criterion;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend, BackingKeyId, ConnectReason, ConnectRequest, Connection, DescribeKeyRequest, EncryptRequest,
    Operation, RequestId, RequestMetadata,
};
use custom_key_store::{Caller, Connected, EncryptionContext, KeyId, KeyStore, NewKey, StoreName};
use custom_key_store_benches::null::{NullBackend, NullConnection};
use custom_key_store_benches::{THREADS, criterion, group, measure, now};

fn connected(backend: impl Backend) -> Result<KeyStore<Connected>, Box<dyn Error>> {
    Ok(now!(KeyStore::ephemeral(StoreName::new("bench")?, backend).connect().into_future())?)
}

/// A KMS key that refers to this one.
fn kms_key(store: &KeyStore<Connected>, key: &BackingKeyId) -> Result<KeyId, Box<dyn Error>> {
    Ok(now!(store.create_key(&NewKey::external(key.clone())))?.key_id)
}

/// The metadata that a store sends for its own calls; the id is made before, as a caller's might be.
fn metadata<'a>(operation: &'a Operation, id: &'a RequestId) -> RequestMetadata<'a> {
    RequestMetadata::new("bench", operation, id)
}

/// The connection itself: an `Arc` of it is one too, but boxes each future once more.
fn bare(connection: &Arc<dyn Connection>) -> &dyn Connection {
    black_box(&**connection)
}

fn null(criterion: &mut Criterion, threads: usize) -> Result<(), Box<dyn Error>> {
    let connection: Arc<dyn Connection> = Arc::new(NullConnection::new()?);
    let configuration = KeyManager::new().configuration();
    let store = connected(NullBackend { configuration, connection: Arc::clone(&connection) })?;
    let handle = store.handle();
    let caller = handle.on_behalf_of(Caller::new("somebody"));
    let key = BackingKeyId::new("key")?;
    let kms_key = kms_key(&store, &key)?;
    let context = EncryptionContext::new([("tenant", "blue")])?;
    let plaintext = [7; 32];
    let id = RequestId::generate();

    let mut describe = group(criterion, "describe_key of nothing", threads);
    measure(&mut describe, threads, "bare connection", |_| {
        let connection = bare(&connection);
        let described = now!(async {
            let metadata = metadata(&Operation::DESCRIBE_KEY, &id);
            connection.describe_key(&DescribeKeyRequest::new(metadata, &key)).await
        });
        drop(black_box(described));
    });
    measure(&mut describe, threads, "handle", |_| {
        drop(black_box(now!(black_box(&handle).describe_backing_key(&key))));
    });
    measure(&mut describe, threads, "store", |_| {
        drop(black_box(now!(black_box(&store).describe_backing_key(&key))));
    });
    describe.finish();

    let mut encrypt = group(criterion, "encrypt 32 B with nothing", threads);
    measure(&mut encrypt, threads, "bare connection", |_| {
        let connection = bare(&connection);
        let encrypted = now!(async {
            let metadata = metadata(&Operation::ENCRYPT, &id);
            let request = EncryptRequest::new(metadata, &key, &plaintext).with_aad(context.canonical());
            connection.encrypt(&request).await
        });
        drop(black_box(encrypted));
    });
    measure(&mut encrypt, threads, "handle", |_| {
        drop(black_box(now!(black_box(&handle).encrypt(&kms_key, &plaintext, &context))));
    });
    measure(&mut encrypt, threads, "handle on behalf of somebody", |_| {
        drop(black_box(now!(black_box(&caller).encrypt(&kms_key, &plaintext, &context))));
    });
    measure(&mut encrypt, threads, "store", |_| {
        drop(black_box(now!(black_box(&store).encrypt(&kms_key, &plaintext, &context))));
    });
    encrypt.finish();
    Ok(())
}

/// An encryption with a random nonce and its check, by nothing but aws-lc-rs.
fn seal_and_open(key: &LessSafeKey, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut iv = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut iv)?;
    let mut sealed = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut sealed)?;
    let mut opened = vec![0; sealed.len()];
    let nonce = Nonce::assume_unique_for_key(iv);
    key.open_separate_gather(nonce, Aad::from(aad), &sealed, tag.as_ref(), &mut opened)?;
    verify_slices_are_equal(&opened, plaintext)?;
    Ok(sealed)
}

fn software(criterion: &mut Criterion, threads: usize) -> Result<(), Box<dyn Error>> {
    let key = BackingKeyId::new("key")?;
    let manager = KeyManager::new();
    manager.create_key(key.clone());
    let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(60));
    let connection = now!(manager.connect(&request))?;
    let store = connected(manager)?;
    let kms_key = kms_key(&store, &key)?;
    let context = EncryptionContext::new([("tenant", "blue")])?;
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[9; 32])?);
    let id = RequestId::generate();

    for (name, length) in [("encrypt 32 B in software", 32), ("encrypt 4 KiB in software", 4096)] {
        let plaintext = &vec![7; length];
        let mut group = group(criterion, name, threads);
        measure(&mut group, threads, "aws-lc-rs seal and open", |_| {
            drop(black_box(seal_and_open(black_box(&cipher), context.canonical(), plaintext)));
        });
        measure(&mut group, threads, "bare connection", |_| {
            let connection = bare(&connection);
            let encrypted = now!(async {
                let metadata = metadata(&Operation::ENCRYPT, &id);
                let request = EncryptRequest::new(metadata, &key, plaintext).with_aad(context.canonical());
                connection.encrypt(&request).await
            });
            drop(black_box(encrypted));
        });
        measure(&mut group, threads, "store", |_| {
            drop(black_box(now!(black_box(&store).encrypt(&kms_key, plaintext, &context))));
        });
        group.finish();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = criterion();
    for threads in THREADS {
        null(&mut criterion, threads)?;
        software(&mut criterion, threads)?;
    }
    criterion.final_summary();
    Ok(())
}
