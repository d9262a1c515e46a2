//! Making an envelope with other settings than the usual ones.

use std::sync::Arc;
use std::time::Duration;

use super::Envelope;
use super::cache::{Cache, Limits};
use super::frames::FrameSize;
use super::source::DataKeys;
use crate::clock::{Clock, SystemClock};

/// Settings of an [`Envelope`]. Every setting has a default.
#[derive(Debug)]
#[must_use]
pub struct EnvelopeBuilder {
    source: Arc<dyn DataKeys>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    frame_size: FrameSize,
}

impl EnvelopeBuilder {
    pub(super) fn new(source: impl DataKeys) -> Self {
        let limits = Limits {
            max_age: Duration::from_secs(5 * 60),
            max_messages: 1 << 20,
            max_bytes: 1 << 40,
            max_entries: 1000,
            encrypt_while_disconnected: false,
        };
        Self {
            source: Arc::new(source),
            clock: Arc::new(SystemClock),
            limits,
            frame_size: FrameSize::default(),
        }
    }

    /// How long a data key is kept, by the monotonic clock, from when the source was asked for it. Default: 5 minutes.
    /// Zero: never.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.limits.max_age = age;
        self
    }

    /// How many records and streams a data key seals. Default: 2^20. 0 is 1.
    pub const fn max_messages(mut self, messages: u64) -> Self {
        self.limits.max_messages = messages;
        self
    }

    /// How many bytes of plaintext a data key seals. Default: 2^40. The first message of a data key may be longer by
    /// itself, and a stream, whose length nobody knows when it begins, may exceed it too.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// How many data keys are kept to seal with, and as many to open with. Default: 1,000. 0: none is kept.
    pub const fn max_entries(mut self, entries: usize) -> Self {
        self.limits.max_entries = entries;
        self
    }

    /// Whether data keys that are kept go on sealing while the source cannot be reached. Default: no. Opening goes on
    /// in any case.
    pub const fn encrypt_while_disconnected(mut self, encrypt: bool) -> Self {
        self.limits.encrypt_while_disconnected = encrypt;
        self
    }

    /// The frames of the streams that are written; those read say theirs. Default: 64 KiB.
    pub const fn frame_size(mut self, size: FrameSize) -> Self {
        self.frame_size = size;
        self
    }

    /// Where time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The envelope. Contacts nobody.
    #[must_use]
    pub fn build(self) -> Envelope {
        Envelope {
            cache: Arc::new(Cache::new(self.source, self.clock, self.limits)),
            frame_size: self.frame_size,
        }
    }
}
