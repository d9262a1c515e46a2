//! The frames of a stream: both ways through them, without input and output.

use std::io;
use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::error::EnvelopeError;
use super::materials::Materials;
use crate::crypto::TAG_LEN;
use crate::secret::SecretBytes;
use crate::value::{InvalidValue, Problem};

/// How much plaintext a frame of a stream holds: a power of two from 4 KiB to 1 MiB. The least that is read or written
/// at once, and what a stream takes of memory. Default: 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize(u8);

impl FrameSize {
    /// The least: 4 KiB.
    pub const MIN: Self = Self(12);
    /// The greatest: 1 MiB.
    pub const MAX: Self = Self(20);

    /// So many bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] unless they are a power of two from 4,096 to 1,048,576.
    pub const fn new(bytes: usize) -> Result<Self, InvalidValue> {
        // 64 at most.
        let [log2, ..] = bytes.trailing_zeros().to_le_bytes();
        match Self::from_log2(log2) {
            Some(size) if bytes.is_power_of_two() => Ok(size),
            _ => {
                Err(InvalidValue::new("FrameSize", "a power of two from 4 KiB to 1 MiB", Problem::Malformed))
            }
        }
    }

    pub(super) const fn from_log2(log2: u8) -> Option<Self> {
        if Self::MIN.0 <= log2 && log2 <= Self::MAX.0 { Some(Self(log2)) } else { None }
    }

    pub(super) const fn log2(self) -> u8 {
        self.0
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }

    /// With the marker and the tag.
    pub(super) const fn sealed(self) -> usize {
        MARKER_LEN + self.bytes() + TAG_LEN
    }
}

impl Default for FrameSize {
    fn default() -> Self {
        Self(16)
    }
}

pub(super) const MARKER_LEN: usize = 4;
pub(super) const OVERHEAD: usize = MARKER_LEN + TAG_LEN;
/// In a marker: this frame is the last.
const LAST: u32 = 1 << 31;

fn nonce(number: u32, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[7] = last.into();
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// What a marker says of its frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marker {
    pub(super) last: bool,
    pub(super) length: usize,
}

impl Marker {
    /// Refuses what no writer writes.
    pub(super) fn parse(
        bytes: [u8; MARKER_LEN],
        size: FrameSize,
        number: u32,
    ) -> Result<Self, EnvelopeError> {
        let word = u32::from_be_bytes(bytes);
        let last = word & LAST != 0;
        // Wider than 32 bits, or as wide.
        let length = (word & !LAST) as usize;
        let legal = if last {
            // Only an empty stream ends with an empty frame.
            length <= size.bytes() && (length > 0 || number == 0)
        } else {
            length == size.bytes()
        };
        if legal { Ok(Self { last, length }) } else { Err(EnvelopeError::Invalid) }
    }

    fn bytes(self) -> [u8; MARKER_LEN] {
        // At most 1 MiB.
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        (length | if self.last { LAST } else { 0 }).to_be_bytes()
    }
}

/// Opens frame `number` in place: its plaintext then lies behind the marker. `frame` is as long as its marker says.
pub(super) fn open_frame(
    cipher: &LessSafeKey,
    number: u32,
    last: bool,
    frame: &mut [u8],
) -> Result<(), EnvelopeError> {
    let sealed = frame.get_mut(MARKER_LEN..).ok_or(EnvelopeError::Invalid)?;
    match cipher.open_in_place(nonce(number, last), Aad::empty(), sealed) {
        Ok(_) => Ok(()),
        Err(_) => Err(EnvelopeError::Invalid),
    }
}

/// A stream on its way out. Takes plaintext while nothing is [pending](Self::pending).
pub(super) struct Outgoing {
    cipher: LessSafeKey,
    materials: Arc<Materials>,
    size: FrameSize,
    /// Of the next frame.
    number: u32,
    /// One frame: a marker, the plaintext or its ciphertext, a tag.
    frame: SecretBytes,
    /// How much plaintext there is in it.
    filled: usize,
    /// What is sealed of the frame and not yet written out.
    pending: std::ops::Range<usize>,
    finished: bool,
}

impl Outgoing {
    pub(super) fn new(cipher: LessSafeKey, materials: Arc<Materials>, size: FrameSize) -> Self {
        let frame = SecretBytes::new(vec![0; size.sealed()]);
        Self { cipher, materials, size, number: 0, frame, filled: 0, pending: 0..0, finished: false }
    }

    /// To be written out before anything else happens.
    pub(super) fn pending(&self) -> &[u8] {
        &self.frame.expose()[self.pending.clone()]
    }

    pub(super) fn written(&mut self, length: usize) {
        self.pending.start = self.pending.end.min(self.pending.start + length);
    }

    /// Takes some of the plaintext; none when a frame had to be sealed first.
    pub(super) fn take(&mut self, plaintext: &[u8]) -> Result<usize, EnvelopeError> {
        if self.finished {
            return Err(EnvelopeError::Io(Arc::new(io::ErrorKind::BrokenPipe.into())));
        }
        let free = self.size.bytes() - self.filled;
        if free == 0 {
            // Only now, since the last frame must know that it is.
            self.seal(false)?;
            return Ok(0);
        }
        let taken = free.min(plaintext.len());
        let at = MARKER_LEN + self.filled;
        self.frame.expose_mut()[at..at + taken].copy_from_slice(&plaintext[..taken]);
        self.filled += taken;
        Ok(taken)
    }

    /// Seals the last frame, once.
    pub(super) fn finish(&mut self) -> Result<(), EnvelopeError> {
        if !self.finished {
            self.seal(true)?;
            self.finished = true;
        }
        Ok(())
    }

    fn seal(&mut self, last: bool) -> Result<(), EnvelopeError> {
        // The last number is kept for the last frame.
        let next =
            if last { self.number } else { self.number.checked_add(1).ok_or(EnvelopeError::TooLong)? };
        let end = MARKER_LEN + self.filled;
        let (marker, sealed) = self.frame.expose_mut().split_at_mut(MARKER_LEN);
        let (data, rest) = sealed.split_at_mut(self.filled);
        marker.copy_from_slice(&Marker { last, length: data.len() }.bytes());
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce(self.number, last), Aad::empty(), data)
            .map_err(|_| EnvelopeError::TooLong)?;
        rest[..TAG_LEN].copy_from_slice(tag.as_ref());
        self.materials.count(self.filled);
        self.number = next;
        self.filled = 0;
        self.pending = 0..end + TAG_LEN;
        Ok(())
    }
}

/// A stream on its way in. Gives plaintext of frames that are authentic, and of no others.
pub(super) struct Incoming {
    cipher: LessSafeKey,
    size: FrameSize,
    number: u32,
    /// One frame, as far as it has come.
    frame: SecretBytes,
    come: usize,
    /// The plaintext in it that was not yet given out.
    plaintext: std::ops::Range<usize>,
    progress: Progress,
}

enum Progress {
    Frames,
    /// The last frame was authentic; nothing may follow.
    LastSeen,
    Ended,
    Failed(EnvelopeError),
}

impl Incoming {
    pub(super) fn new(cipher: LessSafeKey, size: FrameSize) -> Self {
        let frame = SecretBytes::new(vec![0; size.sealed()]);
        Self { cipher, size, number: 0, frame, come: 0, plaintext: 0..0, progress: Progress::Frames }
    }

    /// For who reads frames in another order.
    pub(super) fn into_cipher(self) -> LessSafeKey {
        self.cipher
    }

    /// Gives plaintext out, as much as there is; none when more must come, and at the end.
    pub(super) fn give(&mut self, out: &mut [u8]) -> usize {
        let length = out.len().min(self.plaintext.len());
        let from = self.plaintext.start;
        out[..length].copy_from_slice(&self.frame.expose()[from..from + length]);
        self.plaintext.start += length;
        length
    }

    /// Where the next bytes of the stream belong, when there is no plaintext; `None` at the end.
    pub(super) fn space(&mut self) -> Result<Option<&mut [u8]>, EnvelopeError> {
        match &self.progress {
            Progress::Frames => Ok(Some(&mut self.frame.expose_mut()[self.come..])),
            Progress::LastSeen => Ok(Some(&mut self.frame.expose_mut()[..1])),
            Progress::Ended => Ok(None),
            Progress::Failed(error) => Err(error.clone()),
        }
    }

    /// So many bytes came; none is the end of what is read.
    pub(super) fn came(&mut self, length: usize) -> Result<(), EnvelopeError> {
        let arrived = self.arrived(length);
        if let Err(error) = &arrived {
            self.progress = Progress::Failed(error.clone());
        }
        arrived
    }

    fn arrived(&mut self, length: usize) -> Result<(), EnvelopeError> {
        if let Progress::LastSeen = self.progress {
            self.progress = Progress::Ended;
            return if length == 0 { Ok(()) } else { Err(EnvelopeError::Invalid) };
        }
        if length == 0 {
            return Err(EnvelopeError::Truncated);
        }
        self.come = self.frame.len().min(self.come + length);
        let come = &mut self.frame.expose_mut()[..self.come];
        let Some(&marker) = come.first_chunk() else { return Ok(()) };
        let marker = Marker::parse(marker, self.size, self.number)?;
        let whole = MARKER_LEN + marker.length + TAG_LEN;
        if come.len() < whole {
            return Ok(());
        }
        if come.len() > whole {
            // Only the last frame is shorter than what is read for.
            return Err(EnvelopeError::Invalid);
        }
        open_frame(&self.cipher, self.number, marker.last, come)?;
        if marker.last {
            self.progress = Progress::LastSeen;
        } else {
            self.number = self.number.checked_add(1).ok_or(EnvelopeError::TooLong)?;
        }
        self.come = 0;
        self.plaintext = MARKER_LEN..MARKER_LEN + marker.length;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
