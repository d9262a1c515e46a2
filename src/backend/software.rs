//! A key manager in the process itself, with real AES-256-GCM, that fails when it is told to.
//!
//! It is what tests and examples connect to, and what an application rehearses its failure paths with: each
//! call can be delayed, hung, refused, damaged or made to panic, by a script.
//!
//! **What it is not.** Its keys lie in the memory of the process that uses them and are gone when it ends.
//! Whoever controls the process controls the keys, so nothing is held outside of anything: it is no
//! replacement for an external key manager or an HSM, however well its cryptography does.
//!
//! A test of a restart, or a program that is tried out, keeps the bytes of a key and puts it in again under the same id,
//! by [`SoftwareKey::from_bytes`] and [`KeyManager::insert_key`]: what [`KeyManager::create_key`] makes anew under an old
//! id is another key, which decrypts nothing of what was encrypted before.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use custom_key_store::backend::software::{Fault, KeyManager, Method};
//! use custom_key_store::backend::{
//!     Backend, BackendErrorKind, BackingKeyId, ConnectReason, ConnectRequest, DecryptRequest,
//!     EncryptRequest, Operation, RequestId, RequestMetadata,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = KeyManager::new();
//! let key = BackingKeyId::new("root-2026")?;
//! manager.create_key(key.clone());
//!
//! # futures::executor::block_on(async {
//! let timeout = Duration::from_secs(5);
//! let connection = manager.connect(&ConnectRequest::new(ConnectReason::Connect, timeout)).await?;
//!
//! let id = RequestId::generate();
//! let metadata = RequestMetadata::new("alice", &Operation::ENCRYPT, &id);
//! let encrypt = EncryptRequest::new(metadata, &key, b"attack at dawn").with_aad(b"tenant=blue");
//! let ciphertext = connection.encrypt(&encrypt).await?;
//!
//! let decrypt = DecryptRequest::new(metadata, &key, &ciphertext).with_aad(b"tenant=blue");
//! assert_eq!(connection.decrypt(&decrypt).await?.plaintext.expose(), b"attack at dawn");
//!
//! // The rehearsal: the next decryption is refused, the one after it works.
//! manager.inject(Method::Decrypt, Fault::Fail(BackendErrorKind::Throttled));
//! assert_eq!(connection.decrypt(&decrypt).await.unwrap_err().kind(), BackendErrorKind::Throttled);
//! assert!(connection.decrypt(&decrypt).await.is_ok());
//!
//! connection.close().await?;
//! assert_eq!(manager.open_connections(), 0);
//! # Ok(()) })
//! # }
//! ```
//!
//! # Which errors it gives
//!
//! A call is checked in this order, and the first failure is the answer: the connection is closed (`Closed`);
//! a [`Fault`] is scripted; the key does not exist (`KeyNotFound`); there is too much data (`Unsupported`); the
//! key is disabled (`InvalidKeyState`); it may not do this (`InvalidKeyUsage`); it has made the 2^32 encryptions
//! that random nonces allow (`InvalidKeyState` again); the ciphertext, its metadata or the authenticated data
//! was changed (`InvalidCiphertext`).
//!
//! # What it supports
//!
//! Either type of store, by the [configuration](KeyManagerBuilder::configuration) it is built with. As an
//! external key store it makes and deletes no keys on request and has no random bytes to offer, since the XKS
//! protocol has no such calls; as a CloudHSM cluster it does all three.
//!
//! Initialization vectors have 12 bytes and are random; a ciphertext with one of 16 bytes is
//! `InvalidCiphertext`, as the cryptographic library beneath takes no other length.

mod builder;
mod connection;
mod fault;
mod keys;
mod manager;

pub use builder::KeyManagerBuilder;
pub use fault::{Fault, Method};
pub use keys::SoftwareKey;
pub use manager::KeyManager;
