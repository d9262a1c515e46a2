//! Streams that are awaited are the same streams.

use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use custom_key_store::envelope::EnvelopeError;
use futures::executor::block_on;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt as _, Cursor};

use super::streams::{FRAME, SIZES, cause, envelope, sealed};
use super::support::{bytes, context};

/// Is ready every other time, for a few bytes.
struct Slow<T> {
    inner: T,
    turn: usize,
}

impl<T> Slow<T> {
    const fn new(inner: T) -> Self {
        Self { inner, turn: 0 }
    }

    fn next(&mut self, cx: &mut Context<'_>, wanted: usize) -> Option<usize> {
        self.turn += 1;
        if self.turn % 2 == 1 {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(wanted.min(self.turn % 900 + 1))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Slow<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.next(cx, out.len()) {
            None => Poll::Pending,
            Some(length) => Pin::new(&mut self.inner).poll_read(cx, &mut out[..length]),
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Slow<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.next(cx, data.len()) {
            None => Poll::Pending,
            Some(length) => Pin::new(&mut self.inner).poll_write(cx, &data[..length]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[test]
fn each_kind_reads_what_the_other_wrote() {
    block_on(async {
        let envelope = envelope();
        for length in SIZES {
            let plaintext = bytes(length);
            let mut writer = envelope.async_writer(Slow::new(Vec::new()), &context()).await.unwrap();
            writer.write_all(&plaintext).await.unwrap();
            let awaited = writer.finish().await.unwrap().inner;

            let mut writer = envelope.writer(Vec::new(), &context()).await.unwrap();
            writer.write_all(&plaintext).unwrap();
            let blocking = writer.finish().unwrap();
            assert_eq!(awaited.len(), blocking.len());

            let mut given = Vec::new();
            envelope.reader(awaited.as_slice(), &context()).await.unwrap().read_to_end(&mut given).unwrap();
            assert_eq!(given, plaintext);

            given.clear();
            let slow = Slow::new(Cursor::new(blocking));
            let mut reader = envelope.async_reader(slow, &context()).await.unwrap();
            AsyncReadExt::read_to_end(&mut reader, &mut given).await.unwrap();
            assert_eq!(given, plaintext);
        }
    });
}

#[test]
fn closing_finishes_and_dropping_does_not() {
    block_on(async {
        let envelope = envelope();
        let mut stream = Vec::new();
        let mut writer = envelope.async_writer(&mut stream, &context()).await.unwrap();
        writer.write_all(&bytes(FRAME + 1)).await.unwrap();
        writer.close().await.unwrap();
        let behind = writer.write(&[0]).await.unwrap_err();
        assert_eq!(behind.kind(), io::ErrorKind::BrokenPipe, "nothing is written behind the end");
        drop(writer);
        let mut given = Vec::new();
        envelope.reader(stream.as_slice(), &context()).await.unwrap().read_to_end(&mut given).unwrap();
        assert_eq!(given, bytes(FRAME + 1));

        let mut stream = Vec::new();
        let mut writer = envelope.async_writer(&mut stream, &context()).await.unwrap();
        writer.write_all(&bytes(FRAME + 1)).await.unwrap();
        writer.flush().await.unwrap();
        drop(writer);
        let mut reader = envelope.async_reader(Cursor::new(stream), &context()).await.unwrap();
        let mut given = Vec::new();
        let error = AsyncReadExt::read_to_end(&mut reader, &mut given).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(matches!(cause(error), EnvelopeError::Truncated));
        assert_eq!(given, bytes(FRAME));
    });
}

#[test]
fn a_cut_or_flipped_stream_is_refused_when_awaited() {
    let envelope = envelope();
    let stream = sealed(&envelope, &bytes(FRAME + 50));
    block_on(async {
        for place in (0..stream.len()).step_by(61) {
            let mut damaged = stream.clone();
            damaged[place] ^= 1;
            for bytes in [&damaged[..], &stream[..place]] {
                let opened = async {
                    let mut reader = envelope.async_reader(Cursor::new(bytes), &context()).await?;
                    AsyncReadExt::read_to_end(&mut reader, &mut Vec::new()).await.map_err(cause)
                };
                assert!(opened.await.is_err(), "byte {place}");
            }
        }
    });
}
