//! The four operations of the protocol.

use crate::value::wire_enum;

wire_enum! {
    /// An operation that an external key store proxy offers.
    #[non_exhaustive]
    ProxyOperation, field: "operation" {
        /// What a key is.
        GetKeyMetadata = "GetKeyMetadata",
        /// Encrypts under a key.
        Encrypt = "Encrypt",
        /// Decrypts under a key.
        Decrypt = "Decrypt",
        /// How proxy and key manager are.
        GetHealthStatus = "GetHealthStatus",
    }
}

impl ProxyOperation {
    /// The last segment of the operation's path.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::GetKeyMetadata => "metadata",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::GetHealthStatus => "health",
        }
    }
}
