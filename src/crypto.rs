//! What the store itself adds to the cryptography of a key manager. So far: the encryption context.

mod context;
pub use context::EncryptionContext;
