//! What is done with the keys of a store, in each of its connection states. (AWS KMS custom key stores, facts 2.3)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::KeyState::{Disabled, Enabled, PendingDeletion};
use serde_json::{Value, json};

use super::table::{
    HAS_CMKS, ISE, KISE, OK, Seen, StoreRow, UNSUPPORTED, becomes, both, cloud_hsm, external, unsupported,
};
use super::world::{ALIAS, FREE, OTHER_ALIAS, World};

/// What the operations of one policy for every key, and of no grants, deviate from.
const POLICY: &str = "one fixed policy is shown, since one that is kept and not enforced would be a lie";
const GRANTS: &str = "there are no grants, since one that is kept and not enforced would be a lie";

pub(super) fn of_key(world: &World) -> Value {
    json!({ "KeyId": world.key() })
}

pub(super) fn of_plaintext(world: &World) -> Value {
    json!({ "KeyId": world.key(), "Plaintext": STANDARD.encode(b"attack at dawn") })
}

pub(super) fn of_blob(world: &World) -> Value {
    json!({ "CiphertextBlob": world.blob() })
}

pub(super) fn into_key(world: &World) -> Value {
    json!({ "CiphertextBlob": world.blob_elsewhere(), "DestinationKeyId": world.key() })
}

pub(super) fn out_of_key(world: &World) -> Value {
    json!({ "CiphertextBlob": world.blob(), "DestinationKeyId": world.elsewhere() })
}

pub(super) fn of_data_key(world: &World) -> Value {
    json!({ "KeyId": world.key(), "KeySpec": "AES_256" })
}

pub(super) fn of_tags(world: &World) -> Value {
    json!({ "KeyId": world.key(), "Tags": [{ "TagKey": "new", "TagValue": "tag" }] })
}

pub(super) fn of_tag_keys(world: &World) -> Value {
    json!({ "KeyId": world.key(), "TagKeys": ["team"] })
}

pub(super) fn of_description(world: &World) -> Value {
    json!({ "KeyId": world.key(), "Description": "new" })
}

pub(super) fn of_new_alias(world: &World) -> Value {
    json!({ "AliasName": "alias/new", "TargetKeyId": world.key() })
}

pub(super) fn to_key(world: &World) -> Value {
    json!({ "AliasName": OTHER_ALIAS, "TargetKeyId": world.key() })
}

pub(super) fn away_from_key(world: &World) -> Value {
    json!({ "AliasName": ALIAS, "TargetKeyId": world.other() })
}

/// That the key is found by this alias.
pub(super) fn shows_alias(alias: &str, key: custom_key_store::KeyId) -> Seen {
    let body = json!({ "KeyId": alias });
    Seen { operation: "DescribeKey", body, pointer: "/KeyMetadata/KeyId", value: json!(key) }
}

pub(super) fn shows_tags(world: &World, value: Value) -> Seen {
    Seen { operation: "ListResourceTags", body: of_key(world), pointer: "/Tags", value }
}

pub(super) fn shows_description(world: &World) -> Seen {
    Seen {
        operation: "DescribeKey",
        body: of_key(world),
        pointer: "/KeyMetadata/Description",
        value: "new".into(),
    }
}

/// Of stores with keys that are enabled.
///
/// `DISCONNECTED`, `CONNECTING`, `CONNECTED`, `DISCONNECTING`, `FAILED`.
pub(super) const USES: &[StoreRow] = &[
    // Delete of a store that has keys (2.1): where two names would do, the state comes first.
    both(
        "DeleteCustomKeyStore",
        "with keys",
        |w| json!({ "CustomKeyStoreId": w.store }),
        [HAS_CMKS, ISE, ISE, ISE, ISE],
    ),
    // CreateKey in the store
    cloud_hsm(
        "CreateKey",
        "",
        |w| json!({ "CustomKeyStoreId": w.store, "Origin": "AWS_CLOUDHSM" }),
        [ISE, ISE, OK, ISE, ISE],
    ),
    external(
        "CreateKey",
        "",
        |w| json!({ "CustomKeyStoreId": w.store, "Origin": "EXTERNAL_KEY_STORE", "XksKeyId": FREE }),
        [ISE, ISE, OK, ISE, ISE],
    ),
    // Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext
    both("Encrypt", "", of_plaintext, [KISE, KISE, OK, KISE, KISE]),
    both("Decrypt", "", of_blob, [KISE, KISE, OK, KISE, KISE]),
    both("ReEncrypt", "into the store", into_key, [KISE, KISE, OK, KISE, KISE]),
    both("ReEncrypt", "out of the store", out_of_key, [KISE, KISE, OK, KISE, KISE]),
    both("GenerateDataKey", "", of_data_key, [KISE, KISE, OK, KISE, KISE]),
    both("GenerateDataKeyWithoutPlaintext", "", of_data_key, [KISE, KISE, OK, KISE, KISE]),
    // GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext
    unsupported("GenerateDataKeyPair", of_pair, UNSUPPORTED),
    unsupported("GenerateDataKeyPairWithoutPlaintext", of_pair, UNSUPPORTED),
    // GenerateRandom with this store; without one it is nobody's
    cloud_hsm("GenerateRandom", "of the store", of_random, [ISE, ISE, OK, ISE, ISE]),
    external("GenerateRandom", "of the store", of_random, [UNSUPPORTED; 5]),
    both("GenerateRandom", "of no store", |_| json!({ "NumberOfBytes": 32 }), [OK; 5]),
    // DescribeKey, ListKeys, ListAliases, GetKeyPolicy, ListGrants, ListResourceTags
    both("DescribeKey", "by id", of_key, [OK; 5]),
    both("DescribeKey", "by alias", |_| json!({ "KeyId": ALIAS }), [OK; 5]),
    both("ListKeys", "", |_| json!({}), [OK; 5]),
    both("ListAliases", "of all", |_| json!({}), [OK; 5]),
    both("ListAliases", "of the key", of_key, [OK; 5]),
    both("GetKeyPolicy", "", of_key, [OK.apart(POLICY); 5]),
    both("ListKeyPolicies", "", of_key, [OK.apart(POLICY); 5]),
    unsupported("ListGrants", of_key, UNSUPPORTED.apart(GRANTS)),
    both("ListResourceTags", "", of_key, [OK; 5]),
    // PutKeyPolicy, CreateAlias, UpdateAlias, DeleteAlias, TagResource, UntagResource, UpdateKeyDescription,
    // CreateGrant, RetireGrant, RevokeGrant
    unsupported("PutKeyPolicy", of_policy, UNSUPPORTED.apart(POLICY)),
    both("CreateAlias", "", of_new_alias, [OK; 5]).seen(|w| shows_alias("alias/new", w.key())),
    both("UpdateAlias", "to the key", to_key, [OK; 5]).seen(|w| shows_alias(OTHER_ALIAS, w.key())),
    both("UpdateAlias", "away from the key", away_from_key, [OK; 5]).seen(|w| shows_alias(ALIAS, w.other())),
    both("DeleteAlias", "", |_| json!({ "AliasName": ALIAS }), [OK; 5]).seen(shows_no_alias),
    both("TagResource", "", of_tags, [OK; 5]).seen(|w| {
        let team = json!({ "TagKey": "team", "TagValue": "payroll" });
        shows_tags(w, json!([{ "TagKey": "new", "TagValue": "tag" }, team]))
    }),
    both("UntagResource", "", of_tag_keys, [OK; 5]).seen(|w| shows_tags(w, json!([]))),
    both("UpdateKeyDescription", "", of_description, [OK; 5]).seen(shows_description),
    unsupported("CreateGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    unsupported("RetireGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    unsupported("RevokeGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    unsupported("ListRetirableGrants", of_grant, UNSUPPORTED.apart(GRANTS)),
    // EnableKey, DisableKey: deferred while the store is not connected
    both("EnableKey", "", of_key, [becomes(Enabled); 5]),
    both("DisableKey", "", of_key, [becomes(Disabled); 5]),
    // ScheduleKeyDeletion; CancelKeyDeletion of a key that is to be deleted is in 5.4, there too in each state
    both("ScheduleKeyDeletion", "", of_key, [becomes(PendingDeletion); 5]),
    both("CancelKeyDeletion", "of none", of_key, [KISE; 5]),
    // Rotation calls
    unsupported("EnableKeyRotation", of_key, UNSUPPORTED),
    unsupported("DisableKeyRotation", of_key, UNSUPPORTED),
    unsupported("GetKeyRotationStatus", of_key, UNSUPPORTED),
    unsupported("RotateKeyOnDemand", of_key, UNSUPPORTED),
    unsupported("ListKeyRotations", of_key, UNSUPPORTED),
    // What keys of a custom key store are never for (5.6, and 5.4 where it says "not applicable")
    unsupported("GetParametersForImport", of_key, UNSUPPORTED),
    unsupported("ImportKeyMaterial", of_key, UNSUPPORTED),
    unsupported("DeleteImportedKeyMaterial", of_key, UNSUPPORTED),
    unsupported("ReplicateKey", of_key, UNSUPPORTED),
    unsupported("UpdatePrimaryRegion", of_key, UNSUPPORTED),
    unsupported("GetPublicKey", of_key, UNSUPPORTED),
    unsupported("Sign", of_key, UNSUPPORTED),
    unsupported("Verify", of_key, UNSUPPORTED),
    unsupported("GenerateMac", of_key, UNSUPPORTED),
    unsupported("VerifyMac", of_key, UNSUPPORTED),
    unsupported("DeriveSharedSecret", of_key, UNSUPPORTED),
    unsupported("Encapsulate", of_key, UNSUPPORTED),
    unsupported("Decapsulate", of_key, UNSUPPORTED),
    unsupported(
        "GetKeyLastUsage",
        of_key,
        UNSUPPORTED.apart("what a key was used for is in the audit trail"),
    ),
];

pub(super) fn shows_no_alias(world: &World) -> Seen {
    Seen { operation: "ListAliases", body: of_key(world), pointer: "/Aliases", value: json!([]) }
}

fn of_random(world: &World) -> Value {
    json!({ "CustomKeyStoreId": world.store, "NumberOfBytes": 32 })
}

pub(super) fn of_pair(world: &World) -> Value {
    json!({ "KeyId": world.key(), "KeyPairSpec": "RSA_2048" })
}

pub(super) fn of_policy(world: &World) -> Value {
    json!({ "KeyId": world.key(), "PolicyName": "default", "Policy": "{}" })
}

pub(super) fn of_grant(world: &World) -> Value {
    json!({ "KeyId": world.key(), "GranteePrincipal": "arn:aws:iam::111122223333:root", "Operations": ["Encrypt"] })
}
