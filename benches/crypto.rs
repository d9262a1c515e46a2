//! What a KMS key of an external key store is used for, beside the calls of cryptography alone that it takes.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kdf::{
    KbkdfCtrHmacAlgorithm, KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac,
};
use aws_lc_rs::{digest, hmac, rand};
use criterion::Criterion;
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::{DataKeyLength, EncryptionContext, KeyStore, NewKey, StoreName};
use custom_key_store_benches::{THREADS, criterion, group, measure, now};

/// What is authenticated by both layers: a label and a digest.
const AAD_LEN: usize = 24 + 32;
/// What the digest is over but for the encryption context: version, origin, two ids, a nonce.
const HEADER_LEN: usize = 34 + 32;
/// What a key of the inner layer is derived from: a label, a zero, a nonce, two ids, a length.
const DERIVED_FROM: usize = 25 + 1 + 32 + 32 + 4;
const TAG_LEN: usize = 16;

/// Keys that are held, as a store and a key manager hold theirs.
struct Floor {
    material: [u8; 32],
    commitment: hmac::Key,
    outer: LessSafeKey,
    kdf: &'static KbkdfCtrHmacAlgorithm,
    context: Vec<u8>,
}

/// What the floor's encryption gives.
struct Sealed {
    header: [u8; HEADER_LEN],
    iv: [u8; NONCE_LEN],
    data: Vec<u8>,
    tag: [u8; TAG_LEN],
    commitment: hmac::Tag,
}

impl Floor {
    fn new(context: &EncryptionContext) -> Result<Self, Unspecified> {
        Ok(Self {
            material: [5; 32],
            commitment: hmac::Key::new(hmac::HMAC_SHA256, &[6; 32]),
            outer: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[9; 32])?),
            kdf: get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).ok_or(Unspecified)?,
            context: context.canonical().to_vec(),
        })
    }

    fn aad(&self, header: &[u8]) -> [u8; AAD_LEN] {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(header);
        hash.update(&self.context);
        let mut aad = [0; AAD_LEN];
        aad[24..].copy_from_slice(hash.finish().as_ref());
        aad
    }

    /// The cipher of the inner layer, under a key that is derived for this blob.
    fn inner(&self, nonce: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let (mut from, mut key) = ([0; DERIVED_FROM], [0; 32]);
        from[..32].copy_from_slice(nonce);
        kbkdf_ctr_hmac(self.kdf, &self.material, &from, &mut key)?;
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?))
    }

    /// A code over as many bytes as precede it in a blob, and the digest.
    fn commit(&self, data: &[u8], aad: &[u8]) -> hmac::Tag {
        let mut code = hmac::Context::with_key(&self.commitment);
        code.update(&[0; HEADER_LEN + 34]);
        code.update(data);
        code.update(&aad[24..]);
        code.sign()
    }

    fn encrypt(&self, plaintext: &[u8]) -> Result<Sealed, Unspecified> {
        let mut header = [0; HEADER_LEN];
        rand::fill(&mut header[34..])?;
        let aad = self.aad(&header);
        let mut data = Vec::with_capacity(plaintext.len() + TAG_LEN);
        data.extend_from_slice(plaintext);
        let zero = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.inner(&header[34..])?.seal_in_place_append_tag(zero(), Aad::from(&aad), &mut data)?;

        // The key manager, which verifies.
        let inner = data.clone();
        let mut iv = [0; NONCE_LEN];
        rand::fill(&mut iv)?;
        let nonce = || Nonce::assume_unique_for_key(iv);
        let sealed = self.outer.seal_in_place_separate_tag(nonce(), Aad::from(&aad), &mut data)?;
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(sealed.as_ref());
        let mut opened = vec![0; data.len()];
        self.outer.open_separate_gather(nonce(), Aad::from(&aad), &data, &tag, &mut opened)?;
        verify_slices_are_equal(&opened, &inner)?;

        let commitment = self.commit(&data, &aad);
        Ok(Sealed { header, iv, data, tag, commitment })
    }

    fn decrypt(&self, sealed: &Sealed) -> Result<Vec<u8>, Unspecified> {
        let aad = self.aad(&sealed.header);
        verify_slices_are_equal(self.commit(&sealed.data, &aad).as_ref(), sealed.commitment.as_ref())?;
        let mut inner = vec![0; sealed.data.len()];
        let nonce = Nonce::assume_unique_for_key(sealed.iv);
        self.outer.open_separate_gather(nonce, Aad::from(&aad), &sealed.data, &sealed.tag, &mut inner)?;
        let (data, tag) = inner.split_at(inner.len() - TAG_LEN);
        let mut plaintext = vec![0; data.len()];
        let zero = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let cipher = self.inner(&sealed.header[34..])?;
        cipher.open_separate_gather(zero, Aad::from(&aad), data, tag, &mut plaintext)?;
        Ok(plaintext)
    }

    fn generate(&self) -> Result<(Vec<u8>, Sealed), Unspecified> {
        let mut plaintext = vec![0; 32];
        rand::fill(&mut plaintext)?;
        let sealed = self.encrypt(&plaintext)?;
        Ok((plaintext, sealed))
    }
}

fn compare(criterion: &mut Criterion, threads: usize) -> Result<(), Box<dyn std::error::Error>> {
    let external = BackingKeyId::new("key")?;
    let manager = KeyManager::new();
    manager.create_key(external.clone());
    let store = KeyStore::ephemeral(StoreName::new("bench")?, manager).connect();
    let store = now!(store.into_future())?;
    let handle = store.handle();
    let new = NewKey::external(external);
    let key = now!(handle.create_key(&new))?.key_id;
    let context = EncryptionContext::new([("tenant", "blue")])?;
    let floor = Floor::new(&context)?;

    for (name, length) in [("32 B", 32), ("4 KiB", 4096)] {
        let plaintext = &vec![7; length];
        let mut encrypt = group(criterion, &format!("encrypt {name}"), threads);
        measure(&mut encrypt, threads, "bare", |_| drop(black_box(floor.encrypt(black_box(plaintext)))));
        measure(&mut encrypt, threads, "handle", |_| {
            drop(black_box(now!(handle.encrypt(&key, black_box(plaintext), &context))));
        });
        encrypt.finish();

        let sealed = floor.encrypt(plaintext)?;
        let blob = now!(handle.encrypt(&key, plaintext, &context))?.into_bytes();
        assert_eq!(floor.decrypt(&sealed)?, *plaintext);
        assert_eq!(now!(handle.decrypt(&blob, &context))?.expose(), plaintext);
        let mut decrypt = group(criterion, &format!("decrypt {name}"), threads);
        measure(&mut decrypt, threads, "bare", |_| drop(black_box(floor.decrypt(black_box(&sealed)))));
        measure(&mut decrypt, threads, "handle", |_| {
            drop(black_box(now!(handle.decrypt(black_box(&blob), &context))));
        });
        decrypt.finish();
    }

    let mut generate = group(criterion, "generate_data_key", threads);
    measure(&mut generate, threads, "bare", |_| drop(black_box(floor.generate())));
    measure(&mut generate, threads, "handle", |_| {
        drop(black_box(now!(handle.generate_data_key(&key, DataKeyLength::AES_256, &context))));
    });
    generate.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut criterion = criterion();
    for threads in THREADS {
        compare(&mut criterion, threads)?;
    }
    criterion.final_summary();
    Ok(())
}
