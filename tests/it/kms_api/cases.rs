//! AWS's model of the operations that are had, described a second time: what each request may hold, one that succeeds, and
//! the members of its answer.

use serde_json::{Value, json};

use super::support::{Rig, arn};
use super::values::Kind::{self, *};

/// One way to call an operation.
pub(super) struct Case {
    pub(super) operation: &'static str,
    /// Name, kind, whether it is needed.
    pub(super) members: Vec<(&'static str, Kind, bool)>,
    /// A request that succeeds.
    pub(super) request: Value,
    /// The members of the answer, dots between those of objects.
    pub(super) answer: &'static [&'static str],
}

const ALGORITHMS: Kind = Word(&["SYMMETRIC_DEFAULT"]);
const SYMMETRIC: Kind = Word(&["SYMMETRIC_DEFAULT"]);
const STORE: &[&str] = &[
    "CustomKeyStoreId",
    "CustomKeyStoreName",
    "CustomKeyStoreType",
    "CreationDate",
    "ConnectionState",
    "XksProxyConfiguration.Connectivity",
    "XksProxyConfiguration.AccessKeyId",
    "XksProxyConfiguration.UriEndpoint",
    "XksProxyConfiguration.UriPath",
];

macro_rules! key_metadata {
    ($($more:literal),*) => {
        &[
            "KeyMetadata.AWSAccountId",
            "KeyMetadata.KeyId",
            "KeyMetadata.Arn",
            "KeyMetadata.CreationDate",
            "KeyMetadata.Enabled",
            "KeyMetadata.Description",
            "KeyMetadata.KeyUsage",
            "KeyMetadata.KeyState",
            "KeyMetadata.Origin",
            "KeyMetadata.CustomKeyStoreId",
            "KeyMetadata.KeyManager",
            "KeyMetadata.CustomerMasterKeySpec",
            "KeyMetadata.KeySpec",
            "KeyMetadata.EncryptionAlgorithms[]",
            "KeyMetadata.MultiRegion",
            $($more),*
        ]
    };
}

fn case(
    operation: &'static str,
    members: &[(&'static str, Kind, bool)],
    request: Value,
    answer: &'static [&'static str],
) -> Case {
    Case { operation, members: members.to_vec(), request, answer }
}

/// Every operation that is had, at least once.
pub(super) fn cases(rig: &Rig) -> Vec<Case> {
    let mut cases = stores(rig);
    cases.extend(keys(rig));
    cases.extend(names_and_tags(rig));
    cases.extend(crypto(rig));
    cases
}

fn stores(rig: &Rig) -> Vec<Case> {
    let credential = json!({ "AccessKeyId": "AKIDOFATEST222222222", "RawSecretAccessKey": "s".repeat(43) });
    let external = json!({
        "CustomKeyStoreName": "new", "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT", "XksProxyAuthenticationCredential": credential,
        "XksProxyUriEndpoint": "https://xks.example.com", "XksProxyUriPath": "/new/kms/xks/v1",
    });
    let mut behind_service = external.clone();
    behind_service["XksProxyConnectivity"] = json!("VPC_ENDPOINT_SERVICE");
    behind_service["XksProxyUriEndpoint"] = json!("https://service.example.com");
    behind_service["XksProxyVpcEndpointServiceName"] =
        json!("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0");
    behind_service["XksProxyVpcEndpointServiceOwner"] = json!("444455556666");
    let external_members: &[(&str, Kind, bool)] = &[
        ("CustomKeyStoreName", StoreName, true),
        ("CustomKeyStoreType", Word(&["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"]), false),
        ("XksProxyConnectivity", Word(&["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"]), true),
        ("XksProxyAuthenticationCredential", Credential, true),
        ("XksProxyUriEndpoint", Endpoint, true),
        ("XksProxyUriPath", UriPath, true),
    ];
    let service_members: &[(&str, Kind, bool)] = &[
        ("XksProxyVpcEndpointServiceName", ServiceName, true),
        ("XksProxyVpcEndpointServiceOwner", Account, false),
    ];
    vec![
        case("CreateCustomKeyStore", external_members, external, &["CustomKeyStoreId"]),
        case("CreateCustomKeyStore", service_members, behind_service, &["CustomKeyStoreId"]),
        case(
            "CreateCustomKeyStore",
            &[
                ("CustomKeyStoreName", StoreName, true),
                ("CloudHsmClusterId", ClusterId, true),
                ("KeyStorePassword", Password, true),
                ("TrustAnchorCertificate", Certificate, true),
            ],
            json!({
                "CustomKeyStoreName": "new", "CloudHsmClusterId": "cluster-abcdefghij4",
                "KeyStorePassword": "correcthorse", "TrustAnchorCertificate": "-----BEGIN CERTIFICATE-----\n",
            }),
            &["CustomKeyStoreId"],
        ),
        store("ConnectCustomKeyStore", &rig.spare),
        store("DisconnectCustomKeyStore", &rig.store),
        store("DeleteCustomKeyStore", &rig.spare),
        case(
            "DescribeCustomKeyStores",
            &[("CustomKeyStoreId", StoreId, false)],
            json!({ "CustomKeyStoreId": rig.store }),
            &["CustomKeyStores[]", "Truncated"],
        ),
        case(
            "DescribeCustomKeyStores",
            &[
                ("CustomKeyStoreName", KnownStoreName, false),
                ("Limit", Integer(1, 1000), false),
                ("Marker", Marker, false),
            ],
            json!({ "CustomKeyStoreName": "payroll", "Limit": 10 }),
            &["CustomKeyStores[]", "Truncated"],
        ),
        case(
            "UpdateCustomKeyStore",
            &[
                ("CustomKeyStoreId", StoreId, true),
                ("NewCustomKeyStoreName", StoreName, false),
                ("XksProxyAuthenticationCredential", Credential, false),
                ("XksProxyUriEndpoint", Endpoint, true),
                ("XksProxyUriPath", UriPath, false),
                ("XksProxyConnectivity", Word(&["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"]), true),
                ("XksProxyVpcEndpointServiceName", ServiceName, true),
                ("XksProxyVpcEndpointServiceOwner", Account, false),
            ],
            json!({
                "CustomKeyStoreId": rig.spare, "NewCustomKeyStoreName": "other",
                "XksProxyAuthenticationCredential": credential,
                "XksProxyUriEndpoint": "https://other.example.com", "XksProxyUriPath": "/other/kms/xks/v1",
                "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                "XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
                "XksProxyVpcEndpointServiceOwner": "444455556666",
            }),
            &[],
        ),
        case(
            "UpdateCustomKeyStore",
            &[("KeyStorePassword", Password, false), ("CloudHsmClusterId", ClusterId, false)],
            json!({
                "CustomKeyStoreId": rig.spare_cluster, "KeyStorePassword": "correcthorse",
                "CloudHsmClusterId": "cluster-abcdefghij5",
            }),
            &[],
        ),
    ]
}

fn store(operation: &'static str, store: &custom_key_store::StoreId) -> Case {
    case(operation, &[("CustomKeyStoreId", StoreId, true)], json!({ "CustomKeyStoreId": store }), &[])
}

fn keys(rig: &Rig) -> Vec<Case> {
    let key = |operation, request| case(operation, &[("KeyId", Key, true)], request, &[]);
    let this = json!({ "KeyId": arn(&rig.key) });
    vec![
        case(
            "CreateKey",
            &[
                ("CustomKeyStoreId", StoreId, false),
                ("Origin", Word(&["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"]), true),
                ("XksKeyId", XksKeyId, true),
                ("Description", Free(0, 8192), false),
                ("Tags", Tags, false),
                ("KeyUsage", Word(&["ENCRYPT_DECRYPT"]), false),
                ("KeySpec", SYMMETRIC, false),
                ("MultiRegion", Boolean, false),
                ("BypassPolicyLockoutSafetyCheck", Boolean, false),
            ],
            json!({
                "CustomKeyStoreId": rig.store, "Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "free",
                "Description": "a key \u{1f511}\u{0}", "Tags": [{ "TagKey": "a", "TagValue": "" }],
                "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "MultiRegion": false,
                "BypassPolicyLockoutSafetyCheck": true,
            }),
            key_metadata!("KeyMetadata.XksKeyConfiguration.Id"),
        ),
        case(
            "CreateKey",
            &[("CustomerMasterKeySpec", SYMMETRIC, false)],
            json!({
                "CustomKeyStoreId": rig.cluster, "Origin": "AWS_CLOUDHSM",
                "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            }),
            key_metadata!("KeyMetadata.CloudHsmClusterId"),
        ),
        case(
            "DescribeKey",
            &[("KeyId", Key, true)],
            json!({ "KeyId": arn(&rig.pending), "GrantTokens": [] }),
            key_metadata!("KeyMetadata.DeletionDate", "KeyMetadata.XksKeyConfiguration.Id"),
        ),
        case(
            "ListKeys",
            &[
                ("Limit", Integer(1, 1000), false),
                ("Marker", Marker, false),
                ("ResourceOwners", Owners, false),
            ],
            json!({ "Limit": 1, "ResourceOwners": ["SELF"] }),
            &["Keys[].KeyId", "Keys[].KeyArn", "NextMarker", "Truncated"],
        ),
        key("EnableKey", this.clone()),
        key("DisableKey", this.clone()),
        case(
            "ScheduleKeyDeletion",
            &[("KeyId", Key, true), ("PendingWindowInDays", Integer(7, 30), false)],
            json!({ "KeyId": rig.key.key_id, "PendingWindowInDays": 7 }),
            &["KeyId", "DeletionDate", "KeyState", "PendingWindowInDays"],
        ),
        case("CancelKeyDeletion", &[("KeyId", Key, true)], json!({ "KeyId": arn(&rig.pending) }), &["KeyId"]),
        case(
            "UpdateKeyDescription",
            &[("KeyId", Key, true), ("Description", Free(0, 8192), true)],
            json!({ "KeyId": arn(&rig.key), "Description": "" }),
            &[],
        ),
        case(
            "GetKeyPolicy",
            &[("KeyId", Key, true), ("PolicyName", PolicyName, false)],
            json!({ "KeyId": arn(&rig.key), "PolicyName": "default" }),
            &["Policy", "PolicyName"],
        ),
        case(
            "ListKeyPolicies",
            &[("KeyId", Key, true), ("Limit", Integer(1, 1000), false), ("Marker", Marker, false)],
            this,
            &["PolicyNames[]", "Truncated"],
        ),
    ]
}

fn names_and_tags(rig: &Rig) -> Vec<Case> {
    let this = arn(&rig.key);
    vec![
        case(
            "CreateAlias",
            &[("AliasName", Alias("InvalidAliasNameException"), true), ("TargetKeyId", Target, true)],
            json!({ "AliasName": "alias/new", "TargetKeyId": this }),
            &[],
        ),
        case(
            "UpdateAlias",
            &[("AliasName", Alias("NotFoundException"), true), ("TargetKeyId", Target, true)],
            json!({ "AliasName": "alias/payroll", "TargetKeyId": this }),
            &[],
        ),
        case(
            "DeleteAlias",
            &[("AliasName", Alias("NotFoundException"), true)],
            json!({ "AliasName": "alias/payroll" }),
            &[],
        ),
        case(
            "ListAliases",
            &[("KeyId", Key, false), ("Limit", Integer(1, 1000), false), ("Marker", Marker, false)],
            json!({ "KeyId": this }),
            &[
                "Aliases[].AliasName",
                "Aliases[].AliasArn",
                "Aliases[].TargetKeyId",
                "Aliases[].CreationDate",
                "Aliases[].LastUpdatedDate",
                "Truncated",
            ],
        ),
        case(
            "TagResource",
            &[("KeyId", Key, true), ("Tags", Tags, true)],
            json!({ "KeyId": this, "Tags": [{ "TagKey": "a", "TagValue": "b" }] }),
            &[],
        ),
        case(
            "UntagResource",
            &[("KeyId", Key, true), ("TagKeys", TagKeys, true)],
            json!({ "KeyId": this, "TagKeys": ["team", "nobody's"] }),
            &[],
        ),
        case(
            "ListResourceTags",
            &[("KeyId", Key, true), ("Limit", Integer(1, 1000), false), ("Marker", Marker, false)],
            json!({ "KeyId": this, "Limit": 1 }),
            &["Tags[].TagKey", "Tags[].TagValue", "NextMarker", "Truncated"],
        ),
    ]
}

fn crypto(rig: &Rig) -> Vec<Case> {
    let this = arn(&rig.key);
    let data_key: &[(&str, Kind, bool)] = &[
        ("KeyId", Key, true),
        ("KeySpec", Word(&["AES_256", "AES_128"]), true),
        ("EncryptionContext", Context, false),
        ("DryRun", Boolean, false),
    ];
    let data_key_of: &[(&str, Kind, bool)] = &[("NumberOfBytes", Integer(1, 1024), true)];
    let of_spec =
        json!({ "KeyId": "alias/payroll", "KeySpec": "AES_256", "EncryptionContext": { "a": "b" } });
    let of_bytes = json!({ "KeyId": this, "NumberOfBytes": 1024 });
    let random = &["Plaintext"];
    vec![
        case(
            "Encrypt",
            &[
                ("KeyId", Key, true),
                ("Plaintext", Blob(4096), true),
                ("EncryptionContext", Context, false),
                ("EncryptionAlgorithm", ALGORITHMS, false),
                ("DryRun", Boolean, false),
            ],
            json!({
                "KeyId": this, "Plaintext": "AA==", "EncryptionContext": {}, "GrantTokens": [],
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DryRun": false,
            }),
            &["CiphertextBlob", "KeyId", "EncryptionAlgorithm"],
        ),
        case(
            "Decrypt",
            &[
                ("CiphertextBlob", Blob(6144), true),
                ("KeyId", Key, false),
                ("EncryptionContext", Context, false),
                ("EncryptionAlgorithm", ALGORITHMS, false),
                ("DryRun", Boolean, false),
            ],
            json!({
                "CiphertextBlob": rig.blob, "KeyId": "alias/payroll", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                "DryRunModifiers": [],
            }),
            &["KeyId", "Plaintext", "EncryptionAlgorithm"],
        ),
        case(
            "ReEncrypt",
            &[
                ("CiphertextBlob", Blob(6144), true),
                ("SourceKeyId", Key, false),
                ("SourceEncryptionContext", Context, false),
                ("DestinationKeyId", Key, true),
                ("DestinationEncryptionContext", Context, false),
                ("SourceEncryptionAlgorithm", ALGORITHMS, false),
                ("DestinationEncryptionAlgorithm", ALGORITHMS, false),
                ("DryRun", Boolean, false),
            ],
            json!({
                "CiphertextBlob": rig.blob, "SourceKeyId": this, "DestinationKeyId": this,
                "DestinationEncryptionContext": { "a": "b" },
            }),
            &[
                "CiphertextBlob",
                "SourceKeyId",
                "KeyId",
                "SourceEncryptionAlgorithm",
                "DestinationEncryptionAlgorithm",
            ],
        ),
        case("GenerateDataKey", data_key, of_spec.clone(), &["CiphertextBlob", "Plaintext", "KeyId"]),
        case("GenerateDataKey", data_key_of, of_bytes.clone(), &["CiphertextBlob", "Plaintext", "KeyId"]),
        case("GenerateDataKeyWithoutPlaintext", data_key, of_spec, &["CiphertextBlob", "KeyId"]),
        case("GenerateDataKeyWithoutPlaintext", data_key_of, of_bytes, &["CiphertextBlob", "KeyId"]),
        case(
            "GenerateRandom",
            &[("NumberOfBytes", Integer(1, 1024), true)],
            json!({ "NumberOfBytes": 1 }),
            random,
        ),
        case(
            "GenerateRandom",
            &[("CustomKeyStoreId", StoreId, false)],
            json!({ "NumberOfBytes": 1024, "CustomKeyStoreId": rig.cluster }),
            random,
        ),
    ]
}

/// The members of an entry of `DescribeCustomKeyStores`.
pub(super) fn members_of_a_store() -> &'static [&'static str] {
    STORE
}
