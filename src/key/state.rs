//! The state of a KMS key.

use crate::value::wire_enum;

wire_enum! {
    /// The state of a KMS key, in those of AWS's words that a key of a custom key store can have.
    ///
    /// `Unavailable` is not kept anywhere: it is what a key is seen as while its store is not connected, whatever else
    /// it is, except that a deletion that was scheduled shows through.
    #[non_exhaustive]
    KeyState, field: "KeyState" {
        /// It can be used.
        Enabled = "Enabled",
        /// Somebody disabled it.
        Disabled = "Disabled",
        /// Its deletion was scheduled; it cannot be used, and the deletion can be cancelled.
        PendingDeletion = "PendingDeletion",
        /// Its custom key store is not connected.
        Unavailable = "Unavailable",
    }
}

wire_enum! {
    /// Where the material of a KMS key comes from.
    #[non_exhaustive]
    KeyOrigin, field: "Origin" {
        /// A key that an HSM cluster made.
        AwsCloudhsm = "AWS_CLOUDHSM",
        /// A key of an external key manager, and material that this library keeps.
        ExternalKeyStore = "EXTERNAL_KEY_STORE",
    }
}
