//! The requests that use KMS keys.

use std::borrow::Cow;

use super::checks::Checks;
use super::context::context;
use super::member::{Flaw, Member, body};
use super::names::*;
use super::rule;
use crate::api::failure::Failure;
use crate::crypto::{CiphertextBlob, EncryptionContext};
use crate::kms::Exception;
use crate::secret::SecretBytes;
use crate::store::DataKeyLength;
use crate::store_id::StoreId;

const MAX_PLAINTEXT: usize = 4096;
const MAX_RANDOM: u32 = 1024;
const ALGORITHMS: &[&str] = &[SYMMETRIC_DEFAULT, "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];

/// `Encrypt`
pub(crate) struct Encrypt<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) plaintext: SecretBytes,
    pub(crate) context: EncryptionContext,
    pub(crate) dry_run: bool,
}

/// `Decrypt`
pub(crate) struct Decrypt<'a> {
    pub(crate) ciphertext: SecretBytes,
    pub(crate) key: Option<Cow<'a, str>>,
    pub(crate) context: EncryptionContext,
    pub(crate) dry_run: bool,
}

/// `ReEncrypt`
pub(crate) struct ReEncrypt<'a> {
    pub(crate) ciphertext: SecretBytes,
    pub(crate) source_key: Option<Cow<'a, str>>,
    pub(crate) source_context: EncryptionContext,
    pub(crate) destination_key: Cow<'a, str>,
    pub(crate) destination_context: EncryptionContext,
    pub(crate) dry_run: bool,
}

/// `GenerateDataKey` and `GenerateDataKeyWithoutPlaintext`
pub(crate) struct GenerateDataKey<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) length: DataKeyLength,
    pub(crate) context: EncryptionContext,
    pub(crate) dry_run: bool,
}

/// `GenerateRandom`
pub(crate) struct GenerateRandom {
    pub(crate) length: usize,
    pub(crate) store: Option<StoreId>,
}

pub(crate) fn encrypt(json: &[u8]) -> Result<Encrypt<'_>, Failure> {
    let [key, plaintext, with, tokens, algorithm, dry_run] =
        body(json, [KEY_ID, "Plaintext", ENCRYPTION_CONTEXT, GRANT_TOKENS, "EncryptionAlgorithm", DRY_RUN])?;
    tokens.refuse_entries()?;
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let plaintext = checks.required(plaintext, rule::base64(1..=MAX_PLAINTEXT))?;
    let context = optional_context(&mut checks, with)?;
    checks.optional(algorithm, symmetric)?;
    let dry_run = flag(&mut checks, dry_run)?;
    checks.done(|| Some(Encrypt { key: key?, plaintext: plaintext?, context, dry_run }))
}

pub(crate) fn decrypt(json: &[u8]) -> Result<Decrypt<'_>, Failure> {
    let [ciphertext, key, with, tokens, algorithm, recipient, dry_run, modifiers] = body(
        json,
        [
            CIPHERTEXT_BLOB,
            KEY_ID,
            ENCRYPTION_CONTEXT,
            GRANT_TOKENS,
            "EncryptionAlgorithm",
            RECIPIENT,
            DRY_RUN,
            DRY_RUN_MODIFIERS,
        ],
    )?;
    tokens.refuse_entries()?;
    recipient.refuse()?;
    modifiers.refuse_entries()?;
    let mut checks = Checks::default();
    let ciphertext = checks.required(ciphertext, blob())?;
    let key = checks.optional(key, key_text())?;
    let context = optional_context(&mut checks, with)?;
    checks.optional(algorithm, symmetric)?;
    let dry_run = flag(&mut checks, dry_run)?;
    checks.done(|| Some(Decrypt { ciphertext: ciphertext?, key, context, dry_run }))
}

pub(crate) fn re_encrypt(json: &[u8]) -> Result<ReEncrypt<'_>, Failure> {
    let [
        ciphertext,
        source,
        source_with,
        destination,
        destination_with,
        source_algorithm,
        destination_algorithm,
        tokens,
        dry_run,
        modifiers,
    ] = body(
        json,
        [
            CIPHERTEXT_BLOB,
            "SourceKeyId",
            "SourceEncryptionContext",
            "DestinationKeyId",
            "DestinationEncryptionContext",
            "SourceEncryptionAlgorithm",
            "DestinationEncryptionAlgorithm",
            GRANT_TOKENS,
            DRY_RUN,
            DRY_RUN_MODIFIERS,
        ],
    )?;
    tokens.refuse_entries()?;
    modifiers.refuse_entries()?;
    let mut checks = Checks::default();
    let ciphertext = checks.required(ciphertext, blob())?;
    let source_key = checks.optional(source, key_text())?;
    let source_context = optional_context(&mut checks, source_with)?;
    let destination_key = checks.required(destination, key_text())?;
    let destination_context = optional_context(&mut checks, destination_with)?;
    checks.optional(source_algorithm, symmetric)?;
    checks.optional(destination_algorithm, symmetric)?;
    let dry_run = flag(&mut checks, dry_run)?;
    checks.done(|| {
        Some(ReEncrypt {
            ciphertext: ciphertext?,
            source_key,
            source_context,
            destination_key: destination_key?,
            destination_context,
            dry_run,
        })
    })
}

/// Both those that want the data key itself, which could be encrypted for a recipient, and those that do not.
pub(crate) fn generate_data_key(json: &[u8], with_plaintext: bool) -> Result<GenerateDataKey<'_>, Failure> {
    let [key, with, number, spec, tokens, recipient, dry_run] = body(
        json,
        [KEY_ID, ENCRYPTION_CONTEXT, NUMBER_OF_BYTES, KEY_SPEC, GRANT_TOKENS, RECIPIENT, DRY_RUN],
    )?;
    tokens.refuse_entries()?;
    if with_plaintext {
        recipient.refuse()?;
    }
    let mut checks = Checks::default();
    let key = checks.required(key, key_text())?;
    let context = optional_context(&mut checks, with)?;
    let given = (number.raw.is_some(), spec.raw.is_some());
    let number = checks.optional(number, rule::integer(1..=MAX_RANDOM))?;
    let spec = checks.optional(spec, rule::word(&["AES_256", "AES_128"]))?;
    if given.0 == given.1 {
        checks.flawed(NUMBER_OF_BYTES, "Please specify either number of bytes or key spec (KeySpec)");
    }
    let dry_run = flag(&mut checks, dry_run)?;
    let length = match (number, spec) {
        (_, Some("AES_128")) => Some(DataKeyLength::AES_128),
        (_, Some(_)) => Some(DataKeyLength::AES_256),
        (Some(number), None) => usize::try_from(number).ok().and_then(|n| DataKeyLength::new(n).ok()),
        (None, None) => None,
    };
    checks.done(|| Some(GenerateDataKey { key: key?, length: length?, context, dry_run }))
}

pub(crate) fn generate_random(json: &[u8]) -> Result<GenerateRandom, Failure> {
    let [number, store, recipient] = body(json, [NUMBER_OF_BYTES, CUSTOM_KEY_STORE_ID, RECIPIENT])?;
    recipient.refuse()?;
    let mut checks = Checks::default();
    let number = checks.required(number, rule::integer(1..=MAX_RANDOM))?;
    let store = checks.optional(store, store_id)?;
    checks.done(|| Some(GenerateRandom { length: usize::try_from(number?).ok()?, store }))
}

/// Whatever names a KMS key; which one it is, or that it is none, shows when it is looked for.
pub(super) fn key_text() -> impl FnOnce(&str) -> Result<Cow<'_, str>, Flaw> {
    rule::text_of(1..=2048)
}

/// An id of a store. What can be none of ours is one that does not exist: AWS's model knows no form but the length.
pub(super) fn store_id(raw: &str) -> Result<StoreId, Flaw> {
    let text = rule::text_of(1..=64)(raw)?;
    StoreId::new(&text).map_err(|_| {
        Flaw::Refused(Failure::new(
            Exception::CustomKeyStoreNotFound,
            "there is no custom key store of this id",
        ))
    })
}

fn blob() -> impl FnOnce(&str) -> Result<SecretBytes, Flaw> {
    rule::base64(1..=CiphertextBlob::MAX_LEN)
}

fn optional_context(checks: &mut Checks, member: Member<'_>) -> Result<EncryptionContext, Failure> {
    Ok(checks.optional(member, context)?.unwrap_or_default())
}

fn flag(checks: &mut Checks, member: Member<'_>) -> Result<bool, Failure> {
    Ok(checks.optional(member, rule::boolean)?.unwrap_or_default())
}

/// The one algorithm that keys of custom key stores have. For the others AWS has a name, `InvalidKeyUsageException`: the
/// algorithm is incompatible with the type of the key.
fn symmetric(raw: &str) -> Result<(), Flaw> {
    match rule::word(ALGORITHMS)(raw)? {
        SYMMETRIC_DEFAULT => Ok(()),
        other => Err(Flaw::Refused(Failure::new(
            Exception::InvalidKeyUsage,
            format!(
                "a KMS key in a custom key store does not have the algorithm {other}, but {SYMMETRIC_DEFAULT}"
            ),
        ))),
    }
}
