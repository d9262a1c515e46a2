//! Reading a body from somebody who has not authenticated.

use std::pin::pin;
use std::time::Duration;

use bytes::Buf as _;
use futures_util::future::poll_fn;
use http_body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

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
    /// So many others are being read that there is no memory for this one.
    Crowded,
}

/// How much memory all bodies together may take while their senders have not authenticated, in units of [`UNIT`].
const UNIT: usize = 1024;

pub(super) fn memory(bytes: usize) -> Semaphore {
    Semaphore::new((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS))
}

/// A body, and the memory that it takes up until it is dropped.
pub(super) struct Read<'m> {
    bytes: SecretBytes,
    _memory: SemaphorePermit<'m>,
}

impl Read<'_> {
    pub(super) fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}

/// Reads a body of `limit` bytes at most. What is announced to be longer is not read at all.
///
/// The bytes may hold a plaintext, so they are copied into memory that is wiped.
pub(super) async fn read<'m, B>(
    body: B,
    limit: usize,
    clock: &dyn Clock,
    timeout: Duration,
    memory: &'m Semaphore,
) -> Result<Read<'m>, Unreadable>
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
        let mut read = Growing::with_room(announced.clamp(FIRST, 4 * FIRST), memory)?;
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
                read.append(chunk, limit)?;
                data.advance(length);
            }
        }
        Ok(read.finish())
    };
    in_time(clock, timeout, work).await.unwrap_or(Err(Unreadable::TooSlow))
}

/// A buffer that leaves no copy behind when it grows.
struct Growing<'m> {
    bytes: SecretBytes,
    length: usize,
    all: &'m Semaphore,
    memory: SemaphorePermit<'m>,
}

impl<'m> Growing<'m> {
    fn with_room(room: usize, all: &'m Semaphore) -> Result<Self, Unreadable> {
        let memory = take(all, room)?;
        Ok(Self { bytes: SecretBytes::new(vec![0; room]), length: 0, all, memory })
    }

    fn append(&mut self, more: &[u8], limit: usize) -> Result<(), Unreadable> {
        let length = self.length + more.len();
        let room = self.bytes.len();
        if length > room {
            let larger = length.max((2 * room).min(limit));
            self.memory.merge(take(self.all, larger - room)?);
            let mut larger = SecretBytes::new(vec![0; larger]);
            larger.expose_mut().iter_mut().zip(self.bytes.expose()).for_each(|(new, old)| *new = *old);
            self.bytes = larger;
        }
        if let Some(place) = self.bytes.expose_mut().get_mut(self.length..length) {
            place.copy_from_slice(more);
        }
        self.length = length;
        Ok(())
    }

    fn finish(mut self) -> Read<'m> {
        self.bytes.truncate(self.length);
        Read { bytes: self.bytes, _memory: self.memory }
    }
}

fn take(all: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Unreadable> {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    all.try_acquire_many(units).map_err(|_| Unreadable::Crowded)
}
