//! Parts of a stream equal the same parts of the plaintext.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use custom_key_store::envelope::EnvelopeError;
use futures::executor::block_on;
use proptest::prelude::*;

use super::streams::{FRAME, SEALED, SIZES, cause, envelope, header, sealed};
use super::support::{bytes, context};

#[test]
fn the_whole_is_read_and_the_length_is_known() {
    let envelope = envelope();
    for length in SIZES {
        let stream = sealed(&envelope, &bytes(length));
        let mut reader = block_on(envelope.ranged_reader(Cursor::new(stream), &context())).unwrap();
        assert_eq!(reader.len(), length as u64);
        assert_eq!(reader.is_empty(), length == 0);
        let mut given = Vec::new();
        reader.read_to_end(&mut given).unwrap();
        assert_eq!(given, bytes(length));
    }
}

/// Counts the bytes that are read.
struct Counting<T>(T, u64);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(out)?;
        self.1 += length as u64;
        Ok(length)
    }
}

impl<S: Seek> Seek for Counting<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn no_more_frames_are_read_than_a_part_touches() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(100 * FRAME));
    let head = header(&stream);
    let counting = Counting(Cursor::new(stream), 0);
    let mut reader = block_on(envelope.ranged_reader(counting, &context())).unwrap();
    reader.seek(SeekFrom::Start(50 * FRAME as u64 + 10)).unwrap();
    let mut part = [0; 100];
    reader.read_exact(&mut part).unwrap();
    assert_eq!(part, bytes(100 * FRAME)[50 * FRAME + 10..][..100]);
    // The header, the last frame, and one more.
    assert_eq!(reader.into_inner().1, (head + 2 * SEALED) as u64);
}

#[test]
fn a_cut_at_every_length_is_noticed_before_anything_is_given() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(2 * FRAME + 50));
    for length in 0..stream.len() {
        let cut = Cursor::new(&stream[..length]);
        let error = block_on(envelope.ranged_reader(cut, &context())).unwrap_err();
        // Where a piece of a frame looks like a last frame, it is not authentic.
        assert!(matches!(error, EnvelopeError::Truncated | EnvelopeError::Invalid), "{length}: {error:?}");
    }
    for frames in 0..2 {
        let cut = Cursor::new(&stream[..header(&stream) + frames * SEALED]);
        let error = block_on(envelope.ranged_reader(cut, &context())).unwrap_err();
        assert!(matches!(error, EnvelopeError::Truncated), "{error:?}");
    }
}

#[test]
fn a_frame_in_another_place_is_refused_where_it_is_read() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(4 * FRAME));
    let start = header(&stream);
    let mut mixed = stream.clone();
    mixed[start..start + SEALED].copy_from_slice(&stream[start + SEALED..start + 2 * SEALED]);
    let mut reader = block_on(envelope.ranged_reader(Cursor::new(mixed), &context())).unwrap();
    reader.seek(SeekFrom::Start(10)).unwrap();
    assert!(matches!(cause(reader.read(&mut [0; 8]).unwrap_err()), EnvelopeError::Invalid));
    // The others are what they are.
    reader.seek(SeekFrom::Start(FRAME as u64)).unwrap();
    let mut part = [0; 8];
    reader.read_exact(&mut part).unwrap();
    assert_eq!(part, bytes(4 * FRAME)[FRAME..FRAME + 8]);
    // And what failed is not given out later.
    reader.seek(SeekFrom::Start(0)).unwrap();
    assert!(reader.read(&mut [0; 8]).is_err());
}

#[test]
fn what_follows_the_last_frame_is_refused() {
    let envelope = envelope();
    for (length, more) in [(50, 1), (50, 20), (FRAME, 1), (FRAME, SEALED), (0, 25)] {
        let mut stream = sealed(&envelope, &bytes(length));
        stream.extend_from_slice(&bytes(more));
        assert!(block_on(envelope.ranged_reader(Cursor::new(stream), &context())).is_err());
    }
}

#[test]
fn seeking_knows_its_bounds() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(FRAME + 10));
    let mut reader = block_on(envelope.ranged_reader(Cursor::new(stream), &context())).unwrap();
    assert_eq!(reader.seek(SeekFrom::End(-5)).unwrap(), FRAME as u64 + 5);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, bytes(FRAME + 10)[FRAME + 5..]);
    assert!(reader.seek(SeekFrom::Current(-i64::MAX)).is_err());
    assert_eq!(reader.stream_position().unwrap(), FRAME as u64 + 10);
    for beyond in [FRAME as u64 + 10, 1 << 50, u64::MAX] {
        reader.seek(SeekFrom::Start(beyond)).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_part_equals_the_part_of_the_plaintext(
        length in 0..5 * FRAME,
        parts in proptest::collection::vec((0..6 * FRAME, 0..2 * FRAME), 1..6),
        prefix in 0..50_usize,
    ) {
        let (envelope, plaintext) = (envelope(), bytes(length));
        // It may begin anywhere in what it lies in.
        let mut file = Cursor::new([bytes(prefix), sealed(&envelope, &plaintext)].concat());
        file.set_position(prefix as u64);
        let mut reader = block_on(envelope.ranged_reader(file, &context())).unwrap();
        for (from, count) in parts {
            reader.seek(SeekFrom::Start(from as u64)).unwrap();
            let mut part = Vec::new();
            reader.by_ref().take(count as u64).read_to_end(&mut part).unwrap();
            let expected = &plaintext[from.min(length)..(from + count).min(length)];
            prop_assert_eq!(part, expected);
        }
    }
}
