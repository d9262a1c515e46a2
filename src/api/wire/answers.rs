//! The answers, by AWS's member names and no others.

use std::time::SystemTime;

use super::names::*;
use crate::json::{EncodedBody, Writer, base64_len};
use crate::key::{KeyArn, KeyMetadata, Marker, Page, TagKey, TagValue};
use crate::kms::{AliasEntry, Decrypted, Encrypted, GeneratedDataKey, ReEncrypted, ScheduledDeletion};
use crate::secret::SecretBytes;
use crate::store::Description;
use crate::store_id::StoreId;

/// More than the names, quotes and constant values of any answer that has no list.
const FRAME: usize = 512;

/// An error.
pub(in crate::api) fn error(name: &str, message: &str) -> EncodedBody {
    let mut json = Writer::new(FRAME + message.len());
    json.string("__type", name);
    json.string("message", message);
    json.finish()
}

/// There is nothing to say.
pub(in crate::api) fn nothing() -> EncodedBody {
    Writer::new(2).finish()
}

pub(in crate::api) fn created_store(id: &StoreId) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.string(CUSTOM_KEY_STORE_ID, id.as_str());
    json.finish()
}

pub(in crate::api) fn stores(stores: &[Description], next: Option<&Marker>) -> EncodedBody {
    let mut json = Writer::new(FRAME * 2);
    json.open_array("CustomKeyStores");
    for store in stores {
        json.entry_of(store);
    }
    json.close_array();
    finish_list(json, next)
}

pub(in crate::api) fn key_metadata(key: &KeyMetadata) -> EncodedBody {
    let mut json = Writer::new(FRAME * 2);
    json.value("KeyMetadata", key);
    json.finish()
}

pub(in crate::api) fn keys(page: &Page<KeyArn>) -> EncodedBody {
    let mut json = Writer::new(FRAME + 160 * page.items.len());
    json.open_array("Keys");
    for arn in &page.items {
        json.open_object(None);
        json.display(KEY_ID, &arn.key_id());
        json.string("KeyArn", arn.as_str());
        json.close_object();
    }
    json.close_array();
    finish_list(json, page.next.as_ref())
}

pub(in crate::api) fn aliases(page: &Page<AliasEntry>) -> EncodedBody {
    let mut json = Writer::new(FRAME + 256 * page.items.len());
    json.open_array("Aliases");
    for alias in &page.items {
        json.open_object(None);
        json.string(ALIAS_NAME, alias.name.as_str());
        json.string("AliasArn", &alias.arn);
        json.display(TARGET_KEY_ID, &alias.key);
        seconds(&mut json, "CreationDate", alias.created);
        seconds(&mut json, "LastUpdatedDate", alias.updated);
        json.close_object();
    }
    json.close_array();
    finish_list(json, page.next.as_ref())
}

pub(in crate::api) fn tags(page: &Page<(TagKey, TagValue)>) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.open_array(TAGS);
    for (key, value) in &page.items {
        json.open_object(None);
        json.string("TagKey", key.as_str());
        json.string("TagValue", value.as_str());
        json.close_object();
    }
    json.close_array();
    finish_list(json, page.next.as_ref())
}

pub(in crate::api) fn policy(name: &str, policy: &str) -> EncodedBody {
    let mut json = Writer::new(FRAME * 2);
    json.string("Policy", policy);
    json.string("PolicyName", name);
    json.finish()
}

pub(in crate::api) fn policies(names: &[&str]) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.open_array("PolicyNames");
    names.iter().for_each(|name| json.entry(name));
    json.close_array();
    finish_list(json, None)
}

pub(in crate::api) fn key(key: &KeyArn) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.string(KEY_ID, key.as_str());
    json.finish()
}

pub(in crate::api) fn scheduled_deletion(scheduled: &ScheduledDeletion) -> EncodedBody {
    let mut json = Writer::new(FRAME);
    json.string(KEY_ID, scheduled.key.as_str());
    seconds(&mut json, "DeletionDate", scheduled.deletion_date);
    json.string("KeyState", "PendingDeletion");
    json.number("PendingWindowInDays", scheduled.pending_window_in_days.into());
    json.finish()
}

pub(in crate::api) fn encrypted(encrypted: &Encrypted) -> EncodedBody {
    let Encrypted { key, ciphertext } = encrypted;
    let mut json = start(ciphertext.as_bytes().len(), 0);
    json.base64(CIPHERTEXT_BLOB, ciphertext.as_bytes());
    json.string(KEY_ID, key.as_str());
    json.string("EncryptionAlgorithm", SYMMETRIC_DEFAULT);
    json.finish()
}

pub(in crate::api) fn decrypted(decrypted: &Decrypted) -> EncodedBody {
    let Decrypted { key, plaintext } = decrypted;
    let mut json = start(plaintext.len(), 0);
    json.string(KEY_ID, key.as_str());
    json.base64("Plaintext", plaintext.expose());
    json.string("EncryptionAlgorithm", SYMMETRIC_DEFAULT);
    json.finish()
}

pub(in crate::api) fn re_encrypted(re_encrypted: &ReEncrypted) -> EncodedBody {
    let ReEncrypted { source_key, key, ciphertext } = re_encrypted;
    let mut json = start(ciphertext.as_bytes().len(), 0);
    json.base64(CIPHERTEXT_BLOB, ciphertext.as_bytes());
    json.string("SourceKeyId", source_key.as_str());
    json.string(KEY_ID, key.as_str());
    json.string("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT);
    json.string("DestinationEncryptionAlgorithm", SYMMETRIC_DEFAULT);
    json.finish()
}

pub(in crate::api) fn data_key(data_key: &GeneratedDataKey) -> EncodedBody {
    let GeneratedDataKey { key, plaintext, ciphertext } = data_key;
    let mut json = start(ciphertext.as_bytes().len(), plaintext.len());
    json.base64(CIPHERTEXT_BLOB, ciphertext.as_bytes());
    json.base64("Plaintext", plaintext.expose());
    json.string(KEY_ID, key.as_str());
    json.finish()
}

/// One that is wrapped alone: for it AWS names no algorithm.
pub(in crate::api) fn wrapped_data_key(wrapped: &Encrypted) -> EncodedBody {
    let Encrypted { key, ciphertext } = wrapped;
    let mut json = start(ciphertext.as_bytes().len(), 0);
    json.base64(CIPHERTEXT_BLOB, ciphertext.as_bytes());
    json.string(KEY_ID, key.as_str());
    json.finish()
}

pub(in crate::api) fn random(bytes: &SecretBytes) -> EncodedBody {
    let mut json = start(bytes.len(), 0);
    json.base64("Plaintext", bytes.expose());
    json.finish()
}

/// With room for everything: to grow would leave a copy of a secret in freed memory.
fn start(first: usize, second: usize) -> Writer {
    Writer::new(FRAME + base64_len(first) + base64_len(second))
}

fn finish_list(mut json: Writer, next: Option<&Marker>) -> EncodedBody {
    if let Some(next) = next {
        json.display("NextMarker", next);
    }
    json.boolean("Truncated", next.is_some());
    json.finish()
}

fn seconds(json: &mut Writer, name: &str, time: SystemTime) {
    #[derive(serde::Serialize)]
    #[serde(transparent)]
    struct Seconds(#[serde(with = "crate::epoch::seconds")] SystemTime);

    json.value(name, &Seconds(time));
}
