//! Reading a body from somebody who has not authenticated.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use futures_util::future::poll_fn;
use http_body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::upstream::in_time;
use crate::clock::Clock;
use crate::secret::SecretBytes;

/// What is set aside for a body before any of it has arrived. It is not allocated until then, so that a body that
/// comes in one piece is copied into memory of its own size.
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

/// In what units memory is counted.
const UNIT: usize = 1024;

/// So much memory, in bytes.
pub(super) fn memory(bytes: usize) -> Semaphore {
    Semaphore::new((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS))
}

/// How much of the memory one peer may take; an extension of its requests.
#[derive(Debug, Clone)]
pub(super) struct Share(pub(super) Arc<Semaphore>);

/// What bodies may take while their senders have not authenticated: all of them together, and those of one peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<'m> {
    pub(super) all: &'m Semaphore,
    pub(super) share: Option<&'m Share>,
}

/// A part of both.
struct Taken<'m> {
    all: SemaphorePermit<'m>,
    share: Option<SemaphorePermit<'m>>,
}

impl<'m> Memory<'m> {
    fn take(self, bytes: usize) -> Result<Taken<'m>, Unreadable> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let take = |memory: &'m Semaphore| memory.try_acquire_many(units).map_err(|_| Unreadable::Crowded);
        // The share first, so that a peer that has used up its own disturbs nobody.
        let share = self.share.map(|share| take(&share.0)).transpose()?;
        Ok(Taken { all: take(self.all)?, share })
    }
}

impl Taken<'_> {
    fn merge(&mut self, more: Self) {
        self.all.merge(more.all);
        if let (Some(share), Some(more)) = (&mut self.share, more.share) {
            share.merge(more);
        }
    }
}

/// A body, and the memory that it takes up until it is dropped.
pub(super) struct Read<'m> {
    bytes: SecretBytes,
    _memory: Taken<'m>,
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
    memory: Memory<'m>,
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
        // Whatever is announced: nobody gets more memory than has been sent, but for a little.
        let mut read = Growing::new(memory)?;
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
    memory: Memory<'m>,
    taken: Taken<'m>,
}

impl<'m> Growing<'m> {
    fn new(memory: Memory<'m>) -> Result<Self, Unreadable> {
        let taken = memory.take(FIRST)?;
        Ok(Self { bytes: SecretBytes::new(Vec::new()), length: 0, memory, taken })
    }

    fn append(&mut self, more: &[u8], limit: usize) -> Result<(), Unreadable> {
        let length = self.length + more.len();
        let room = self.bytes.len();
        if length > room {
            let larger = length.max((2 * room).min(limit));
            self.taken.merge(self.memory.take(larger.saturating_sub(room.max(FIRST)))?);
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
        Read { bytes: self.bytes, _memory: self.taken }
    }
}
