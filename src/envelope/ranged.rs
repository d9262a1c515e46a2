//! Reading parts of a stream.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use aws_lc_rs::aead::LessSafeKey;

use super::Envelope;
use super::error::EnvelopeError;
use super::frames::{FrameSize, MARKER_LEN, Marker, OVERHEAD, open_frame};
use crate::crypto::EncryptionContext;
use crate::secret::SecretBytes;

/// Reading parts of a stream.
impl Envelope {
    /// Reads parts of a stream that begins where `inner` stands and ends where `inner` does. Reads its header and its
    /// last frame, so that its length is certain; blocks as `inner` does.
    ///
    /// # Errors
    ///
    /// Those of [`reader`](Self::reader).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the header may have been read.
    pub async fn ranged_reader<R: Read + Seek + Send>(
        &self,
        mut inner: R,
        context: &EncryptionContext,
    ) -> Result<RangedReader<R>, EnvelopeError> {
        let (incoming, size) = self.incoming(&mut inner, context).await?;
        RangedReader::new(inner, incoming.into_cipher(), size)
    }
}

/// Reads any part of a stream, and of the stream only the frames that the part touches. Made by
/// [`Envelope::ranged_reader`].
///
/// Reads and seeks in the plaintext, whose [length](Self::len) is authentic. A frame that was damaged, or put in another
/// place, is found out when it is read. Keeps one frame in memory.
///
/// ```
/// use std::io::{Read, Seek, SeekFrom, Write};
///
/// # use custom_key_store::envelope::{Envelope, StoreKey};
/// # use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
/// # use custom_key_store::backend::{BackingKeyId, software::KeyManager};
/// # futures::executor::block_on(async {
/// # let manager = KeyManager::new();
/// # let external = BackingKeyId::new("key-1")?;
/// # manager.create_key(external.clone());
/// # let store = KeyStore::ephemeral(StoreName::new("root")?, manager).connect().await?;
/// # let key = store.create_key(&NewKey::external(external)).await?.key_id;
/// # let envelope = Envelope::new(StoreKey::new(&store.handle(), key));
/// # let context = EncryptionContext::none();
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sealed");
/// let mut writer = envelope.writer(std::fs::File::create(&path)?, &context).await?;
/// writer.write_all(b"attack at dawn")?;
/// writer.finish()?.sync_all()?;
///
/// let mut reader = envelope.ranged_reader(std::fs::File::open(&path)?, &context).await?;
/// assert_eq!(reader.len(), 14);
/// let mut part = [0; 4];
/// reader.seek(SeekFrom::Start(10))?;
/// reader.read_exact(&mut part)?;
/// assert_eq!(&part, b"dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct RangedReader<R> {
    inner: R,
    cipher: LessSafeKey,
    size: FrameSize,
    /// Where the first frame begins.
    start: u64,
    last: u32,
    len: u64,
    position: u64,
    /// The frame that was read last, opened, and its number.
    frame: SecretBytes,
    loaded: Option<u32>,
}

impl<R: Read + Seek> RangedReader<R> {
    fn new(mut inner: R, cipher: LessSafeKey, size: FrameSize) -> Result<Self, EnvelopeError> {
        let start = inner.stream_position()?;
        let body = inner.seek(SeekFrom::End(0))?.saturating_sub(start);
        let sealed = size.sealed() as u64;
        let last = u32::try_from(body.saturating_sub(1) / sealed).map_err(|_| EnvelopeError::TooLong)?;
        let rest = body - u64::from(last) * sealed;
        // Less than an empty frame is a piece of one.
        let length = rest.checked_sub(OVERHEAD as u64).ok_or(EnvelopeError::Truncated)?;
        let len = u64::from(last) * size.bytes() as u64 + length;
        let frame = SecretBytes::new(vec![0; size.sealed()]);
        let mut reader = Self { inner, cipher, size, start, last, len, position: 0, frame, loaded: None };
        reader.load(last)?;
        Ok(reader)
    }

    /// The length of the plaintext, in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no plaintext.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is read from.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// How much plaintext this frame has.
    fn length(&self, number: u32) -> usize {
        let before = u64::from(number) * self.size.bytes() as u64;
        let left = usize::try_from(self.len.saturating_sub(before));
        left.unwrap_or(usize::MAX).min(self.size.bytes())
    }

    /// Reads a frame and opens it.
    fn load(&mut self, number: u32) -> Result<(), EnvelopeError> {
        if self.loaded == Some(number) {
            return Ok(());
        }
        self.loaded = None;
        let length = self.length(number);
        let at = u64::from(number) * self.size.sealed() as u64;
        self.inner.seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let frame = &mut self.frame.expose_mut()[..length + OVERHEAD];
        self.inner.read_exact(frame)?;
        let marker = frame.first_chunk::<MARKER_LEN>().ok_or(EnvelopeError::Invalid)?;
        let marker = Marker::parse(*marker, self.size, number)?;
        let last = number == self.last;
        if last && (!marker.last || marker.length > length) {
            return Err(EnvelopeError::Truncated);
        }
        if marker.last != last || marker.length != length {
            return Err(EnvelopeError::Invalid);
        }
        open_frame(&self.cipher, number, last, frame)?;
        self.loaded = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> Read for RangedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.size.bytes() as u64;
        if out.is_empty() || self.position >= self.len {
            return Ok(0);
        }
        // Within the stream, whose frames have numbers of 32 bits, each of them shorter than 1 MiB.
        let (Ok(number), Ok(from)) =
            (u32::try_from(self.position / size), usize::try_from(self.position % size))
        else {
            return Err(EnvelopeError::TooLong.into());
        };
        self.load(number)?;
        let plaintext = &self.frame.expose()[MARKER_LEN..MARKER_LEN + self.length(number)];
        let left = plaintext.get(from..).unwrap_or_default();
        let given = left.len().min(out.len());
        out[..given].copy_from_slice(&left[..given]);
        self.position += given as u64;
        Ok(given)
    }
}

impl<R: Read + Seek> Seek for RangedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<R> fmt::Debug for RangedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangedReader").field("len", &self.len).finish_non_exhaustive()
    }
}
