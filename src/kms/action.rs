//! What can be called.

mod documented;

use crate::value::wire_enum;

wire_enum! {
    /// An operation of AWS's API that [`Kms`](super::Kms) carries out, by AWS's name.
    #[non_exhaustive]
    Action, field: "Action" {
        /// Makes a custom key store.
        CreateCustomKeyStore = "CreateCustomKeyStore",
        /// Begins to connect one.
        ConnectCustomKeyStore = "ConnectCustomKeyStore",
        /// Begins to disconnect one.
        DisconnectCustomKeyStore = "DisconnectCustomKeyStore",
        /// Shows them.
        DescribeCustomKeyStores = "DescribeCustomKeyStores",
        /// Changes one.
        UpdateCustomKeyStore = "UpdateCustomKeyStore",
        /// Deletes one.
        DeleteCustomKeyStore = "DeleteCustomKeyStore",
        /// Makes a KMS key.
        CreateKey = "CreateKey",
        /// Shows one.
        DescribeKey = "DescribeKey",
        /// Lists them.
        ListKeys = "ListKeys",
        /// Lets one be used.
        EnableKey = "EnableKey",
        /// Lets one be used no more.
        DisableKey = "DisableKey",
        /// Schedules the end of one.
        ScheduleKeyDeletion = "ScheduleKeyDeletion",
        /// Takes that back.
        CancelKeyDeletion = "CancelKeyDeletion",
        /// Says what one is for.
        UpdateKeyDescription = "UpdateKeyDescription",
        /// Gives one another name.
        CreateAlias = "CreateAlias",
        /// Has a name stand for another key.
        UpdateAlias = "UpdateAlias",
        /// Takes a name away.
        DeleteAlias = "DeleteAlias",
        /// Lists names.
        ListAliases = "ListAliases",
        /// Adds tags to a key.
        TagResource = "TagResource",
        /// Takes tags away.
        UntagResource = "UntagResource",
        /// Lists the tags of a key.
        ListResourceTags = "ListResourceTags",
        /// Shows the one policy that every key has.
        GetKeyPolicy = "GetKeyPolicy",
        /// Lists the names of policies.
        ListKeyPolicies = "ListKeyPolicies",
        /// Encrypts.
        Encrypt = "Encrypt",
        /// Decrypts.
        Decrypt = "Decrypt",
        /// Encrypts anew under another key.
        ReEncrypt = "ReEncrypt",
        /// Makes a data key.
        GenerateDataKey = "GenerateDataKey",
        /// Makes a data key, wrapped alone.
        GenerateDataKeyWithoutPlaintext = "GenerateDataKeyWithoutPlaintext",
        /// Makes random bytes.
        GenerateRandom = "GenerateRandom",
    }
}

impl Action {
    /// Whether it shows something, and changes nothing.
    #[must_use]
    pub const fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::DescribeCustomKeyStores
                | Self::DescribeKey
                | Self::ListKeys
                | Self::ListAliases
                | Self::ListResourceTags
                | Self::GetKeyPolicy
                | Self::ListKeyPolicies
        )
    }

    /// Whether it uses a key or a key manager, rather than manages one: what the quota of a store counts.
    #[must_use]
    pub const fn is_cryptographic(self) -> bool {
        matches!(
            self,
            Self::Encrypt
                | Self::Decrypt
                | Self::ReEncrypt
                | Self::GenerateDataKey
                | Self::GenerateDataKeyWithoutPlaintext
                | Self::GenerateRandom
        )
    }

    /// Whether it takes the use of keys away, and can be taken back: what must work whatever else does not, the audit trail
    /// included. (That of `ScheduleKeyDeletion` ends in what cannot be taken back; `DisableKey` does the same until then.)
    #[must_use]
    pub const fn is_kill_switch(self) -> bool {
        matches!(self, Self::DisconnectCustomKeyStore | Self::DisableKey)
    }

    /// Whether it is about a KMS key, or can be.
    #[must_use]
    pub const fn concerns_key(self) -> bool {
        !matches!(
            self,
            Self::CreateCustomKeyStore
                | Self::ConnectCustomKeyStore
                | Self::DisconnectCustomKeyStore
                | Self::DescribeCustomKeyStores
                | Self::UpdateCustomKeyStore
                | Self::DeleteCustomKeyStore
                | Self::CreateKey
                | Self::ListKeys
                | Self::GenerateRandom
        )
    }

    /// Whether it is about a custom key store, or can be: that of a KMS key included.
    #[must_use]
    pub const fn concerns_store(self) -> bool {
        !matches!(self, Self::CreateCustomKeyStore | Self::ListKeys)
    }
}
