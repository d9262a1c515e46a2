//! Streams over input and output that is awaited.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Envelope;
use super::error::EnvelopeError;
use super::format::{FIXED_LEN, Fixed};
use super::frames::{Incoming, Outgoing};
use crate::crypto::EncryptionContext;

/// Streams that are awaited, over the traits of `futures`. For those of tokio see [the module](super#tokio).
impl Envelope {
    /// Begins a stream: writes its header.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Source`], also when the store is not connected, and [`EnvelopeError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, some of the header may have been written.
    pub async fn async_writer<W: AsyncWrite + Unpin + Send>(
        &self,
        mut inner: W,
        context: &EncryptionContext,
    ) -> Result<AsyncWriter<W>, EnvelopeError> {
        let (header, outgoing) = self.outgoing(context).await?;
        inner.write_all(&header).await?;
        Ok(AsyncWriter { inner, outgoing })
    }

    /// Begins to read a stream: reads its header.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Invalid`], [`EnvelopeError::UnknownVersion`], [`EnvelopeError::Truncated`],
    /// [`EnvelopeError::Source`] and [`EnvelopeError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, some of the header may have been read.
    pub async fn async_reader<R: AsyncRead + Unpin + Send>(
        &self,
        mut inner: R,
        context: &EncryptionContext,
    ) -> Result<AsyncReader<R>, EnvelopeError> {
        let mut fixed = [0; FIXED_LEN];
        inner.read_exact(&mut fixed).await?;
        let mut wrapped = vec![0; Fixed::parse(&fixed)?.wrapped_len];
        inner.read_exact(&mut wrapped).await?;
        let (incoming, _) = self.incoming_after(&fixed, &wrapped, context).await?;
        Ok(AsyncReader { inner, incoming })
    }
}

/// [`Writer`](super::Writer) over an [`AsyncWrite`](https://docs.rs/futures/latest/futures/io/trait.AsyncWrite.html).
/// [`finish`](Self::finish), or `close` of `AsyncWriteExt`, which also closes `W`, must be awaited: a writer that is
/// dropped leaves a stream that reads as [cut off](EnvelopeError::Truncated).
///
/// # Cancel safety
///
/// A `write` that is dropped has taken nothing.
///
/// ```
/// use futures::io::{AsyncReadExt, AsyncWriteExt, Cursor};
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
/// let mut writer = envelope.async_writer(Cursor::new(Vec::new()), &context).await?;
/// writer.write_all(b"attack at dawn").await?;
/// let stream = writer.finish().await?.into_inner();
///
/// let mut plaintext = Vec::new();
/// envelope.async_reader(stream.as_slice(), &context).await?.read_to_end(&mut plaintext).await?;
/// assert_eq!(plaintext, b"attack at dawn");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a stream that is not finished reads as cut off"]
pub struct AsyncWriter<W> {
    inner: W,
    outgoing: Outgoing,
}

impl<W: AsyncWrite + Unpin> AsyncWriter<W> {
    /// Ends the stream and gives what it was written to, flushed and open.
    ///
    /// # Errors
    ///
    /// Those of `W`, and [`EnvelopeError::TooLong`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the stream may lack its end.
    pub async fn finish(mut self) -> io::Result<W>
    where
        W: Send,
    {
        std::future::poll_fn(|cx| self.poll_finish(cx)).await?;
        self.inner.flush().await?;
        Ok(self.inner)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.outgoing.finish()?;
        self.poll_drain(cx)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let pending = self.outgoing.pending();
            if pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, pending))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outgoing.written(written),
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncWriter<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        plaintext: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_drain(cx))?;
            if plaintext.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let taken = self.outgoing.take(plaintext)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_finish(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// [`Reader`](super::Reader) over an [`AsyncRead`](https://docs.rs/futures/latest/futures/io/trait.AsyncRead.html).
///
/// # Cancel safety
///
/// A `read` that is dropped has given out nothing.
pub struct AsyncReader<R> {
    inner: R,
    incoming: Incoming,
}

impl<R> AsyncReader<R> {
    /// What is read from.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncReader<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { inner, incoming } = self.get_mut();
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let given = incoming.give(out);
            if given > 0 {
                return Poll::Ready(Ok(given));
            }
            let Some(space) = incoming.space()? else { return Poll::Ready(Ok(0)) };
            let length = ready!(Pin::new(&mut *inner).poll_read(cx, space))?;
            incoming.came(length)?;
        }
    }
}

impl<W> fmt::Debug for AsyncWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWriter").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for AsyncReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReader").finish_non_exhaustive()
    }
}
