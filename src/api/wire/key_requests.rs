//! The requests that make and manage KMS keys.

use std::borrow::Cow;

use super::checks::Checks;
use super::crypto_requests::{key_text, store_id};
use super::member::{Flaw, body, object};
use super::names::*;
use super::page::page;
use super::rule::{boolean, each, integer, text, text_of, value, word};
use crate::api::failure::Failure;
use crate::backend::BackingKeyId;
use crate::key::{KeyText, NewKey, PageRequest, TagKey, TagValue};
use crate::kms::Exception;
use crate::store_id::StoreId;

const MAX_TAGS: usize = 50;
const XKS_KEY_ID: &str = "XksKeyId";
const ORIGIN: &str = "Origin";
const CLOUD_HSM: &str = "AWS_CLOUDHSM";
const EXTERNAL: &str = "EXTERNAL_KEY_STORE";
const ENCRYPT_DECRYPT: &str = "ENCRYPT_DECRYPT";
const USAGES: &[&str] =
    &["SIGN_VERIFY", ENCRYPT_DECRYPT, "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"];
const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", CLOUD_HSM, EXTERNAL];
const SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    SYMMETRIC_DEFAULT,
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];

type Tags = Vec<(TagKey, TagValue)>;

/// `CreateKey`.
///
/// What AWS KMS has and custom key stores have not is `UnsupportedOperationException`, which AWS documents for this operation;
/// what contradicts itself is `ValidationException`. (AWS documents neither.)
pub(crate) fn create_key(json: &[u8]) -> Result<(StoreId, NewKey), Failure> {
    let [store, origin, xks_key, description, tags, usage, spec, old_spec, multi_region, policy, bypass] =
        body(
            json,
            [
                CUSTOM_KEY_STORE_ID,
                ORIGIN,
                XKS_KEY_ID,
                DESCRIPTION,
                TAGS,
                "KeyUsage",
                KEY_SPEC,
                "CustomerMasterKeySpec",
                "MultiRegion",
                "Policy",
                "BypassPolicyLockoutSafetyCheck",
            ],
        )?;
    let mut checks = Checks::default();
    let store = checks.optional(store, store_id)?;
    let origin = checks.optional(origin, word(ORIGINS))?;
    let xks_key = checks.optional(xks_key, value(|text| BackingKeyId::new(text)))?;
    let description = checks.optional(description, value(|text| KeyText::new(text)))?;
    let tags = checks.optional(tags, read_tags)?.unwrap_or_default();
    let usage = checks.optional(usage, word(USAGES))?;
    if old_spec.raw.is_some() && spec.raw.is_some() {
        checks.flawed("CustomerMasterKeySpec", "Member must be null when KeySpec is given");
    }
    let spec = checks.optional(spec, word(SPECS))?.or(checks.optional(old_spec, word(SPECS))?);
    let multi_region = checks.optional(multi_region, boolean)?.unwrap_or_default();
    // A lockout by a policy is what it would skip, and there are no policies.
    checks.optional(bypass, boolean)?;
    let policy = checks.optional(policy, text_of(1..=131_072))?;
    if store.is_some() {
        check_origin(&mut checks, origin, xks_key.is_some());
    }

    let (store, key) = checks.done(move || {
        let new = match xks_key {
            Some(key) => NewKey::external(key),
            None => NewKey::generated(),
        };
        let described = new.description(description.unwrap_or_else(KeyText::empty));
        Some((store, tags.into_iter().fold(described, |new, (key, value)| new.tag(key, value))))
    })?;
    let Some(store) = store else {
        let message = "a KMS key without CustomKeyStoreId is not supported: there are KMS keys in custom key stores alone";
        return Err(Failure::unsupported(message));
    };
    if policy.is_some() {
        return Err(Failure::unsupported("Policy is not supported: every KMS key has the same"));
    }
    if multi_region {
        return Err(Failure::unsupported("MultiRegion is not supported for a KMS key in a custom key store"));
    }
    only(usage, "KeyUsage", ENCRYPT_DECRYPT)?;
    only(spec, KEY_SPEC, SYMMETRIC_DEFAULT)?;
    Ok((store, key))
}

fn check_origin(checks: &mut Checks, origin: Option<&str>, refers: bool) {
    match origin {
        Some(CLOUD_HSM) if refers => checks.flawed(XKS_KEY_ID, "Member must be null for Origin AWS_CLOUDHSM"),
        Some(EXTERNAL) if !refers => checks.missing(XKS_KEY_ID, "for Origin EXTERNAL_KEY_STORE"),
        Some(CLOUD_HSM | EXTERNAL) => {}
        // The default would be AWS_KMS.
        _ => checks.flawed(
            ORIGIN,
            "Member must be AWS_CLOUDHSM or EXTERNAL_KEY_STORE when CustomKeyStoreId is given",
        ),
    }
}

/// The one value that custom key stores have.
fn only(found: Option<&str>, name: &str, wanted: &str) -> Result<(), Failure> {
    match found {
        Some(found) if found != wanted => Err(Failure::unsupported(format!(
            "{name} {found} is not supported for a KMS key in a custom key store, but {wanted}"
        ))),
        _ => Ok(()),
    }
}

fn read_tags(raw: &str) -> Result<Tags, Flaw> {
    each(raw, MAX_TAGS, read_tag).map_err(too_many_tags)
}

fn read_tag(raw: &str) -> Result<(TagKey, TagValue), Flaw> {
    let [key, found] = object(raw, ["TagKey", "TagValue"])?;
    Ok((key.required(tag_key)?, found.required(value(|text| TagValue::new(text)))?))
}

fn tag_key(raw: &str) -> Result<TagKey, Flaw> {
    let text = text_of(1..=128)(raw)?;
    TagKey::new(&text)
        .map_err(|_| Flaw::Refused(Failure::new(Exception::Tag, "the key of a tag must not begin with aws:")))
}

/// Of the list itself nothing else can be wrong.
fn too_many_tags(flaw: Flaw) -> Flaw {
    match flaw {
        Flaw::Rule { below, .. } if below.is_empty() => {
            let message = format!("a KMS key has at most {MAX_TAGS} tags");
            Flaw::Refused(Failure::new(Exception::Tag, message))
        }
        other => other,
    }
}

/// The requests that name a KMS key and say nothing else.
pub(crate) fn key(json: &[u8]) -> Result<Cow<'_, str>, Failure> {
    let [key] = body(json, [KEY_ID])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    checks.done(|| key)
}

pub(crate) fn describe_key(json: &[u8]) -> Result<Cow<'_, str>, Failure> {
    let [key, tokens] = body(json, [KEY_ID, GRANT_TOKENS])?;
    tokens.refuse_entries()?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    checks.done(|| key)
}

pub(crate) fn list_keys(json: &[u8]) -> Result<PageRequest, Failure> {
    let [limit, marker, owners] = body(json, [LIMIT, MARKER, "ResourceOwners"])?;
    let mut checks = Checks::default();
    let page = page(&mut checks, limit, marker, 100, 1000)?;
    checks.optional(owners, own_account)?;
    checks.done(|| page)
}

/// Whose KMS keys are to be listed: ours, as there are no others.
fn own_account(raw: &str) -> Result<(), Flaw> {
    let owners = each(raw, 2, word(&["SELF", "OTHER_ACCOUNTS_VIA_RAM"]))?;
    match owners.iter().find(|owner| **owner != "SELF") {
        Some(other) => {
            Err(Flaw::Refused(Failure::unsupported(format!("ResourceOwners {other} is not supported"))))
        }
        None if owners.is_empty() => Err(Flaw::too_short(1)),
        None => Ok(()),
    }
}

pub(crate) fn list_aliases(json: &[u8]) -> Result<(Option<Cow<'_, str>>, PageRequest), Failure> {
    let [key, limit, marker] = body(json, [KEY_ID, LIMIT, MARKER])?;
    let mut checks = Checks::default();
    let key = checks.optional(key, key_text())?;
    let page = page(&mut checks, limit, marker, 50, 100)?;
    checks.done(|| Some((key, page?)))
}

/// `ListResourceTags`, which has pages of `most` entries at most, and `ListKeyPolicies`.
pub(crate) fn list_of_key(json: &[u8], most: usize) -> Result<(Cow<'_, str>, PageRequest), Failure> {
    let [key, limit, marker] = body(json, [KEY_ID, LIMIT, MARKER])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let page = page(&mut checks, limit, marker, most, most)?;
    checks.done(|| Some((key?, page?)))
}

pub(crate) fn update_key_description(json: &[u8]) -> Result<(Cow<'_, str>, KeyText), Failure> {
    let [key, description] = body(json, [KEY_ID, DESCRIPTION])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let description = checks.required(description, value(|text| KeyText::new(text)))?;
    checks.done(|| Some((key?, description?)))
}

pub(crate) fn schedule_key_deletion(json: &[u8]) -> Result<(Cow<'_, str>, Option<u32>), Failure> {
    let [key, days] = body(json, [KEY_ID, "PendingWindowInDays"])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let days = checks.optional(days, integer(7..=30))?;
    checks.done(|| Some((key?, days)))
}

/// `CreateAlias`, `UpdateAlias`: the name of the alias and what it is to stand for.
pub(crate) fn alias_and_target(json: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), Failure> {
    let [alias, target] = body(json, [ALIAS_NAME, TARGET_KEY_ID])?;
    let mut checks = Checks::default();
    let alias = checks.required(alias, alias_text)?;
    let target = checks.required(target, key_text())?;
    checks.done(|| Some((alias?, target?)))
}

/// `DeleteAlias`
pub(crate) fn alias(json: &[u8]) -> Result<Cow<'_, str>, Failure> {
    let [alias] = body(json, [ALIAS_NAME])?;
    let mut checks = Checks::default();
    let alias = checks.required(alias, alias_text)?;
    checks.done(|| alias)
}

/// What AWS's model lets pass as the name of an alias; whether it is one, each operation says in its own way.
fn alias_text(raw: &str) -> Result<Cow<'_, str>, Flaw> {
    let text = text_of(1..=256)(raw)?;
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'_' | b'-')) {
        return Err(Flaw::rule("Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"));
    }
    Ok(text)
}

pub(crate) fn tag_resource(json: &[u8]) -> Result<(Cow<'_, str>, Tags), Failure> {
    let [key, tags] = body(json, [KEY_ID, TAGS])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let tags = checks.required(tags, read_tags)?;
    checks.done(|| Some((key?, tags?)))
}

pub(crate) fn untag_resource(json: &[u8]) -> Result<(Cow<'_, str>, Vec<TagKey>), Failure> {
    let [key, tags] = body(json, [KEY_ID, "TagKeys"])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let tags = checks.required(tags, |raw| each(raw, MAX_TAGS, tag_key).map_err(too_many_tags))?;
    checks.done(|| Some((key?, tags?)))
}

/// `GetKeyPolicy`: the key, and the name of the policy.
pub(crate) fn get_key_policy(json: &[u8]) -> Result<(Cow<'_, str>, Option<Cow<'_, str>>), Failure> {
    let [key, policy] = body(json, [KEY_ID, "PolicyName"])?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let policy = checks.optional(policy, policy_name)?;
    checks.done(|| Some((key?, policy)))
}

fn policy_name(raw: &str) -> Result<Cow<'_, str>, Flaw> {
    let name = text(raw)?;
    let length = name.chars().count();
    match length {
        0 => Err(Flaw::too_short(1)),
        129.. => Err(Flaw::too_long(128)),
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => Ok(name),
        _ => Err(Flaw::rule("Member must satisfy regular expression pattern: [\\w]+")),
    }
}
