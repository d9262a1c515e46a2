//! Records under a data key that is kept, beside bare AES-256-GCM on buffers of the same size.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use criterion::Criterion;
use custom_key_store::backend::{BackingKeyId, software::KeyManager};
use custom_key_store::envelope::{Envelope, StoreKey};
use custom_key_store::{Connected, EncryptionContext, KeyStore, NewKey, StoreName};
use custom_key_store_benches::{THREADS, criterion, group, measure, now};

const SIZES: [(usize, &str); 4] = [(64, "64 B"), (1024, "1 KiB"), (65_536, "64 KiB"), (16 << 20, "16 MiB")];

/// What one thread works on.
struct Buffers {
    plaintext: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: [u8; 16],
    record: Vec<u8>,
    /// What is written to; what is read stays as it is.
    out: Vec<u8>,
}

type Failure = Box<dyn std::error::Error>;

fn store() -> Result<(KeyStore<Connected>, Envelope), Failure> {
    let manager = KeyManager::new();
    let external = BackingKeyId::new("key-1")?;
    manager.create_key(external.clone());
    let store = KeyStore::ephemeral(StoreName::new("bench")?, manager).connect();
    let store = now!(store.into_future())?;
    let handle = store.handle();
    let new = NewKey::external(external);
    let key = now!(handle.create_key(&new))?.key_id;
    // So that nothing but the record is measured.
    let envelope = Envelope::builder(StoreKey::new(&handle, key)).max_messages(u64::MAX).max_bytes(u64::MAX);
    Ok((store, envelope.max_age(Duration::MAX).build()))
}

fn nonce() -> Nonce {
    // One message, again and again.
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn compare(criterion: &mut Criterion, threads: usize, size: usize, name: &str) -> Result<(), Failure> {
    let (_store, envelope) = store()?;
    let context = EncryptionContext::new([("table", "patients"), ("tenant", "blue")])?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?);
    let mut buffers = Vec::new();
    for _ in 0..threads {
        let plaintext = vec![7; size];
        let (mut ciphertext, mut tag) = (vec![0; size], [0; 16]);
        key.seal_out_of_place_scatter(nonce(), Aad::empty(), &plaintext, &mut ciphertext, &[], &mut tag)?;
        let record = now!(envelope.seal(&plaintext, &context))?;
        let out = vec![0; record.len()];
        buffers.push(Mutex::new(Buffers { plaintext, ciphertext, tag, record, out }));
    }
    let with = |thread: usize, work: &dyn Fn(&mut Buffers) -> bool| {
        let mut buffers = buffers[thread].lock().unwrap_or_else(PoisonError::into_inner);
        assert!(work(black_box(&mut buffers)), "sealing and opening succeed");
    };

    let mut group = group(criterion, &format!("envelope {name}"), threads);
    if size > 1 << 20 {
        group.sample_size(10);
    }
    measure(&mut group, threads, "bare seal", |thread| {
        with(thread, &|b| {
            b.out.resize(size + 16, 0);
            let (out, tag) = b.out.split_at_mut(size);
            key.seal_out_of_place_scatter(nonce(), Aad::empty(), &b.plaintext, out, &[], tag).is_ok()
        });
    });
    measure(&mut group, threads, "seal_into", |thread| {
        with(thread, &|b| now!(envelope.seal_into(&b.plaintext, &context, &mut b.out)).is_ok());
    });
    measure(&mut group, threads, "seal", |thread| {
        with(thread, &|b| black_box(now!(envelope.seal(&b.plaintext, &context))).is_ok());
    });
    measure(&mut group, threads, "bare open", |thread| {
        with(thread, &|b| {
            let out = &mut b.out[..size];
            key.open_separate_gather(nonce(), Aad::empty(), &b.ciphertext, &b.tag, out).is_ok()
        });
    });
    measure(&mut group, threads, "open_into", |thread| {
        with(thread, &|b| now!(envelope.open_into(&b.record, &context, &mut b.out)).is_ok());
    });
    measure(&mut group, threads, "open", |thread| {
        with(thread, &|b| black_box(now!(envelope.open(&b.record, &context))).is_ok());
    });
    group.finish();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    for (size, name) in SIZES {
        for threads in THREADS {
            compare(&mut criterion, threads, size, name)?;
        }
    }
    criterion.final_summary();
    Ok(())
}
