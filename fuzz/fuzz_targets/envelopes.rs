//! Sealed data from outside: of bytes that are no record or stream of ours nothing is opened; of one that was changed,
//! a reader gives the beginning that is authentic and an error, and a record is an error.
#![no_main]

use std::io::{Cursor, Read, Seek as _, SeekFrom, Write as _};

use custom_key_store::backend::{AccountId, BackendError, BackendErrorKind};
use custom_key_store::envelope::{
    DataKeys, Envelope, FrameSize, FreshKey, with_wrapped_data_key, wrapped_data_key,
};
use custom_key_store::{EncryptionContext, Error, Identity, KeyArn, KeyId, Partition, Region, SecretBytes};
use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;

/// Gives and accepts one data key.
#[derive(Debug)]
struct OneKey(KeyArn);

const WRAPPED: &[u8] = b"wrapped";

#[async_trait::async_trait]
impl DataKeys for OneKey {
    fn key(&self) -> &KeyArn {
        &self.0
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<FreshKey, Error> {
        Ok(FreshKey::new(SecretBytes::new(vec![7; 32]), WRAPPED.to_vec()))
    }

    async fn unwrap(&self, wrapped: &[u8], _: &EncryptionContext) -> Result<SecretBytes, Error> {
        match wrapped {
            WRAPPED => Ok(SecretBytes::new(vec![7; 32])),
            _ => Err(BackendError::new(BackendErrorKind::InvalidCiphertext).into()),
        }
    }
}

fn envelope() -> Envelope {
    let identity = Identity::new(
        Partition::new("aws").expect("a partition"),
        Region::new("eu-central-1").expect("a region"),
        AccountId::new("111122223333").expect("an account"),
    );
    Envelope::builder(OneKey(
        KeyId::new("12345678-1234-1234-1234-123456789012").expect("a key id").arn(&identity),
    ))
    .frame_size(FrameSize::MIN)
    .build()
}

/// Plaintext of some frames, no two alike.
fn plaintext() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_be_bytes).collect()
}

/// Changes what the input says: bytes of four tell how and where.
fn changed(sealed: &[u8], input: &[u8]) -> Vec<u8> {
    let mut sealed = sealed.to_vec();
    for change in input.chunks_exact(4).take(8) {
        let at = usize::from(u16::from_be_bytes([change[1], change[2]])) % (sealed.len() + 1);
        match change[0] % 4 {
            0 => sealed.truncate(at),
            1 => sealed.insert(at, change[3]),
            2 if at < sealed.len() => sealed[at] ^= change[3],
            // A piece from elsewhere, of up to half a frame.
            3 => {
                let length = (usize::from(change[3]) * 8).min(sealed.len() - at);
                let piece = sealed[at..at + length].to_vec();
                sealed.extend(piece);
            }
            _ => {}
        }
    }
    sealed
}

fuzz_target!(|input: &[u8]| {
    let (envelope, context) = (envelope(), EncryptionContext::none());
    if let Ok(wrapped) = wrapped_data_key(input) {
        assert_eq!(with_wrapped_data_key(input, wrapped).expect("it was one"), input);
    }
    // A key that is known, but a commitment that is not.
    assert!(block_on(envelope.open(input, &context)).is_err());
    assert!(block_on(envelope.reader(input, &context)).is_err());
    assert!(block_on(envelope.ranged_reader(Cursor::new(input), &context)).is_err());

    let plaintext = plaintext();
    let record = block_on(envelope.seal(&plaintext, &context)).expect("it is sealed");
    let other = changed(&record, input);
    assert_eq!(block_on(envelope.open(&other, &context)).is_ok(), other == record);

    let mut writer = block_on(envelope.writer(Vec::new(), &context)).expect("it begins");
    writer.write_all(&plaintext).expect("memory takes it");
    let stream = writer.finish().expect("memory takes it");
    let other = changed(&stream, input);
    let mut read = Vec::new();
    let reader = block_on(envelope.reader(&other[..], &context));
    let whole = reader.is_ok_and(|mut reader| reader.read_to_end(&mut read).is_ok());
    assert_eq!(whole, other == stream);
    assert!(plaintext.starts_with(&read));

    let at = plaintext.len() / 2;
    let mut read = Vec::new();
    let reader = block_on(envelope.ranged_reader(Cursor::new(&other), &context));
    let end = reader.is_ok_and(|mut reader| {
        // What was appended or cut off is found when it is opened; what was changed, where it is read.
        reader.seek(SeekFrom::Start(at as u64)).is_ok() && reader.read_to_end(&mut read).is_ok()
    });
    assert!(if end { read == plaintext[at..] } else { other != stream });
});
