//! What the store itself adds to the cryptography of a key manager: the encryption context, and the sealing of what
//! an application keeps.

mod context;
pub use context::EncryptionContext;

mod root;
mod sealed;

mod sealer;
pub use sealer::{SealError, SealErrorKind, Sealer};

mod sealing_key;
pub use sealing_key::SealingKey;
