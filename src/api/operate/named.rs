//! Other names of KMS keys, and their tags.

use super::keys::id_or_arn;
use crate::api::failure::Failure;
use crate::api::wire::{self, answers};
use crate::json::EncodedBody;
use crate::key::{AliasName, KeyId, Page};
use crate::kms::{Exception, KeyRef, Kms};

/// What AWS lists at most, and unless it is asked for less.
const MOST_TAGS: usize = 50;

/// What an alias is to stand for.
fn target(kms: &Kms, text: &str) -> Result<KeyId, Failure> {
    match KeyRef::parse(text, kms.identity())? {
        KeyRef::Id(id) => Ok(id),
        KeyRef::Alias(_) => {
            Err(Failure::new(Exception::Validation, "Aliases must refer to keys. Not aliases: TargetKeyId"))
        }
    }
}

/// The name of an alias that is there, if it can be one.
fn known(kms: &Kms, name: &str) -> Result<AliasName, Failure> {
    AliasName::new(name).map_err(|_| {
        let identity = kms.identity();
        let (partition, region, account) = (&identity.partition, &identity.region, &identity.account);
        let message = format!("Alias arn:{partition}:kms:{region}:{account}:{name} is not found.");
        Failure::new(Exception::NotFound, message)
    })
}

pub(super) async fn create_alias(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (name, key) = wire::alias_and_target(body)?;
    let name = AliasName::new(&name)
        .map_err(|error| Failure::new(Exception::InvalidAliasName, error.to_string()))?;
    kms.create_alias(&name, &target(kms, &key)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn update_alias(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (name, key) = wire::alias_and_target(body)?;
    kms.update_alias(&known(kms, &name)?, &target(kms, &key)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn delete_alias(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.delete_alias(&known(kms, &wire::alias(body)?)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn list_aliases(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, page) = wire::list_aliases(body)?;
    let key = key.map(|key| id_or_arn(kms, &key)).transpose()?;
    Ok(answers::aliases(&kms.list_aliases(key.as_ref(), &page).await?))
}

pub(super) async fn tag(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, tags) = wire::tag_resource(body)?;
    kms.tag_resource(&id_or_arn(kms, &key)?, &tags).await?;
    Ok(answers::nothing())
}

pub(super) async fn untag(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, tags) = wire::untag_resource(body)?;
    kms.untag_resource(&id_or_arn(kms, &key)?, &tags).await?;
    Ok(answers::nothing())
}

pub(super) async fn list_tags(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (key, page) = wire::list_of_key(body, MOST_TAGS)?;
    let key = id_or_arn(kms, &key)?;
    let list = format!("tags of {key}");
    let after =
        page.after_id(&list).map_err(|error| Failure::new(Exception::InvalidMarker, error.to_string()))?;
    let mut tags = kms.list_resource_tags(&key).await?;
    tags.sort();
    tags.retain(|(tag, _)| after.is_none_or(|after| tag.as_str() > after));
    // One more than the page has says that there are others.
    let page = Page::new(&list, page.limit(), tags, |(tag, _)| tag.to_string(), |tag| tag);
    Ok(answers::tags(&page))
}
