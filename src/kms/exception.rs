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

    /// Whether any operation may answer it, whatever is documented for it alone: AWS's common errors.
    #[must_use]
    pub const fn is_common(self) -> bool {
        matches!(self, Self::AccessDenied | Self::Throttling | Self::Validation)
    }

    /// What whoever called can do about it, where nothing more is known than this name.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::AccessDenied => "have whoever keeps the rules allow it, or call as somebody who may",
            Self::AlreadyExists => "choose another alias, or move this one with UpdateAlias",
            Self::CloudHsmClusterInUse => {
                "name another cluster, or delete the custom key store that has this one"
            }
            Self::CloudHsmClusterInvalidConfiguration => {
                "give the cluster two active HSMs in different Availability Zones, private subnets in two, and the ports 2223 to \
                 2225 within its security group"
            }
            Self::CloudHsmClusterNotActive => "initialize and activate the cluster, and try again",
            Self::CloudHsmClusterNotFound => "check the CloudHsmClusterId, and its account and Region",
            Self::CloudHsmClusterNotRelated => {
                "name the same cluster, or one that was made from a backup of it, with the same certificate"
            }
            Self::CustomKeyStoreHasCmks => {
                "schedule the deletion of its KMS keys, and delete it when their time has passed"
            }
            Self::CustomKeyStoreInvalidState => {
                "look at its ConnectionState with DescribeCustomKeyStores, and connect or disconnect it first"
            }
            Self::CustomKeyStoreNameInUse => "choose another CustomKeyStoreName",
            Self::CustomKeyStoreNotFound => "find the id with DescribeCustomKeyStores",
            Self::DependencyTimeout => "try again, with growing pauses",
            Self::Disabled => "enable the KMS key with EnableKey, or use another",
            Self::DryRunOperation => "leave DryRun out to have it done",
            Self::IncorrectKey => {
                "name the KMS key that the ciphertext was encrypted under, or none: the ciphertext names it"
            }
            Self::IncorrectTrustAnchor => "give the customerCA.crt with which this cluster was initialized",
            Self::InvalidAliasName => "name it alias/ and 1 to 250 of A-Z a-z 0-9 / _ -, and not alias/aws/",
            Self::InvalidArn => {
                "give the id of the KMS key, or its ARN: arn:partition:kms:region:account:key/ and the id"
            }
            Self::InvalidCiphertext => {
                "give the whole CiphertextBlob as it was answered, and the encryption context that it was encrypted with"
            }
            Self::InvalidKeyUsage => "leave the algorithm out, or name SYMMETRIC_DEFAULT",
            Self::InvalidMarker => {
                "give the NextMarker of the page before it, of the same list, or list again from the beginning"
            }
            Self::KeyUnavailable | Self::KmsInternal => {
                "try again, with growing pauses; if it stays, whoever operates this finds the cause in its log by the request id"
            }
            Self::KmsInvalidState => "look at the KeyState with DescribeKey",
            Self::LimitExceeded => "delete what is not needed any more, or have the limit raised",
            Self::NotFound => {
                "check the id, its Region and account; ListKeys and ListAliases show what is there"
            }
            Self::Tag => "give at most 50 tags, each key once, and no key that begins with aws: among them",
            Self::Throttling => "try again, slower, with growing pauses",
            Self::UnsupportedOperation => {
                "leave out what is named, or do without it: custom key stores do not have it"
            }
            Self::Validation => "correct what is named",
            Self::XksKeyAlreadyInUse => "name another external key, or use the KMS key that there is of it",
            Self::XksKeyInvalidConfiguration => {
                "have the external key be an enabled AES-256 key that may encrypt and decrypt"
            }
            Self::XksKeyNotFound => {
                "check the XksKeyId, and that the external key manager offers the key at this path"
            }
            Self::XksProxyIncorrectAuthenticationCredential => {
                "give the AccessKeyId and RawSecretAccessKey that the proxy has for this path"
            }
            Self::XksProxyInvalidConfiguration => {
                "check the XksProxyUriPath, and the proxy's certificate and its rules of access"
            }
            Self::XksProxyInvalidResponse => "try again; if it stays, tell whoever makes the proxy",
            Self::XksProxyUriEndpointInUse => {
                "name another XksProxyUriEndpoint, or delete the custom key store that has it"
            }
            Self::XksProxyUriInUse => {
                "name another XksProxyUriPath or XksProxyUriEndpoint, or delete the custom key store that has these"
            }
            Self::XksProxyUriUnreachable => {
                "check that the proxy runs, that endpoint and path are right, and the network between"
            }
            Self::XksProxyVpcEndpointServiceInUse => {
                "name another XksProxyVpcEndpointServiceName, or delete the custom key store that has it"
            }
            Self::XksProxyVpcEndpointServiceInvalidConfiguration => {
                "set the endpoint service up as external key stores need it, and try again"
            }
            Self::XksProxyVpcEndpointServiceNotFound => {
                "check the XksProxyVpcEndpointServiceName and its Region, and let the service admit who calls"
            }
        }
    }
}
