use std::time::Instant;

use super::*;
use crate::crypto::EncryptionContext;
use crate::envelope::format::Body;
use crate::envelope::materials::Origin;
use crate::key::KeyArn;
use crate::secret::SecretBytes;

fn outgoing(number: u32) -> Result<Outgoing, Box<dyn std::error::Error>> {
    let key = KeyArn::new("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")?;
    let origin = Origin { key, generation: 0, revocations: 0, born: Instant::now() };
    let secret = SecretBytes::new(vec![7; 32]);
    let materials = Materials::new(&secret, vec![1], &EncryptionContext::none(), origin);
    let materials = Arc::new(materials.ok_or("no materials")?);
    let message = materials.message(Body::Stream(FrameSize::MIN));
    let mut outgoing = Outgoing::new(message.cipher, materials, FrameSize::MIN);
    outgoing.number = number;
    Ok(outgoing)
}

fn incoming(outgoing: &Outgoing) -> Incoming {
    // The same key, as the tests have no other way to it.
    let cipher = crate::crypto::aes_256_gcm(&[0; 32]);
    let mut incoming = Incoming::new(cipher, outgoing.size);
    incoming.number = outgoing.number;
    incoming
}

fn fill(outgoing: &mut Outgoing) -> Result<usize, EnvelopeError> {
    let length = outgoing.pending().len();
    outgoing.written(length);
    outgoing.take(&[1; 4096])
}

#[test]
fn the_last_of_2_pow_32_frames_must_be_the_last() -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = outgoing(u32::MAX - 1)?;
    assert_eq!(fill(&mut stream)?, 4096);
    // Frame 2^32 - 2 is sealed, and one more begun.
    assert_eq!(fill(&mut stream)?, 0);
    assert_eq!(fill(&mut stream)?, 4096);
    // Which must be the last: no number is left for another.
    assert!(matches!(fill(&mut stream), Err(EnvelopeError::TooLong)));
    assert!(matches!(fill(&mut stream), Err(EnvelopeError::TooLong)));
    stream.finish()?;
    assert_eq!(stream.pending().first(), Some(&0x80));
    Ok(())
}

#[test]
fn a_reader_does_not_count_beyond_2_pow_32_frames() -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = outgoing(u32::MAX)?;
    stream.cipher = crate::crypto::aes_256_gcm(&[0; 32]);
    let mut reader = incoming(&stream);
    // Not one that a writer makes: it takes the last number and says that more follow.
    let frame = stream.frame.expose_mut();
    frame[..MARKER_LEN].copy_from_slice(&Marker { last: false, length: 4096 }.bytes());
    let (data, tag) = frame[MARKER_LEN..].split_at_mut(4096);
    let sealed = stream.cipher.seal_in_place_separate_tag(nonce(u32::MAX, false), Aad::empty(), data)?;
    tag.copy_from_slice(sealed.as_ref());
    let space = reader.space()?.ok_or("no space")?;
    space.copy_from_slice(frame);
    let length = frame.len();
    assert!(matches!(reader.came(length), Err(EnvelopeError::TooLong)));
    assert_eq!(reader.give(&mut [0; 8]), 0);
    Ok(())
}

#[test]
fn only_a_stream_that_is_empty_ends_with_an_empty_frame() {
    let empty = Marker { last: true, length: 0 }.bytes();
    assert!(Marker::parse(empty, FrameSize::MIN, 0).is_ok());
    assert!(matches!(Marker::parse(empty, FrameSize::MIN, 1), Err(EnvelopeError::Invalid)));
    let longer = Marker { last: true, length: 4097 }.bytes();
    assert!(matches!(Marker::parse(longer, FrameSize::MIN, 1), Err(EnvelopeError::Invalid)));
}
