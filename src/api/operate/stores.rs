//! Custom key stores.

use crate::api::failure::Failure;
use crate::api::wire::{self, Stores, answers};
use crate::json::EncodedBody;
use crate::kms::Kms;

pub(super) async fn create(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let store = wire::create_custom_key_store(body)?;
    Ok(answers::created_store(&kms.create_custom_key_store(store).await?))
}

pub(super) async fn connect(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.connect_custom_key_store(&wire::store(body)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn disconnect(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.disconnect_custom_key_store(&wire::store(body)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn delete(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    kms.delete_custom_key_store(&wire::store(body)?).await?;
    Ok(answers::nothing())
}

pub(super) async fn update(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let (id, change) = wire::update_custom_key_store(body)?;
    kms.update_custom_key_store(&id, change).await?;
    Ok(answers::nothing())
}

pub(super) async fn describe(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    match wire::describe_custom_key_stores(body)? {
        Stores::All(page) => {
            let page = kms.describe_custom_key_stores(&page).await?;
            Ok(answers::stores(&page.items, page.next.as_ref()))
        }
        Stores::Id(id) => Ok(answers::stores(&[kms.describe_custom_key_store(&id).await?], None)),
        Stores::Name(name) => Ok(answers::stores(&[kms.describe_custom_key_store_named(&name).await?], None)),
    }
}
