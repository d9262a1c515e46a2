//! KMS keys: made, shown, managed.

use crate::api::failure::Failure;
use crate::api::wire::{self, answers};
use crate::json::EncodedBody;
use crate::key::KeyId;
use crate::kms::{Exception, KeyRef, Kms};

/// The name of a policy, unless one is given.
const DEFAULT: &str = "default";
const MOST_POLICIES: usize = 1000;

/// A key as whoever manages it may name it: by its id or ARN, and not by an alias.
pub(super) fn id_or_arn(kms: &Kms, text: &str) -> Result<KeyId, Failure> {
    match KeyRef::parse(text, kms.identity())? {
        KeyRef::Id(id) => Ok(id),
        KeyRef::Alias(_) if text.starts_with("arn:") => {
            let message =
                "the ARN is that of an alias: this operation takes the id or ARN of a key, and no alias";
            Err(Failure::new(Exception::InvalidArn, message))
        }
        KeyRef::Alias(alias) => {
            let message =
                format!("Invalid keyId {alias}: this operation takes the id or ARN of a key, and no alias");
            Err(Failure::new(Exception::NotFound, message))
        }
    }
}

pub(super) async fn create(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (store, new) = wire::create_key(body)?;
    Ok(answers::key_metadata(&kms.create_key(&store, &new).await?))
}

pub(super) async fn describe(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let key = KeyRef::parse(&wire::describe_key(body)?, kms.identity())?;
    Ok(answers::key_metadata(&kms.describe_key(&key).await?))
}

pub(super) async fn list(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    Ok(answers::keys(&kms.list_keys(&wire::list_keys(body)?).await?))
}

pub(super) async fn enable(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.enable_key(&id_or_arn(kms, &wire::key(body)?)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn disable(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.disable_key(&id_or_arn(kms, &wire::key(body)?)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn schedule_deletion(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, days) = wire::schedule_key_deletion(body)?;
    let key = id_or_arn(kms, &key)?;
    Ok(answers::scheduled_deletion(&kms.schedule_key_deletion(&key, days).await?))
}

pub(super) async fn cancel_deletion(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let key = id_or_arn(kms, &wire::key(body)?)?;
    kms.cancel_key_deletion(&key).await?;
    Ok(answers::key(&key.arn(kms.identity())))
}

pub(super) async fn update_description(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, description) = wire::update_key_description(body)?;
    kms.update_key_description(&id_or_arn(kms, &key)?, description).await?;
    Ok(answers::nothing())
}

pub(super) async fn policy(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, name) = wire::get_key_policy(body)?;
    let name = name.as_deref().unwrap_or(DEFAULT);
    let policy = kms.key_policy_named(&id_or_arn(kms, &key)?, name).await?;
    Ok(answers::policy(name, &policy))
}

pub(super) async fn policies(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, page) = wire::list_of_key(body, MOST_POLICIES)?;
    // There is one page, and so no marker.
    let Ok(None) = page.after_id("policies") else {
        return Err(Failure::new(
            Exception::InvalidMarker,
            "the Marker is none that a page of this list gave",
        ));
    };
    Ok(answers::policies(&kms.list_key_policies(&id_or_arn(kms, &key)?).await?))
}
