//! The operations: from the body of a request to that of its answer.

mod crypto;
mod keys;
mod named;
mod stores;

use super::failure::Failure;
use crate::json::EncodedBody;
use crate::kms::{Action, Kms};

/// Carries out a request, on behalf of whoever `kms` calls for.
pub(super) async fn carry_out(kms: &Kms, action: Action, body: &[u8]) -> Result<EncodedBody, Failure> {
    operate(kms, action, body).await.map_err(|failure| failure.of(action))
}

async fn operate(kms: &Kms, action: Action, body: &[u8]) -> Result<EncodedBody, Failure> {
    match action {
        Action::Encrypt => crypto::encrypt(kms, body).await,
        Action::Decrypt => crypto::decrypt(kms, body).await,
        Action::ReEncrypt => crypto::re_encrypt(kms, body).await,
        Action::GenerateDataKey => crypto::generate_data_key(kms, body).await,
        Action::GenerateDataKeyWithoutPlaintext => crypto::generate_wrapped_data_key(kms, body).await,
        Action::GenerateRandom => crypto::generate_random(kms, body).await,
        // The others are rarer and larger: on the heap they are no burden to those above.
        Action::CreateCustomKeyStore => Box::pin(stores::create(kms, body)).await,
        Action::ConnectCustomKeyStore => Box::pin(stores::connect(kms, body)).await,
        Action::DisconnectCustomKeyStore => Box::pin(stores::disconnect(kms, body)).await,
        Action::DescribeCustomKeyStores => Box::pin(stores::describe(kms, body)).await,
        Action::UpdateCustomKeyStore => Box::pin(stores::update(kms, body)).await,
        Action::DeleteCustomKeyStore => Box::pin(stores::delete(kms, body)).await,
        Action::CreateKey => Box::pin(keys::create(kms, body)).await,
        Action::DescribeKey => Box::pin(keys::describe(kms, body)).await,
        Action::ListKeys => Box::pin(keys::list(kms, body)).await,
        Action::EnableKey => Box::pin(keys::enable(kms, body)).await,
        Action::DisableKey => Box::pin(keys::disable(kms, body)).await,
        Action::ScheduleKeyDeletion => Box::pin(keys::schedule_deletion(kms, body)).await,
        Action::CancelKeyDeletion => Box::pin(keys::cancel_deletion(kms, body)).await,
        Action::UpdateKeyDescription => Box::pin(keys::update_description(kms, body)).await,
        Action::CreateAlias => Box::pin(named::create_alias(kms, body)).await,
        Action::UpdateAlias => Box::pin(named::update_alias(kms, body)).await,
        Action::DeleteAlias => Box::pin(named::delete_alias(kms, body)).await,
        Action::ListAliases => Box::pin(named::list_aliases(kms, body)).await,
        Action::TagResource => Box::pin(named::tag(kms, body)).await,
        Action::UntagResource => Box::pin(named::untag(kms, body)).await,
        Action::ListResourceTags => Box::pin(named::list_tags(kms, body)).await,
        Action::GetKeyPolicy => Box::pin(keys::policy(kms, body)).await,
        Action::ListKeyPolicies => Box::pin(keys::policies(kms, body)).await,
    }
}
