//! Reading bodies from somebody who has not authenticated, into memory that is bounded and wiped.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Buf as _;
use futures_util::future::poll_fn;
use http_body::Body;

use crate::clock::{Clock, in_time};
use crate::secret::SecretBytes;

#[cfg(test)]
mod tests;

/// What is set aside for a body before any of it has arrived. It is not allocated until then, so that a body that
/// comes in one piece is copied into memory of its own size.
const FIRST: usize = 2048;

/// As much of a body that nobody wants is waited for, and thrown away, before the answer.
const DISCARDED: usize = 64 * 1024;
/// And as long: who sends one at all is sending it already.
const GRACE: Duration = Duration::from_secs(1);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Longer than the limit; no more than that was read.
    TooLong,
    /// Not there in time.
    TooSlow,
    /// The connection, or its framing, broke.
    Broken,
    /// So many others are being read that there is no memory for this one.
    Crowded,
}

/// How a service reads the bodies of its requests.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// The longest, in bytes.
    limit: usize,
    timeout: Duration,
    /// What all of them may take together, in bytes, and what they take.
    memory: usize,
    taken: AtomicUsize,
}

/// What bodies of one peer take of a service's memory, an extension of its requests.
///
/// Of that memory a peer may take the same part as of the connections, and enough for one body if there is as much.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<Part>);

#[derive(Debug)]
struct Part {
    part: usize,
    whole: usize,
    taken: AtomicUsize,
}

impl Share {
    /// For whoever has `part` of `whole`.
    pub(super) fn new(part: usize, whole: usize) -> Self {
        Self(Arc::new(Part { part, whole: whole.max(1), taken: AtomicUsize::new(0) }))
    }
}

impl Bodies {
    pub(crate) const fn new(limit: usize, timeout: Duration, memory: usize) -> Self {
        Self { limit, timeout, memory, taken: AtomicUsize::new(0) }
    }

    /// Refuses a body that is announced to be longer than the limit.
    pub(crate) fn check_announced(&self, body: &impl Body) -> Result<(), Unreadable> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.limit { Err(Unreadable::TooLong) } else { Ok(()) }
    }

    /// Reads a body. What is announced to be longer than the limit is not read at all.
    ///
    /// The bytes may hold a plaintext, so they are copied into memory that is wiped.
    pub(crate) async fn read<'m, B>(
        &'m self,
        body: B,
        share: Option<&'m Share>,
        clock: &dyn Clock,
    ) -> Result<Read<'m>, Unreadable>
    where
        B: Body + Send,
        B::Data: Send,
    {
        self.check_announced(&body)?;
        let work = async {
            let mut body = pin!(body);
            // Whatever is announced: nobody gets more memory than has been sent, but for a little.
            let mut read = Growing::new(self, share)?;
            while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                let Ok(mut data) = frame.map_err(|_| Unreadable::Broken)?.into_data() else {
                    // Trailers.
                    continue;
                };
                if data.remaining() > self.limit - read.length {
                    return Err(Unreadable::TooLong);
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let length = chunk.len();
                    read.append(chunk)?;
                    data.advance(length);
                }
            }
            Ok(read.finish())
        };
        in_time(clock, self.timeout, work).await.unwrap_or(Err(Unreadable::TooSlow))
    }

    /// Reads what nobody wants, and keeps nothing of it: who is still sending when he is answered, and cut off, hears a
    /// broken connection instead of the answer. Says whether that was all of it, which it is not of one that is announced to be
    /// longer than 64 KiB, turns out to be, or is not there within a second.
    pub(crate) async fn discard<B>(&self, body: B, clock: &dyn Clock) -> bool
    where
        B: Body + Send,
        B::Data: Send,
    {
        let is_long = |length: u64| usize::try_from(length).map_or(true, |length| length > DISCARDED);
        if is_long(body.size_hint().lower()) {
            return false;
        }
        let work = async {
            let (mut body, mut length) = (pin!(body), 0_usize);
            while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                let Ok(frame) = frame else { return false };
                length += frame.data_ref().map_or(0, bytes::Buf::remaining);
                if length > DISCARDED {
                    return false;
                }
            }
            true
        };
        in_time(clock, self.timeout.min(GRACE), work).await.unwrap_or(false)
    }

    fn share_of(&self, Part { part, whole, .. }: &Part) -> usize {
        (self.memory / whole).saturating_mul(*part).max(self.limit).min(self.memory)
    }
}

/// A body, and the memory that it takes up until it is dropped.
pub(crate) struct Read<'m> {
    bytes: SecretBytes,
    _memory: Taken<'m>,
}

impl Read<'_> {
    pub(crate) fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}

/// Memory that is taken, of all and of a peer's share.
struct Taken<'m> {
    bodies: &'m Bodies,
    share: Option<&'m Share>,
    bytes: usize,
}

impl Taken<'_> {
    fn more(&mut self, bytes: usize) -> Result<(), Unreadable> {
        let take = |taken: &AtomicUsize, most: usize| {
            let add = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= most);
            taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| Unreadable::Crowded)
        };
        // The share first, so that a peer that has used up its own disturbs nobody.
        if let Some(Share(part)) = self.share {
            take(&part.taken, self.bodies.share_of(part))?;
        }
        if let Err(crowded) = take(&self.bodies.taken, self.bodies.memory) {
            if let Some(Share(part)) = self.share {
                part.taken.fetch_sub(bytes, Ordering::Relaxed);
            }
            return Err(crowded);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(Share(part)) = self.share {
            part.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bodies.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A buffer that leaves no copy behind when it grows.
struct Growing<'m> {
    bytes: SecretBytes,
    length: usize,
    taken: Taken<'m>,
}

impl<'m> Growing<'m> {
    fn new(bodies: &'m Bodies, share: Option<&'m Share>) -> Result<Self, Unreadable> {
        let mut taken = Taken { bodies, share, bytes: 0 };
        taken.more(FIRST)?;
        Ok(Self { bytes: SecretBytes::new(Vec::new()), length: 0, taken })
    }

    fn append(&mut self, more: &[u8]) -> Result<(), Unreadable> {
        let length = self.length + more.len();
        let room = self.bytes.len();
        if length > room {
            let larger = length.max((2 * room).min(self.taken.bodies.limit));
            self.taken.more(larger.saturating_sub(room.max(FIRST)))?;
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
