//! How a store is named by the library.

use std::hash::{BuildHasher as _, RandomState};

use aws_lc_rs::rand;

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
        let mut random = [0; 9];
        if rand::fill(&mut random).is_err() {
            // A system without randomness is past helping; ids that differ are all that is needed here.
            let number = RandomState::new().hash_one(()).to_be_bytes();
            random.iter_mut().zip(number).for_each(|(place, byte)| *place = byte);
        }
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (digits, _) = hex.split_at(17);
        Self(format!("cks-{digits}").into())
    }
}
