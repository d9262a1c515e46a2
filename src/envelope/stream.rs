//! Streams over blocking input and output.

use std::fmt;
use std::io::{self, Read, Write};

use super::Envelope;
use super::error::EnvelopeError;
use super::format::{Body, FIXED_LEN, Fixed};
use super::frames::{FrameSize, Incoming, Outgoing};
use crate::crypto::EncryptionContext;

/// Streams.
impl Envelope {
    /// Begins a stream: writes its header, which blocks as `inner` does.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Source`], also when the store is not connected, and [`EnvelopeError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was written.
    pub async fn writer<W: Write + Send>(
        &self,
        mut inner: W,
        context: &EncryptionContext,
    ) -> Result<Writer<W>, EnvelopeError> {
        let (header, outgoing) = self.outgoing(context).await?;
        inner.write_all(&header)?;
        Ok(Writer { inner, outgoing })
    }

    /// Begins to read a stream: reads its header, which blocks as `inner` does.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Invalid`], [`EnvelopeError::UnknownVersion`], [`EnvelopeError::Truncated`],
    /// [`EnvelopeError::Source`] and [`EnvelopeError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the header may have been read.
    pub async fn reader<R: Read + Send>(
        &self,
        mut inner: R,
        context: &EncryptionContext,
    ) -> Result<Reader<R>, EnvelopeError> {
        let (incoming, _) = self.incoming(&mut inner, context).await?;
        Ok(Reader { inner, incoming })
    }

    pub(super) async fn outgoing(
        &self,
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, Outgoing), EnvelopeError> {
        let materials = self.cache.to_seal(context, 0).await?;
        let message = materials.message(Body::Stream(self.frame_size));
        let header = message.header(&materials.wrapped);
        Ok((header, Outgoing::new(message.cipher, materials, self.frame_size)))
    }

    /// Reads a header and makes what follows ready.
    pub(super) async fn incoming<R: Read + Send>(
        &self,
        inner: &mut R,
        context: &EncryptionContext,
    ) -> Result<(Incoming, FrameSize), EnvelopeError> {
        let mut fixed = [0; FIXED_LEN];
        inner.read_exact(&mut fixed)?;
        let mut wrapped = vec![0; Fixed::parse(&fixed)?.wrapped_len];
        inner.read_exact(&mut wrapped)?;
        self.incoming_after(&fixed, &wrapped, context).await
    }

    /// Makes what follows a header ready.
    pub(super) async fn incoming_after(
        &self,
        fixed: &[u8; FIXED_LEN],
        wrapped: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Incoming, FrameSize), EnvelopeError> {
        let fixed = Fixed::parse(fixed)?;
        let Body::Stream(size) = fixed.body else { return Err(EnvelopeError::Invalid) };
        let materials = self.cache.to_open(context, wrapped).await?;
        Ok((Incoming::new(materials.cipher(&fixed)?, size), size))
    }
}

/// Writes a stream. [`finish`](Self::finish) must be called: a writer that is dropped leaves a stream that reads as
/// [cut off](EnvelopeError::Truncated).
///
/// Plaintext is gathered until a frame is full; [`flush`](Write::flush) writes whole frames, not the one that is being
/// gathered. Errors of `W` are passed on, and writing may be tried again after one; an [`EnvelopeError`] lies inside an
/// [`io::Error`].
///
/// ```
/// use std::io::{Read, Write};
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
/// let mut writer = envelope.writer(Vec::new(), &context).await?; // or a `File`
/// writer.write_all(b"attack ")?;
/// writer.write_all(b"at dawn")?;
/// let stream = writer.finish()?;
///
/// let mut plaintext = Vec::new();
/// envelope.reader(stream.as_slice(), &context).await?.read_to_end(&mut plaintext)?;
/// assert_eq!(plaintext, b"attack at dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a stream that is not finished reads as cut off"]
pub struct Writer<W> {
    inner: W,
    outgoing: Outgoing,
}

impl<W: Write> Writer<W> {
    /// Ends the stream and gives what it was written to, flushed.
    ///
    /// # Errors
    ///
    /// Those of `W`, and [`EnvelopeError::TooLong`].
    pub fn finish(mut self) -> io::Result<W> {
        self.drain()?;
        self.outgoing.finish()?;
        self.drain()?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn drain(&mut self) -> io::Result<()> {
        loop {
            let pending = self.outgoing.pending();
            if pending.is_empty() {
                return Ok(());
            }
            match self.inner.write(pending) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.outgoing.written(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        loop {
            self.drain()?;
            if plaintext.is_empty() {
                return Ok(0);
            }
            let taken = self.outgoing.take(plaintext)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()?;
        self.inner.flush()
    }
}

/// Reads a stream. What it gives is authentic, and in its place; that it is whole is certain when the end has been
/// read, by a read that gives no bytes and no error.
///
/// Errors of `R` are passed on, and reading may be tried again after one; an [`EnvelopeError`] lies inside an
/// [`io::Error`] and comes again with each further read.
pub struct Reader<R> {
    inner: R,
    incoming: Incoming,
}

impl<R> Reader<R> {
    /// What is read from.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let given = self.incoming.give(out);
            if given > 0 {
                return Ok(given);
            }
            let Some(space) = self.incoming.space()? else { return Ok(0) };
            match self.inner.read(space) {
                Ok(length) => self.incoming.came(length)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
