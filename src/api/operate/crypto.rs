//! The use of KMS keys.

use crate::api::failure::Failure;
use crate::api::wire::{self, answers};
use crate::json::EncodedBody;
use crate::kms::{Decrypt, Encrypt, GenerateDataKey, KeyRef, Kms, ReEncrypt};

/// Any of the four forms in which a key is named.
fn any_form(kms: &Kms, text: &str) -> Result<KeyRef, Failure> {
    Ok(KeyRef::parse(text, kms.identity())?)
}

pub(super) async fn encrypt(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::encrypt(body)?;
    let key = any_form(kms, &asked.key)?;
    let request = Encrypt::new(&key, asked.plaintext.expose()).context(&asked.context).dry_run(asked.dry_run);
    Ok(answers::encrypted(&kms.encrypt(&request).await?))
}

pub(super) async fn decrypt(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::decrypt(body)?;
    let key = asked.key.map(|key| any_form(kms, &key)).transpose()?;
    let mut request = Decrypt::new(asked.ciphertext.expose()).context(&asked.context).dry_run(asked.dry_run);
    if let Some(key) = &key {
        request = request.key(key);
    }
    Ok(answers::decrypted(&kms.decrypt(&request).await?))
}

pub(super) async fn re_encrypt(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::re_encrypt(body)?;
    let source = asked.source_key.map(|key| any_form(kms, &key)).transpose()?;
    let destination = any_form(kms, &asked.destination_key)?;
    let mut request = ReEncrypt::new(asked.ciphertext.expose(), &destination)
        .source_context(&asked.source_context)
        .destination_context(&asked.destination_context)
        .dry_run(asked.dry_run);
    if let Some(source) = &source {
        request = request.source_key(source);
    }
    Ok(answers::re_encrypted(&kms.re_encrypt(&request).await?))
}

pub(super) async fn generate_data_key(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::generate_data_key(body, true)?;
    let key = any_form(kms, &asked.key)?;
    let request = GenerateDataKey::new(&key, asked.length).context(&asked.context).dry_run(asked.dry_run);
    Ok(answers::data_key(&kms.generate_data_key(&request).await?))
}

pub(super) async fn generate_wrapped_data_key(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::generate_data_key(body, false)?;
    let key = any_form(kms, &asked.key)?;
    let request = GenerateDataKey::new(&key, asked.length).context(&asked.context).dry_run(asked.dry_run);
    Ok(answers::wrapped_data_key(&kms.generate_data_key_without_plaintext(&request).await?))
}

pub(super) async fn generate_random(kms: &Kms, body: &[u8]) -> Result<EncodedBody, Failure> {
    let asked = wire::generate_random(body)?;
    Ok(answers::random(&kms.generate_random(asked.length, asked.store.as_ref()).await?))
}
