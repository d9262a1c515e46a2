//! What AWS's model says that each operation may answer. (AWS KMS custom key stores, facts 1.3 to 1.5, 4.2, 6.3)

use custom_key_store::kms::Action::{self, *};
use custom_key_store::kms::Exception::{self, *};

/// Of each operation its exceptions, but for those that any may answer.
pub(super) const MODEL: &[(Action, &[Exception])] = &[
    (
        CreateCustomKeyStore,
        &[
            CloudHsmClusterInUse,
            CloudHsmClusterInvalidConfiguration,
            CloudHsmClusterNotActive,
            CloudHsmClusterNotFound,
            CustomKeyStoreNameInUse,
            IncorrectTrustAnchor,
            KmsInternal,
            LimitExceeded,
            XksProxyIncorrectAuthenticationCredential,
            XksProxyInvalidConfiguration,
            XksProxyInvalidResponse,
            XksProxyUriEndpointInUse,
            XksProxyUriInUse,
            XksProxyUriUnreachable,
            XksProxyVpcEndpointServiceInUse,
            XksProxyVpcEndpointServiceInvalidConfiguration,
            XksProxyVpcEndpointServiceNotFound,
        ],
    ),
    (
        UpdateCustomKeyStore,
        &[
            CloudHsmClusterInvalidConfiguration,
            CloudHsmClusterNotActive,
            CloudHsmClusterNotFound,
            CloudHsmClusterNotRelated,
            CustomKeyStoreInvalidState,
            CustomKeyStoreNameInUse,
            CustomKeyStoreNotFound,
            KmsInternal,
            XksProxyIncorrectAuthenticationCredential,
            XksProxyInvalidConfiguration,
            XksProxyInvalidResponse,
            XksProxyUriEndpointInUse,
            XksProxyUriInUse,
            XksProxyUriUnreachable,
            XksProxyVpcEndpointServiceInUse,
            XksProxyVpcEndpointServiceInvalidConfiguration,
            XksProxyVpcEndpointServiceNotFound,
        ],
    ),
    (
        ConnectCustomKeyStore,
        &[
            CloudHsmClusterInvalidConfiguration,
            CloudHsmClusterNotActive,
            CustomKeyStoreInvalidState,
            CustomKeyStoreNotFound,
            KmsInternal,
        ],
    ),
    (DisconnectCustomKeyStore, &[CustomKeyStoreInvalidState, CustomKeyStoreNotFound, KmsInternal]),
    (
        DeleteCustomKeyStore,
        &[CustomKeyStoreHasCmks, CustomKeyStoreInvalidState, CustomKeyStoreNotFound, KmsInternal],
    ),
    (DescribeCustomKeyStores, &[CustomKeyStoreNotFound, InvalidMarker, KmsInternal]),
    (
        CreateKey,
        &[
            CloudHsmClusterInvalidConfiguration,
            CustomKeyStoreInvalidState,
            CustomKeyStoreNotFound,
            DependencyTimeout,
            InvalidArn,
            KmsInternal,
            LimitExceeded,
            Tag,
            UnsupportedOperation,
            XksKeyAlreadyInUse,
            XksKeyInvalidConfiguration,
            XksKeyNotFound,
        ],
    ),
    (Encrypt, USE),
    (GenerateDataKey, USE),
    (GenerateDataKeyWithoutPlaintext, USE),
    (Decrypt, USE_OF_A_BLOB),
    (ReEncrypt, USE_OF_A_BLOB),
    (
        GenerateRandom,
        &[
            CustomKeyStoreInvalidState,
            CustomKeyStoreNotFound,
            DependencyTimeout,
            KmsInternal,
            UnsupportedOperation,
        ],
    ),
    (DescribeKey, &[DependencyTimeout, InvalidArn, KmsInternal, NotFound]),
    (ListKeys, &[DependencyTimeout, InvalidMarker, KmsInternal]),
    (EnableKey, &[DependencyTimeout, InvalidArn, KmsInternal, KmsInvalidState, LimitExceeded, NotFound]),
    (DisableKey, CHANGE),
    (ScheduleKeyDeletion, CHANGE),
    (CancelKeyDeletion, CHANGE),
    (UpdateKeyDescription, CHANGE),
    (
        CreateAlias,
        &[
            AlreadyExists,
            DependencyTimeout,
            InvalidAliasName,
            KmsInternal,
            KmsInvalidState,
            LimitExceeded,
            NotFound,
        ],
    ),
    (UpdateAlias, &[DependencyTimeout, KmsInternal, KmsInvalidState, LimitExceeded, NotFound]),
    (DeleteAlias, &[DependencyTimeout, KmsInternal, KmsInvalidState, NotFound]),
    (ListAliases, &[DependencyTimeout, InvalidArn, InvalidMarker, KmsInternal, NotFound]),
    (TagResource, &[InvalidArn, KmsInternal, KmsInvalidState, LimitExceeded, NotFound, Tag]),
    (UntagResource, &[InvalidArn, KmsInternal, KmsInvalidState, NotFound, Tag]),
    (ListResourceTags, &[InvalidArn, InvalidMarker, KmsInternal, NotFound]),
    (GetKeyPolicy, CHANGE),
    (ListKeyPolicies, CHANGE),
];

const USE: &[Exception] = &[
    DependencyTimeout,
    Disabled,
    DryRunOperation,
    InvalidKeyUsage,
    KeyUnavailable,
    KmsInternal,
    KmsInvalidState,
    NotFound,
];

const USE_OF_A_BLOB: &[Exception] = &[
    DependencyTimeout,
    Disabled,
    DryRunOperation,
    IncorrectKey,
    InvalidCiphertext,
    InvalidKeyUsage,
    KeyUnavailable,
    KmsInternal,
    KmsInvalidState,
    NotFound,
];

const CHANGE: &[Exception] = &[DependencyTimeout, InvalidArn, KmsInternal, KmsInvalidState, NotFound];

/// What any operation may answer: AWS's common errors.
pub(super) const COMMON: &[Exception] = &[AccessDenied, Throttling, Validation];

/// What is modelled and never comes, of these operations (of all, where none is named), and why.
pub(super) const NEVER: &[(Exception, &[Action], &str)] = &[
    (InvalidArn, &[], "a `KeyRef` names a key; over HTTP ARNs of something else can be sent"),
    (InvalidKeyUsage, &[], "keys have one usage, which the types say; over HTTP others can be named"),
    (InvalidAliasName, &[], "an `AliasName` is a legal one; over HTTP others can be sent"),
    (KeyUnavailable, &[], "whoever uses a key waits for nobody who changes it"),
    (
        LimitExceeded,
        &[CreateKey, EnableKey, CreateAlias, UpdateAlias, TagResource],
        "there are no quotas of keys and aliases, and too many tags are a TagException",
    ),
    (
        KmsInvalidState,
        &[DeleteAlias, GetKeyPolicy, ListKeyPolicies],
        "they succeed in every state of a key, as 5.4 has it",
    ),
    (Tag, &[UntagResource], "a `TagKey` is a legal one; over HTTP others can be sent"),
    (
        InvalidMarker,
        &[ListResourceTags],
        "a key has so few tags that there is one page; over HTTP there is a marker",
    ),
];
