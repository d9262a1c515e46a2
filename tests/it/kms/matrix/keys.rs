//! What is done with a key, in each of its states. (AWS KMS custom key stores, facts 5.4)

use custom_key_store::KeyState::{Disabled, Enabled, PendingDeletion};
use serde_json::json;

use super::table::{DISABLED, KISE, KeyRow, OK, UNSUPPORTED, becomes, both, unsupported};
use super::uses::{
    away_from_key, into_key, of_blob, of_data_key, of_description, of_grant, of_key, of_new_alias, of_pair,
    of_plaintext, of_policy, of_tag_keys, of_tags, out_of_key, shows_alias, shows_description,
    shows_no_alias, shows_tags, to_key,
};
use super::world::{ALIAS, OTHER_ALIAS};

const POLICY: &str = "one fixed policy is shown, since one that is kept and not enforced would be a lie";
const GRANTS: &str = "there are no grants, since one that is kept and not enforced would be a lie";

/// `Enabled`, `Disabled`, `PendingDeletion`, `Unavailable`.
///
/// A key that is unavailable is one in a store in any state but `CONNECTED`, be it enabled or disabled beneath. Whose
/// deletion is scheduled stays so in every connection state, which wins over unavailability. ([13])
pub(super) const KEYS: &[KeyRow] = &[
    // Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext: [1], of [2] or [3] the latter, [11]
    both("Encrypt", "", of_plaintext, [OK, DISABLED, KISE, KISE]),
    both("Decrypt", "", of_blob, [OK, DISABLED, KISE, KISE]),
    both("ReEncrypt", "to the key", into_key, [OK, DISABLED, KISE, KISE]),
    both("ReEncrypt", "from the key", out_of_key, [OK, DISABLED, KISE, KISE]),
    both("GenerateDataKey", "", of_data_key, [OK, DISABLED, KISE, KISE]),
    both("GenerateDataKeyWithoutPlaintext", "", of_data_key, [OK, DISABLED, KISE, KISE]),
    // GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext: never in a custom key store, whatever the table says
    unsupported("GenerateDataKeyPair", of_pair, UNSUPPORTED),
    unsupported("GenerateDataKeyPairWithoutPlaintext", of_pair, UNSUPPORTED),
    // CancelKeyDeletion: [4]; a key is Disabled afterwards
    both("CancelKeyDeletion", "", of_key, [KISE, KISE, becomes(Disabled), KISE]),
    // ScheduleKeyDeletion: [3]
    both(
        "ScheduleKeyDeletion",
        "",
        of_key,
        [becomes(PendingDeletion), becomes(PendingDeletion), KISE, becomes(PendingDeletion)],
    ),
    // EnableKey, DisableKey: [3], deferred by [12]
    both("EnableKey", "", of_key, [becomes(Enabled), becomes(Enabled), KISE, becomes(Enabled)]),
    both("DisableKey", "", of_key, [becomes(Disabled), becomes(Disabled), KISE, becomes(Disabled)]),
    // DescribeKey, GetKeyPolicy, ListAliases, ListGrants, ListKeyPolicies, ListResourceTags, PutKeyPolicy, RetireGrant,
    // RevokeGrant, DeleteAlias
    both("DescribeKey", "by id", of_key, [OK; 4]),
    both("DescribeKey", "by alias", |_| json!({ "KeyId": ALIAS }), [OK; 4]),
    both("GetKeyPolicy", "", of_key, [OK.apart(POLICY); 4]),
    both("ListAliases", "of the key", of_key, [OK; 4]),
    unsupported("ListGrants", of_key, UNSUPPORTED.apart(GRANTS)),
    both("ListKeyPolicies", "", of_key, [OK.apart(POLICY); 4]),
    both("ListResourceTags", "", of_key, [OK; 4]),
    unsupported("PutKeyPolicy", of_policy, UNSUPPORTED.apart(POLICY)),
    unsupported("RetireGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    unsupported("RevokeGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    both("DeleteAlias", "", |_| json!({ "AliasName": ALIAS }), [OK; 4]).seen(shows_no_alias),
    // CreateAlias: [3]
    both("CreateAlias", "", of_new_alias, [OK, OK, KISE, OK]).seen(|w| shows_alias("alias/new", w.key())),
    // UpdateAlias: [10], by where the alias moves
    both("UpdateAlias", "to the key", to_key, [OK, OK, KISE, OK]).seen(|w| shows_alias(OTHER_ALIAS, w.key())),
    both("UpdateAlias", "away from the key", away_from_key, [OK; 4]).seen(|w| shows_alias(ALIAS, w.other())),
    // CreateGrant
    unsupported("CreateGrant", of_grant, UNSUPPORTED.apart(GRANTS)),
    // TagResource, UntagResource, UpdateKeyDescription: [3]
    both("TagResource", "", of_tags, [OK, OK, KISE, OK]).seen(|w| {
        let team = json!({ "TagKey": "team", "TagValue": "payroll" });
        shows_tags(w, json!([{ "TagKey": "new", "TagValue": "tag" }, team]))
    }),
    both("UntagResource", "", of_tag_keys, [OK, OK, KISE, OK]).seen(|w| shows_tags(w, json!([]))),
    both("UpdateKeyDescription", "", of_description, [OK, OK, KISE, OK]).seen(shows_description),
    // EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus: of [1], [3] and [7] the last
    unsupported("EnableKeyRotation", of_key, UNSUPPORTED),
    unsupported("DisableKeyRotation", of_key, UNSUPPORTED),
    unsupported("GetKeyRotationStatus", of_key, UNSUPPORTED),
    // GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial: [9]
    unsupported("GetParametersForImport", of_key, UNSUPPORTED),
    unsupported("ImportKeyMaterial", of_key, UNSUPPORTED),
    unsupported("DeleteImportedKeyMaterial", of_key, UNSUPPORTED),
];
