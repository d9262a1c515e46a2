//! The names under which AWS KMS refuses.

use crate::value::wire_enum;

wire_enum! {
    /// Why a call was refused, by the name that AWS's API documents.
    #[non_exhaustive]
    Exception, field: "Exception" {
        /// A rule of the application does not let the caller do this.
        AccessDenied = "AccessDeniedException",
        /// There is such an alias already.
        AlreadyExists = "AlreadyExistsException",
        /// The cluster belongs to another custom key store, or shares its backups with one that does.
        CloudHsmClusterInUse = "CloudHsmClusterInUseException",
        /// The cluster is not set up as this call needs it: two active HSMs to create or update a store or to create a
        /// key, one to connect.
        CloudHsmClusterInvalidConfiguration = "CloudHsmClusterInvalidConfigurationException",
        /// The cluster is not initialized and activated.
        CloudHsmClusterNotActive = "CloudHsmClusterNotActiveException",
        /// There is no such cluster.
        CloudHsmClusterNotFound = "CloudHsmClusterNotFoundException",
        /// The cluster shares no backup with the one it is to replace.
        CloudHsmClusterNotRelated = "CloudHsmClusterNotRelatedException",
        /// The custom key store still has KMS keys.
        CustomKeyStoreHasCmks = "CustomKeyStoreHasCMKsException",
        /// The connection state of the custom key store does not allow this.
        CustomKeyStoreInvalidState = "CustomKeyStoreInvalidStateException",
        /// Another custom key store has the name.
        CustomKeyStoreNameInUse = "CustomKeyStoreNameInUseException",
        /// There is no such custom key store.
        CustomKeyStoreNotFound = "CustomKeyStoreNotFoundException",
        /// Something that this depends on did not answer in time. Retry.
        DependencyTimeout = "DependencyTimeoutException",
        /// The KMS key is disabled.
        Disabled = "DisabledException",
        /// The dry run would have succeeded.
        DryRunOperation = "DryRunOperationException",
        /// The ciphertext was encrypted under another KMS key than the one named.
        IncorrectKey = "IncorrectKeyException",
        /// The certificate is not that of the cluster.
        IncorrectTrustAnchor = "IncorrectTrustAnchorException",
        /// The name of the alias is not a legal one.
        InvalidAliasName = "InvalidAliasNameException",
        /// The ARN is not one of a resource here.
        InvalidArn = "InvalidArnException",
        /// The ciphertext or its encryption context is not what was encrypted.
        InvalidCiphertext = "InvalidCiphertextException",
        /// The KMS key is not for this.
        InvalidKeyUsage = "InvalidKeyUsageException",
        /// The marker is not one that a page of this list gave.
        InvalidMarker = "InvalidMarkerException",
        /// The KMS key is being changed at this moment. Retry.
        KeyUnavailable = "KeyUnavailableException",
        /// Something failed inside. Retry.
        KmsInternal = "KMSInternalException",
        /// The state of the KMS key does not allow this; or, for the use of a key in a custom key store, whatever the key
        /// manager answers.
        KmsInvalidState = "KMSInvalidStateException",
        /// There would be too many of something.
        LimitExceeded = "LimitExceededException",
        /// There is no such KMS key or alias.
        NotFound = "NotFoundException",
        /// The tags are not legal together.
        Tag = "TagException",
        /// Too many calls in too short a time. Slow down.
        Throttling = "ThrottlingException",
        /// This is not supported, or not for such a resource.
        UnsupportedOperation = "UnsupportedOperationException",
        /// A member of the request breaks its rule.
        Validation = "ValidationException",
        /// Another KMS key of the store refers to the external key.
        XksKeyAlreadyInUse = "XksKeyAlreadyInUseException",
        /// The external key is not an enabled AES-256 key that may encrypt and decrypt.
        XksKeyInvalidConfiguration = "XksKeyInvalidConfigurationException",
        /// The external key manager has no such key.
        XksKeyNotFound = "XksKeyNotFoundException",
        /// The proxy does not accept the credential.
        XksProxyIncorrectAuthenticationCredential = "XksProxyIncorrectAuthenticationCredentialException",
        /// The proxy is not set up as it must be.
        XksProxyInvalidConfiguration = "XksProxyInvalidConfigurationException",
        /// The proxy's answer makes no sense.
        XksProxyInvalidResponse = "XksProxyInvalidResponseException",
        /// The endpoint belongs to a custom key store with which it cannot be shared.
        XksProxyUriEndpointInUse = "XksProxyUriEndpointInUseException",
        /// Endpoint and path belong to another custom key store.
        XksProxyUriInUse = "XksProxyUriInUseException",
        /// The proxy cannot be reached.
        XksProxyUriUnreachable = "XksProxyUriUnreachableException",
        /// The endpoint service belongs to another custom key store.
        XksProxyVpcEndpointServiceInUse = "XksProxyVpcEndpointServiceInUseException",
        /// The endpoint service is not set up as it must be.
        XksProxyVpcEndpointServiceInvalidConfiguration = "XksProxyVpcEndpointServiceInvalidConfigurationException",
        /// There is no such endpoint service, or it does not let in who calls.
        XksProxyVpcEndpointServiceNotFound = "XksProxyVpcEndpointServiceNotFoundException",
    }
}

impl Exception {
    /// Whether the fault is on the side that serves, so that the same call may succeed later.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::DependencyTimeout | Self::KeyUnavailable | Self::KmsInternal)
    }
}
