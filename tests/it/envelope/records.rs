//! A record opens to what was sealed, and to nothing else.

use custom_key_store::ErrorKind;
use custom_key_store::envelope::{
    Envelope, EnvelopeError, StoreKey, with_wrapped_data_key, wrapped_data_key,
};
use futures::executor::block_on;
use proptest::prelude::*;

use super::support::{Fixture, Source, bytes, context, other_context};

#[test]
fn what_was_sealed_is_opened_at_every_size() {
    block_on(async {
        let fixture = Fixture::new().await;
        let envelope = fixture.envelope();
        let (mut record, mut opened) = (Vec::new(), Vec::new());
        for length in [0, 1, 15, 16, 17, 4095, 4096, 65_536, 1_000_000, 100] {
            let plaintext = bytes(length);
            let sealed = envelope.seal(&plaintext, &context()).await.unwrap();
            assert_eq!(envelope.open(&sealed, &context()).await.unwrap().expose(), plaintext);

            // Into buffers that hold something else.
            envelope.seal_into(&plaintext, &context(), &mut record).await.unwrap();
            assert_ne!(record, sealed, "each record has a key of its own");
            assert_eq!(record.len(), sealed.len());
            envelope.open_into(&record, &context(), &mut opened).await.unwrap();
            assert_eq!(opened, plaintext);
        }
        assert_eq!(envelope.statistics().generated, 1);
        assert_eq!(envelope.statistics().unwrapped, 0, "what was just sealed is opened with what sealed it");
    });
}

#[test]
fn another_envelope_of_the_same_key_opens_a_record() {
    block_on(async {
        let fixture = Fixture::new().await;
        let record = fixture.envelope().seal(b"attack at dawn", &context()).await.unwrap();
        let other = fixture.envelope();
        assert_eq!(other.open(&record, &context()).await.unwrap().expose(), b"attack at dawn");
        assert_eq!(other.statistics().unwrapped, 1);
    });
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_record_is_refused() {
    block_on(async {
        let fixture = Fixture::new().await;
        let envelope = fixture.envelope();
        let record = envelope.seal(b"attack at dawn", &context()).await.unwrap();
        let mut opened = Vec::new();
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            opened.clear();
            opened.extend_from_slice(b"an older plaintext");
            let error = envelope.open_into(&damaged, &context(), &mut opened).await.unwrap_err();
            assert!(opened.is_empty(), "nothing is left of what bit {bit} was flipped in");
            let wrapped = 70..70 + wrapped_data_key(&record).unwrap().len();
            match error {
                EnvelopeError::Invalid => {}
                EnvelopeError::UnknownVersion(_) => assert!(bit < 8, "bit {bit}"),
                // The parts of a blob that are not secret have errors of their own.
                EnvelopeError::Source(_) => assert!(wrapped.contains(&(bit / 8)), "bit {bit}: {error:?}"),
                other => panic!("bit {bit}: {other:?}"),
            }
        }
        for length in 0..record.len() {
            let error = envelope.open(&record[..length], &context()).await.unwrap_err();
            assert!(matches!(error, EnvelopeError::Invalid), "{length} bytes: {error:?}");
        }
        let longer = [record.as_slice(), &[0]].concat();
        assert!(matches!(envelope.open(&longer, &context()).await, Err(EnvelopeError::Invalid)));
    });
}

#[test]
fn another_context_is_refused() {
    block_on(async {
        let fixture = Fixture::new().await;
        let envelope = fixture.envelope();
        let record = envelope.seal(b"attack at dawn", &context()).await.unwrap();
        let error = envelope.open(&record, &other_context()).await.unwrap_err();
        assert!(matches!(error, EnvelopeError::Invalid), "{error:?}");
    });
}

/// Also where the source does not look at the context at all.
#[test]
fn the_record_itself_is_bound_to_its_context_and_data_key() {
    block_on(async {
        let envelope = Envelope::new(Source::new());
        let record = envelope.seal(b"attack at dawn", &context()).await.unwrap();
        let other = envelope.seal(b"attack at dusk", &other_context()).await.unwrap();
        assert!(matches!(envelope.open(&record, &other_context()).await, Err(EnvelopeError::Invalid)));
        // The wrapped data key of another record, which is a good one.
        let mixed = with_wrapped_data_key(&record, wrapped_data_key(&other).unwrap()).unwrap();
        assert!(matches!(envelope.open(&mixed, &context()).await, Err(EnvelopeError::Invalid)));
    });
}

#[test]
fn a_data_key_under_a_key_that_is_not_accepted_is_refused() {
    block_on(async {
        let fixture = Fixture::new().await;
        let record = fixture.envelope().seal(b"attack at dawn", &context()).await.unwrap();
        let newer = fixture.another_key("key-2").await;
        let strict = Envelope::new(StoreKey::new(&fixture.store.handle(), newer));
        match strict.open(&record, &context()).await.unwrap_err() {
            EnvelopeError::Source(error) => assert_eq!(error.kind(), ErrorKind::IncorrectKey),
            other => panic!("{other:?}"),
        }
        let both = Envelope::new(StoreKey::new(&fixture.store.handle(), newer).accepting(fixture.key));
        assert_eq!(both.open(&record, &context()).await.unwrap().expose(), b"attack at dawn");
    });
}

#[test]
fn a_record_may_have_its_data_key_wrapped_anew() {
    block_on(async {
        let fixture = Fixture::new().await;
        let record = fixture.envelope().seal(b"attack at dawn", &context()).await.unwrap();
        let newer = fixture.another_key("key-2").await;
        let handle = fixture.store.handle();
        let wrapped = wrapped_data_key(&record).unwrap();
        let anew = handle.re_encrypt(wrapped, &context(), &newer, &context()).await.unwrap();
        let record = with_wrapped_data_key(&record, anew.as_bytes()).unwrap();
        let envelope = Envelope::new(StoreKey::new(&handle, newer));
        assert_eq!(envelope.open(&record, &context()).await.unwrap().expose(), b"attack at dawn");
    });
}

#[test]
fn nothing_secret_is_printed() {
    block_on(async {
        let fixture = Fixture::new().await;
        let envelope = fixture.envelope();
        envelope.seal(b"attack at dawn", &context()).await.unwrap();
        let writer = envelope.writer(Vec::new(), &context()).await.unwrap();
        let printed = format!("{envelope:?} {writer:?} {:?}", fixture.source());
        assert!(!printed.contains("97, 116, 116"), "{printed}");
        assert!(!printed.contains("dawn"), "{printed}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_record_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), head: bool) {
        if head && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&[1, 1, 1, 0]);
        }
        let envelope = Envelope::new(Source::new());
        prop_assert!(block_on(envelope.open(&bytes, &context())).is_err());
        prop_assert!(block_on(envelope.reader(bytes.as_slice(), &context())).is_err());
        let _ = wrapped_data_key(&bytes);
    }

    #[test]
    fn any_plaintext_and_context_come_back(
        plaintext in proptest::collection::vec(any::<u8>(), 0..2000),
        pairs in proptest::collection::btree_map("[a-z]{1,8}", ".{0,8}", 0..4),
    ) {
        let context = custom_key_store::EncryptionContext::new(pairs).unwrap();
        let envelope = Envelope::new(Source::new());
        let record = block_on(envelope.seal(&plaintext, &context)).unwrap();
        let opened = block_on(envelope.open(&record, &context)).unwrap();
        prop_assert_eq!(opened.expose(), plaintext);
    }
}
