//! A stream gives what was written, whole and in order, and nothing that is not authentic.

use std::io::{self, Read, Write};

use custom_key_store::envelope::{Envelope, EnvelopeError, FrameSize, wrapped_data_key};
use futures::executor::block_on;
use proptest::prelude::*;

use super::support::{Source, bytes, context, other_context};

pub(crate) const FRAME: usize = 4096;
pub(crate) const SEALED: usize = 4 + FRAME + 16;
/// What matters is at the edges of frames.
pub(crate) const SIZES: [usize; 10] =
    [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1, 5 * FRAME, 5 * FRAME + 77];

pub(crate) fn envelope() -> Envelope {
    Envelope::builder(Source::new()).frame_size(FrameSize::MIN).build()
}

pub(crate) fn sealed(envelope: &Envelope, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

/// The plaintext, or what was given of it before the error.
pub(crate) fn opened(envelope: &Envelope, stream: &[u8]) -> Result<Vec<u8>, (Vec<u8>, EnvelopeError)> {
    let mut plaintext = Vec::new();
    let mut reader = match block_on(envelope.reader(stream, &context())) {
        Ok(reader) => reader,
        Err(error) => return Err((plaintext, error)),
    };
    match reader.read_to_end(&mut plaintext) {
        Ok(_) => Ok(plaintext),
        Err(error) => {
            let again = cause(reader.read(&mut [0]).unwrap_err());
            let error = cause(error);
            assert_eq!(format!("{again:?}"), format!("{error:?}"), "a stream that failed goes on failing");
            Err((plaintext, error))
        }
    }
}

pub(crate) fn cause(error: io::Error) -> EnvelopeError {
    *error.into_inner().unwrap().downcast().unwrap()
}

pub(crate) fn header(stream: &[u8]) -> usize {
    70 + wrapped_data_key(stream).unwrap().len()
}

#[test]
fn what_was_written_is_read_at_every_size() {
    let envelope = envelope();
    for length in SIZES {
        let plaintext = bytes(length);
        let stream = sealed(&envelope, &plaintext);
        let frames = length.div_ceil(FRAME).max(1);
        assert_eq!(stream.len(), header(&stream) + length + frames * 20);
        assert_eq!(opened(&envelope, &stream).unwrap(), plaintext, "{length} bytes");
    }
}

#[test]
fn frames_have_the_size_that_was_asked_for() {
    for size in [FrameSize::MIN, FrameSize::default(), FrameSize::MAX] {
        let envelope = Envelope::builder(Source::new()).frame_size(size).build();
        let plaintext = bytes(2 * size.bytes() + 1);
        let stream = sealed(&envelope, &plaintext);
        assert_eq!(stream.len(), header(&stream) + plaintext.len() + 60);
        assert_eq!(opened(&envelope, &stream).unwrap(), plaintext);
    }
    assert_eq!(FrameSize::new(65_536).unwrap(), FrameSize::default());
    for illegal in [0, 1, 2048, 4097, 1 << 21, usize::MAX] {
        assert!(FrameSize::new(illegal).is_err(), "{illegal}");
    }
}

#[test]
fn a_stream_that_is_not_finished_reads_as_cut_off() {
    let envelope = envelope();
    for length in SIZES {
        let mut stream = Vec::new();
        let mut writer = block_on(envelope.writer(&mut stream, &context())).unwrap();
        writer.write_all(&bytes(length)).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let (given, error) = opened(&envelope, &stream).unwrap_err();
        assert!(matches!(error, EnvelopeError::Truncated), "{length} bytes: {error:?}");
        assert_eq!(given, bytes(length)[..given.len()]);
    }
}

#[test]
fn a_cut_at_every_length_is_noticed() {
    let envelope = envelope();
    let plaintext = bytes(2 * FRAME + 50);
    let stream = sealed(&envelope, &plaintext);
    for length in 0..stream.len() {
        let (given, error) = opened(&envelope, &stream[..length]).unwrap_err();
        assert!(matches!(error, EnvelopeError::Truncated), "{length} bytes: {error:?}");
        let whole = length.saturating_sub(header(&stream)) / SEALED;
        assert_eq!(given, plaintext[..whole * FRAME], "whole frames are given out, and no more");
    }
}

#[test]
fn every_flipped_bit_of_what_is_not_payload_and_many_of_it_are_refused() {
    let envelope = envelope();
    let plaintext = bytes(FRAME + 50);
    let stream = sealed(&envelope, &plaintext);
    let start = header(&stream);
    let payload = |byte: &usize| (start + 40..start + SEALED - 40).contains(byte) && !byte.is_multiple_of(97);
    for byte in (0..stream.len()).filter(|byte| !payload(byte)) {
        for bit in 0..8 {
            let mut damaged = stream.clone();
            damaged[byte] ^= 1 << bit;
            let (given, _) = opened(&envelope, &damaged).unwrap_err();
            let authentic = if byte < start + SEALED { 0 } else { FRAME };
            assert_eq!(given, plaintext[..authentic], "byte {byte}, bit {bit}");
        }
    }
}

#[test]
fn frames_out_of_order_twice_or_left_out_are_refused() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(4 * FRAME));
    let (head, body) = stream.split_at(header(&stream));
    let frames: Vec<&[u8]> = body.chunks(SEALED).collect();
    assert_eq!(frames.len(), 4);
    for order in [
        &[1, 0, 2, 3][..],
        &[0, 2, 1, 3],
        &[3, 1, 2, 0],
        &[0, 0, 1, 2, 3],
        &[0, 1, 2, 2, 3],
        &[0, 1, 2, 3, 3],
        &[1, 2, 3],
        &[0, 1, 3],
        &[0, 3],
        &[3],
    ] {
        let mut mixed = head.to_vec();
        order.iter().for_each(|&place| mixed.extend_from_slice(frames[place]));
        let (_, error) = opened(&envelope, &mixed).unwrap_err();
        assert!(matches!(error, EnvelopeError::Invalid), "{order:?}: {error:?}");
    }
}

#[test]
fn frames_of_another_stream_under_the_same_data_key_are_refused() {
    let envelope = envelope();
    let (one, two) = (sealed(&envelope, &bytes(3 * FRAME)), sealed(&envelope, &bytes(3 * FRAME)));
    assert_eq!(envelope.statistics().generated, 1);
    let start = header(&one);
    for place in 0..3 {
        let mut spliced = one.clone();
        let frame = start + place * SEALED..start + (place + 1) * SEALED;
        spliced[frame.clone()].copy_from_slice(&two[frame]);
        let (given, error) = opened(&envelope, &spliced).unwrap_err();
        assert!(matches!(error, EnvelopeError::Invalid), "{error:?}");
        assert_eq!(given.len(), place * FRAME);
    }
    let mixed = [&one[..start], &two[start..]].concat();
    assert!(opened(&envelope, &mixed).is_err());
}

#[test]
fn what_follows_the_last_frame_is_refused() {
    let envelope = envelope();
    for length in [0, 50, FRAME] {
        let mut stream = sealed(&envelope, &bytes(length));
        stream.push(0);
        let (_, error) = opened(&envelope, &stream).unwrap_err();
        assert!(matches!(error, EnvelopeError::Invalid), "{error:?}");
    }
}

#[test]
fn streams_and_records_are_not_taken_for_each_other() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(50));
    assert!(matches!(block_on(envelope.open(&stream, &context())), Err(EnvelopeError::Invalid)));
    let record = block_on(envelope.seal(&bytes(50), &context())).unwrap();
    assert!(matches!(opened(&envelope, &record), Err((_, EnvelopeError::Invalid))));
    // Not even with the header of the other kind.
    let mut disguised = stream;
    disguised[1..4].copy_from_slice(&[1, 1, 0]);
    assert!(matches!(block_on(envelope.open(&disguised, &context())), Err(EnvelopeError::Invalid)));
}

#[test]
fn a_stream_with_another_context_is_refused() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(50));
    let refused = block_on(envelope.reader(stream.as_slice(), &other_context()));
    assert!(matches!(refused, Err(EnvelopeError::Invalid)));
}

/// Takes and gives a few bytes at a time, and is interrupted in between.
struct Halting<T> {
    inner: T,
    turn: usize,
}

impl<T> Halting<T> {
    fn next(&mut self, wanted: usize) -> io::Result<usize> {
        self.turn += 1;
        match self.turn % 3 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            1 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(wanted.min(self.turn % 700 + 1)),
        }
    }
}

impl<R: Read> Read for Halting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.next(out.len())?;
        self.inner.read(&mut out[..length])
    }
}

impl<W: Write> Write for Halting<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = self.next(data.len())?;
        self.inner.write(&data[..length])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_what_is_beneath_is_passed_on_and_nothing_is_lost() {
    let envelope = envelope();
    let plaintext = bytes(3 * FRAME + 5);
    // The header is written and read whole.
    let mut written = Vec::new();
    let writer = block_on(envelope.writer(&mut written, &context())).unwrap();
    drop(writer);
    let head = written.len();

    let stream = sealed(&envelope, &plaintext);
    let mut reader = block_on(
        envelope.reader((&stream[..head]).chain(Halting { inner: &stream[head..], turn: 0 }), &context()),
    )
    .unwrap();
    let (mut given, mut buffer, mut halts) = (Vec::new(), [0; 333], 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => given.extend_from_slice(&buffer[..length]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                halts += 1;
            }
        }
    }
    assert_eq!(given, plaintext);
    assert!(halts > 10);
}

/// Writes the header, and halts from then on.
struct AfterHeader<W> {
    header: bool,
    inner: Halting<W>,
}

impl<W: Write> Write for AfterHeader<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.header {
            self.inner.write(data)
        } else {
            self.header = true;
            self.inner.inner.write(data)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_write_that_failed_can_be_tried_again() {
    let envelope = envelope();
    let plaintext = bytes(3 * FRAME + 5);
    let mut stream = Vec::new();
    let halting = AfterHeader { header: false, inner: Halting { inner: &mut stream, turn: 0 } };
    let mut writer = block_on(envelope.writer(halting, &context())).unwrap();
    let mut rest = plaintext.as_slice();
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(length) => rest = &rest[length..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    while let Err(error) = writer.flush() {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    drop(writer);
    let (given, error) = opened(&envelope, &stream).unwrap_err();
    assert!(matches!(error, EnvelopeError::Truncated));
    assert_eq!(given, plaintext[..3 * FRAME]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_it_is_cut_into_writes_and_reads(
        length in 0..4 * FRAME,
        writes in proptest::collection::vec(1..2 * FRAME, 1..20),
        reads in proptest::collection::vec(1..2 * FRAME, 1..20),
    ) {
        let (envelope, plaintext) = (envelope(), bytes(length));
        let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
        let mut rest = plaintext.as_slice();
        for size in writes.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*size));
            writer.write_all(now).unwrap();
            rest = later;
            if rest.is_empty() { break }
        }
        let stream = writer.finish().unwrap();

        let mut reader = block_on(envelope.reader(stream.as_slice(), &context())).unwrap();
        let mut given = Vec::new();
        for size in reads.iter().cycle() {
            let mut buffer = vec![0; *size];
            let length = reader.read(&mut buffer).unwrap();
            if length == 0 { break }
            given.extend_from_slice(&buffer[..length]);
        }
        prop_assert_eq!(given, plaintext);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused(length in 0..3 * FRAME, place: proptest::sample::Index, bit in 0..8_u32) {
        let envelope = envelope();
        let plaintext = bytes(length);
        let mut stream = sealed(&envelope, &plaintext);
        let place = place.index(stream.len());
        stream[place] ^= 1_u8 << bit;
        let (given, _) = opened(&envelope, &stream).unwrap_err();
        prop_assert_eq!(&given, &plaintext[..given.len()]);
    }
}
