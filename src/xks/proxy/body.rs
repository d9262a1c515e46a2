//! Reading a body from somebody who has not authenticated.

use std::pin::pin;
use std::time::Duration;

use bytes::Buf as _;
use futures_util::future::poll_fn;
use http_body::Body;

use super::upstream::in_time;
use crate::clock::Clock;
use crate::secret::SecretBytes;

/// What is set aside before anything was read; most bodies are smaller.
const FIRST: usize = 2048;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Longer than the limit; no more than that was read.
    TooLong,
    /// Not there in time.
    TooSlow,
    /// The connection, or its framing, broke.
    Broken,
}

/// Reads a body of `limit` bytes at most. What is announced to be longer is not read at all.
///
/// The bytes may hold a plaintext, so they are copied into memory that is wiped.
pub(super) async fn read<B>(
    body: B,
    limit: usize,
    clock: &dyn Clock,
    timeout: Duration,
) -> Result<SecretBytes, Unreadable>
where
    B: Body + Send,
    B::Data: Send,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Unreadable::TooLong);
    }
    let work = async {
        let mut body = pin!(body);
        // An announcement is not a body: nobody gets more memory than has been sent, but for a little.
        let mut read = Growing::with_room(announced.clamp(FIRST, 4 * FIRST));
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let Ok(mut data) = frame.map_err(|_| Unreadable::Broken)?.into_data() else {
                // Trailers.
                continue;
            };
            if data.remaining() > limit - read.length {
                return Err(Unreadable::TooLong);
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                let length = chunk.len();
                read.append(chunk);
                data.advance(length);
            }
        }
        Ok(read.finish())
    };
    in_time(clock, timeout, work).await.unwrap_or(Err(Unreadable::TooSlow))
}

/// A buffer that leaves no copy behind when it grows.
struct Growing {
    bytes: SecretBytes,
    length: usize,
}

impl Growing {
    fn with_room(room: usize) -> Self {
        Self { bytes: SecretBytes::new(vec![0; room]), length: 0 }
    }

    fn append(&mut self, more: &[u8]) {
        let length = self.length + more.len();
        if length > self.bytes.len() {
            let mut larger = SecretBytes::new(vec![0; length.max(2 * self.bytes.len())]);
            larger.expose_mut().iter_mut().zip(self.bytes.expose()).for_each(|(new, old)| *new = *old);
            self.bytes = larger;
        }
        if let Some(place) = self.bytes.expose_mut().get_mut(self.length..length) {
            place.copy_from_slice(more);
        }
        self.length = length;
    }

    fn finish(mut self) -> SecretBytes {
        self.bytes.truncate(self.length);
        self.bytes
    }
}
