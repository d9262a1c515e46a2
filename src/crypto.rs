//! What the store itself adds to the cryptography of a key manager: the encryption context, and the sealing of what
//! an application keeps.

mod context;
pub use context::EncryptionContext;
pub(crate) use context::NO_CONTEXT;

mod blob;
pub use blob::{CiphertextBlob, InvalidBlob};
pub(crate) use blob::{Draft, MAX_PLAINTEXT_LEN, MaterialId, Parsed, additional_authenticated_data, digest};

mod material;
pub(crate) use material::Material;

mod root;
pub(crate) use root::RootKey;

pub(crate) use crate::primitive::{KEY_LEN, TAG_LEN, aes_256_gcm, random, random_secret};

mod sealed;
pub(crate) use sealed::{Unsealable, seal, unseal};

mod sealer;
pub use sealer::{SealError, SealErrorKind, Sealer};

mod sealing_key;
pub use sealing_key::SealingKey;
