//! How a store is named by the library.

use std::hash::{BuildHasher as _, RandomState};

use crate::value::text_newtype;

text_newtype! {
    /// The id of a custom key store: assigned once, never changed, never used again.
    ///
    /// Ids that are made here look like AWS's, `cks-` and 17 hexadecimal digits; others are taken as they are.
    StoreId,
    field: "CustomKeyStoreId",
    expected: "1 to 64 characters, none of them a control character",
    length: 1..=64,
    legal: |c| !c.is_control(),
}

impl StoreId {
    /// A new id, unlike every other.
    #[must_use]
    pub fn generate() -> Self {
        // Each `RandomState` has keys of its own, which the operating system's randomness has seeded.
        let random = || RandomState::new().hash_one(());
        Self(format!("cks-{:016x}{:x}", random(), random() & 0xf).into())
    }
}
