//! Data of an application, encrypted under data keys: records in memory, and streams of any length.
//!
//! A KMS key encrypts 4 KiB at most, and each use of it is a trip to the key manager. So data is sealed under a *data
//! key*, which the store makes and wraps; the wrapped data key travels with the data. An [`Envelope`] does all of it: it
//! fetches data keys, keeps them for a bounded use, and gives each record and each stream a key of its own, derived from
//! the data key.
//!
//! ```
//! use custom_key_store::envelope::{Envelope, StoreKey};
//! # use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
//! # use custom_key_store::backend::{BackingKeyId, software::KeyManager};
//! # futures::executor::block_on(async {
//! # let manager = KeyManager::new();
//! # let external = BackingKeyId::new("key-1")?;
//! # manager.create_key(external.clone());
//! # let store = KeyStore::ephemeral(StoreName::new("root")?, manager).connect().await?;
//! # let handle = store.handle();
//! # let key = handle.create_key(&NewKey::external(external)).await?.key_id;
//! let envelope = Envelope::new(StoreKey::new(&handle, key));
//! let context = EncryptionContext::new([("table", "patients")])?;
//!
//! let record = envelope.seal(b"attack at dawn", &context).await?;
//! assert_eq!(envelope.open(&record, &context).await?.expose(), b"attack at dawn");
//!
//! let mut writer = envelope.writer(Vec::new(), &context).await?;
//! std::io::copy(&mut &[7; 100_000][..], &mut writer)?;
//! let stream = writer.finish()?; // without it, the stream reads as cut off
//!
//! let mut reader = envelope.reader(stream.as_slice(), &context).await?;
//! assert_eq!(std::io::copy(&mut reader, &mut std::io::sink())?, 100_000);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # When the store is connected again
//!
//! An envelope belongs to the handle that its [`StoreKey`] was made of, which ends with the connection. Keep the
//! [`StoreKey`] in an `Arc`, and give it the new handle:
//!
//! ```
//! use std::sync::Arc;
//!
//! use custom_key_store::envelope::{Envelope, StoreKey};
//! # use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
//! # use custom_key_store::backend::{BackingKeyId, software::KeyManager};
//! # futures::executor::block_on(async {
//! # let manager = KeyManager::new();
//! # let external = BackingKeyId::new("key-1")?;
//! # manager.create_key(external.clone());
//! # let store = KeyStore::ephemeral(StoreName::new("root")?, manager).connect().await?;
//! # let key = store.create_key(&NewKey::external(external)).await?.key_id;
//! # let context = EncryptionContext::none();
//! let source = Arc::new(StoreKey::new(&store.handle(), key));
//! let envelope = Envelope::new(Arc::clone(&source));
//!
//! let store = store.disconnect().await;
//! assert!(envelope.seal(b"too late", &context).await.is_err());
//! let store = store.connect().await?;
//! source.reconnect(&store.handle())?;
//! let record = envelope.seal(b"attack at dawn", &context).await?;
//! # drop(record);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # What becomes of data keys that are kept
//!
//! A data key is kept for a time ([`EnvelopeBuilder::max_age`]) and seals a limited number of messages and bytes.
//! Many who want the same one at the same time cause one call of the source.
//!
//! - After a **change of the KMS key** (it is disabled, or its deletion scheduled, or anything else) none that it had
//!   wrapped or unwrapped before is used any more, from when that change returns.
//! - While the store is **disconnected** those that are kept go on opening, within their bounds (for up to 5 minutes, unless
//!   set), and seal only if [`EnvelopeBuilder::encrypt_while_disconnected`] is set. What was handed out cannot be called
//!   back; who disconnects to take access away calls [`Envelope::revoke`] too.
//! - Memory is wiped when a data key leaves: when it is displaced, revoked, [pruned](Envelope::prune), or found to be
//!   past its bounds.
//!
//! # tokio
//!
//! The async streams are over the traits of `futures`. `tokio_util::compat` turns tokio's into them and back:
//! `envelope.async_reader(file.compat(), &context).await?.compat()`, with `TokioAsyncReadCompatExt` and
//! `FuturesAsyncReadCompatExt` in scope.
//!
//! # Format
//!
//! Version 1. Numbers are big-endian. A record, like a stream, begins with a header:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | version: 1 |
//! | 1 | 1 | kind: 1 record, 2 stream |
//! | 2 | 1 | algorithm: 1 |
//! | 3 | 1 | of a stream: the binary logarithm of the frame size, 12 to 20; of a record: 0 |
//! | 4 | 32 | message id, random |
//! | 36 | 32 | commitment |
//! | 68 | 2 | `n`, length of the wrapped data key: 1 to 6,144 |
//! | 70 | `n` | wrapped data key; of a [`StoreKey`], a [ciphertext blob](crate::CiphertextBlob) |
//!
//! The data key has 32 bytes. Under algorithm 1 keys are derived by KBKDF in counter mode with HMAC-SHA-256 (NIST SP
//! 800-108; 32-bit counter first; the fixed input ends with the length of the output in bits as a `u32`), in two steps:
//!
//! 1. From the data key over `custom-key-store context v1`, a zero byte, and the canonical
//!    [encryption context](crate::EncryptionContext): 32 bytes, the *context key*.
//! 2. From the context key over `message v1`, a zero byte, and the first 36 bytes of the header: 64 bytes, of which the
//!    first 32 are the *message key*, the last 32 the *commitment*.
//!
//! Another data key, context or first 36 bytes give another commitment, which is found out, in constant time, before
//! anything is decrypted. The wrapped data key is authenticated by who wrapped it; it can be
//! [replaced](with_wrapped_data_key) by another wrapping of the same data key.
//!
//! Everything else is AES-256-GCM under the message key, without additional authenticated data.
//!
//! **A record** goes on with the ciphertext, as long as the plaintext, and a tag of 16 bytes. Its nonce is 12 zero bytes.
//!
//! **A stream** goes on with frames, numbered from 0:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | marker: the highest bit says that this frame is the last; the rest is the length `m` of its plaintext |
//! | 4 | `m` | ciphertext |
//! | 4 + `m` | 16 | tag |
//!
//! The nonce of a frame is 7 zero bytes, a byte that is 1 in the last frame and 0 in the others, and the frame's number
//! as a `u32`. All frames but the last hold as many bytes as the frame size says; the last holds 1 byte to as many, or
//! none where it is the only one. Nothing follows the last.

mod builder;
pub use builder::EnvelopeBuilder;

mod cache;
pub use cache::Statistics;

mod error;
pub use error::EnvelopeError;

mod flight;

mod format;
pub use format::{with_wrapped_data_key, wrapped_data_key};

mod frames;
pub use frames::FrameSize;

mod materials;

mod ranged;
pub use ranged::RangedReader;

mod record;

mod source;
pub use source::{DataKeys, FreshKey, Standing, StoreKey};

mod stream;
pub use stream::{Reader, Writer};

mod stream_async;
pub use stream_async::{AsyncReader, AsyncWriter};

mod sweep;
pub use sweep::{StorageError, StoredKey, Sweep, SweepError, SweepReport, WrappedKeys};

use std::sync::Arc;

/// Seals and opens data under the data keys of one source. Clones share what is kept. See [the module](self).
///
/// Waits for its source alone: everything else is done at once, on the caller's thread.
#[derive(Debug, Clone)]
pub struct Envelope {
    cache: Arc<cache::Cache>,
    frame_size: FrameSize,
}

impl Envelope {
    /// An envelope with the usual settings. Contacts nobody.
    #[must_use]
    pub fn new(source: impl DataKeys) -> Self {
        Self::builder(source).build()
    }

    /// An envelope with other settings.
    pub fn builder(source: impl DataKeys) -> EnvelopeBuilder {
        EnvelopeBuilder::new(source)
    }

    /// Forgets every data key that is kept, and keeps none that is being fetched. Messages under way are finished.
    pub fn revoke(&self) {
        self.cache.revoke();
    }

    /// Wipes the data keys that may not be used any more: call it now and then, where what is past its bounds must not
    /// lie in memory until it is looked for again. Takes a time that grows with the number of data keys.
    pub fn prune(&self) {
        self.cache.prune();
    }

    /// What became of data keys so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.cache.statistics()
    }
}
