//! The header that records and streams begin with.

use super::error::EnvelopeError;
use super::frames::FrameSize;
use crate::crypto::random;

pub(super) const VERSION: u8 = 1;
const RECORD: u8 = 1;
const STREAM: u8 = 2;
/// AES-256-GCM, under keys derived by KBKDF with HMAC-SHA-256.
pub(super) const ALGORITHM: u8 = 1;

const ID_LEN: usize = 32;
pub(super) const PRELUDE_LEN: usize = 4 + ID_LEN;
pub(super) const COMMITMENT_LEN: usize = 32;
/// Up to where every header is as long.
pub(super) const FIXED_LEN: usize = PRELUDE_LEN + COMMITMENT_LEN + 2;
/// The greatest length of a wrapped data key, in bytes: that of a ciphertext blob.
pub(super) const MAX_WRAPPED_LEN: usize = 6144;

/// What a message is, and which one: the part of a header that its key is derived from.
pub(super) type Prelude = [u8; PRELUDE_LEN];

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Record,
    Stream(FrameSize),
}

/// The prelude of a new message.
pub(super) fn prelude(body: Body) -> Prelude {
    let (kind, frame) = match body {
        Body::Record => (RECORD, 0),
        Body::Stream(size) => (STREAM, size.log2()),
    };
    let mut prelude = [0; PRELUDE_LEN];
    let (head, id) = prelude.split_at_mut(4);
    head.copy_from_slice(&[VERSION, kind, ALGORITHM, frame]);
    id.copy_from_slice(&random::<ID_LEN>());
    prelude
}

pub(super) const fn header_len(wrapped: &[u8]) -> usize {
    FIXED_LEN + wrapped.len()
}

/// Writes a header over the beginning of `out`, which is no shorter.
pub(super) fn write_header(
    out: &mut [u8],
    prelude: &Prelude,
    commitment: &[u8; COMMITMENT_LEN],
    wrapped: &[u8],
) {
    // Materials hold no longer ones.
    let length = u16::try_from(wrapped.len()).unwrap_or(u16::MAX);
    let mut rest = out;
    for part in [prelude.as_slice(), commitment, &length.to_be_bytes(), wrapped] {
        let (place, left) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = left;
    }
}

/// The parts of a header, borrowed from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixed<'a> {
    pub(super) body: Body,
    pub(super) prelude: &'a Prelude,
    pub(super) commitment: &'a [u8; COMMITMENT_LEN],
    pub(super) wrapped_len: usize,
}

impl<'a> Fixed<'a> {
    /// Total: any bytes are such a part or an error.
    pub(super) fn parse(bytes: &'a [u8; FIXED_LEN]) -> Result<Self, EnvelopeError> {
        if bytes[0] != VERSION {
            return Err(EnvelopeError::UnknownVersion(bytes[0]));
        }
        Self::version_1(bytes).ok_or(EnvelopeError::Invalid)
    }

    fn version_1(bytes: &'a [u8; FIXED_LEN]) -> Option<Self> {
        let body = match bytes[1..4] {
            [RECORD, ALGORITHM, 0] => Body::Record,
            [STREAM, ALGORITHM, log2] => Body::Stream(FrameSize::from_log2(log2)?),
            _ => return None,
        };
        let (prelude, rest) = bytes.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let wrapped_len = usize::from(u16::from_be_bytes(rest.try_into().ok()?));
        let legal = (1..=MAX_WRAPPED_LEN).contains(&wrapped_len);
        legal.then_some(Self { body, prelude, commitment, wrapped_len })
    }
}

/// A record or a stream in memory: its header, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub(super) fixed: Fixed<'a>,
    pub(super) wrapped: &'a [u8],
    pub(super) rest: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Total: any bytes are sealed data or an error, and nothing is copied.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let Some((fixed, rest)) = bytes.split_first_chunk() else {
            // What is too short to be anything may still say what it is not.
            return Err(match bytes.first() {
                Some(&version) if version != VERSION => EnvelopeError::UnknownVersion(version),
                _ => EnvelopeError::Invalid,
            });
        };
        let fixed = Fixed::parse(fixed)?;
        let (wrapped, rest) = rest.split_at_checked(fixed.wrapped_len).ok_or(EnvelopeError::Invalid)?;
        Ok(Self { fixed, wrapped, rest })
    }
}

/// The wrapped data key of a record, or of a stream whose beginning is given.
///
/// # Errors
///
/// [`Invalid`](EnvelopeError::Invalid) for other bytes, and [`UnknownVersion`](EnvelopeError::UnknownVersion).
pub fn wrapped_data_key(sealed: &[u8]) -> Result<&[u8], EnvelopeError> {
    Sealed::parse(sealed).map(|sealed| sealed.wrapped)
}

/// The same record, or stream, with its data key wrapped anew: what a [`Sweep`](super::Sweep) puts in its place. That
/// it is the same data key, opening finds out.
///
/// # Errors
///
/// [`Invalid`](EnvelopeError::Invalid) for other bytes, or a wrapped data key of 0 or more than 6,144 bytes, and
/// [`UnknownVersion`](EnvelopeError::UnknownVersion).
pub fn with_wrapped_data_key(sealed: &[u8], wrapped: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let Sealed { fixed, rest, .. } = Sealed::parse(sealed)?;
    if !(1..=MAX_WRAPPED_LEN).contains(&wrapped.len()) {
        return Err(EnvelopeError::Invalid);
    }
    let mut out = vec![0; header_len(wrapped)];
    write_header(&mut out, fixed.prelude, fixed.commitment, wrapped);
    out.extend_from_slice(rest);
    Ok(out)
}
