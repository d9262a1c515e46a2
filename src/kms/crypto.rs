//! What KMS keys are for.

use std::sync::Arc;

use super::Kms;
use super::action::Action;
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::KeyRef;
use super::mapping;
use super::request::{
    Decrypt, Decrypted, Encrypt, Encrypted, GenerateDataKey, GeneratedDataKey, ReEncrypt, ReEncrypted,
};
use super::rules::Permission;
use super::shared::Route;
use super::slot::{Slot, View};
use super::trail::Entry;
use super::work::shielded;
use crate::backend::{CustomKeyStoreType, Operation, RequestId};
use crate::crypto::{CiphertextBlob, Parsed, random_secret};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, ReadyKey};
use crate::secret::SecretBytes;
use crate::store::{Acting, DataKey, Used, check_plaintext, check_random};
use crate::store_id::StoreId;

/// The use of KMS keys.
///
/// Every call is admitted, or refused, by what its store is at this moment, without a lock; what the key manager of one
/// store does concerns no other. Each ends within the call timeout. Dropping its future drops what the key manager was asked;
/// whether that took effect there is then unknown.
impl Kms {
    /// `Encrypt`.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn encrypt(&self, request: &Encrypt<'_>) -> Result<Encrypted, KmsError> {
        let (call, mut entry) = self.begin(Action::Encrypt)?;
        entry.context(request.context);
        let result = call.ended(call.encrypt(&mut entry, request)).await;
        entry.enqueue(&result);
        result
    }

    /// `Decrypt`. A blob that is damaged, or comes with another context, is `InvalidCiphertextException` at once in an
    /// external key store too, without a trip to its key manager, where AWS KMS answers `KMSInvalidStateException` after one.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn decrypt(&self, request: &Decrypt<'_>) -> Result<Decrypted, KmsError> {
        let (call, mut entry) = self.begin(Action::Decrypt)?;
        entry.context(request.context);
        let result = call.ended(call.decrypt(&mut entry, request)).await;
        entry.enqueue(&result);
        result
    }

    /// `ReEncrypt`, also from one custom key store to another.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn re_encrypt(&self, request: &ReEncrypt<'_>) -> Result<ReEncrypted, KmsError> {
        let (call, mut entry) = self.begin(Action::ReEncrypt)?;
        entry.contexts(request.source_context, request.destination_context);
        let result = call.ended(call.re_encrypt(&mut entry, request)).await;
        entry.enqueue(&result);
        result
    }

    /// `GenerateDataKey`.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn generate_data_key(
        &self,
        request: &GenerateDataKey<'_>,
    ) -> Result<GeneratedDataKey, KmsError> {
        let (call, mut entry) = self.begin(Action::GenerateDataKey)?;
        entry.context(request.context);
        let operation = &Operation::GENERATE_DATA_KEY;
        let result = call.ended(call.generate_data_key(&mut entry, operation, request)).await;
        let given = |Used { key, result }: Used<DataKey>| GeneratedDataKey {
            key: key.arn.clone(),
            plaintext: result.plaintext,
            ciphertext: result.wrapped,
        };
        entry.enqueue(&result);
        result.map(given)
    }

    /// `GenerateDataKeyWithoutPlaintext`.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn generate_data_key_without_plaintext(
        &self,
        request: &GenerateDataKey<'_>,
    ) -> Result<Encrypted, KmsError> {
        let (call, mut entry) = self.begin(Action::GenerateDataKeyWithoutPlaintext)?;
        entry.context(request.context);
        let operation = &Operation::GENERATE_DATA_KEY_WITHOUT_PLAINTEXT;
        let result = call.ended(call.generate_data_key(&mut entry, operation, request)).await;
        let given = |Used { key, result }: Used<DataKey>| encrypted(&key, result.wrapped);
        entry.enqueue(&result);
        result.map(given)
    }

    /// `GenerateRandom`: 1 to 1,024 bytes, by the cluster of a CloudHSM key store if one is named.
    ///
    /// # Errors
    ///
    /// `UnsupportedOperationException` for an external key store, in every state; `CustomKeyStoreInvalidStateException`; and
    /// others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn generate_random(
        &self,
        length: usize,
        store: Option<&StoreId>,
    ) -> Result<SecretBytes, KmsError> {
        let (call, mut entry) = self.begin(Action::GenerateRandom)?;
        entry.store(store);
        let result = call.ended(call.generate_random(&mut entry, length, store)).await;
        entry.enqueue(&result);
        result
    }

    fn begin(&self, action: Action) -> Result<(Call<'_>, Entry<'_>), KmsError> {
        let shared = &self.shared;
        let request_id = self.request_id();
        let entry = shared.trail.begin(&self.caller, &request_id, action, shared.clock())?;
        match shared.refuse_ended() {
            Ok(()) => Ok((Call { kms: self, action, request_id }, entry)),
            Err(refused) => {
                let refused = Err(refused);
                entry.enqueue(&refused);
                refused
            }
        }
    }
}

/// A call under way.
struct Call<'k> {
    kms: &'k Kms,
    action: Action,
    request_id: RequestId,
}

/// A store that was connected a moment ago, on behalf of a caller.
#[derive(Clone, Copy)]
struct At<'v> {
    slot: &'v Slot,
    acting: Acting<'v>,
}

impl At<'_> {
    /// What a caller is told of an error.
    #[cold]
    fn refused(self, error: Error) -> KmsError {
        mapping::of_use(&self.slot.id, self.slot.store_type, self.slot.view().state, error)
    }
}

impl Call<'_> {
    /// What it comes to, by the names that AWS documents; a panic is an error.
    #[inline]
    async fn ended<T>(&self, work: impl Future<Output = Result<T, KmsError>>) -> Result<T, KmsError> {
        shielded(work).await.map_err(|error| mapping::as_documented(self.action, error))
    }

    async fn encrypt(&self, entry: &mut Entry<'_>, request: &Encrypt<'_>) -> Result<Encrypted, KmsError> {
        check_plaintext(request.plaintext).map_err(mapping::of_value)?;
        let (id, route) = self.admitted(entry, self.action.into(), request.key).await?;
        let view = route.slot.view();
        let at = self.at(entry, &route.slot, &view, &id).await?;
        if request.dry_run {
            at.acting.ready(&id).await.map_err(|error| at.refused(error))?;
            return Err(dry_run());
        }
        let used = at.acting.encrypt(&id, request.plaintext, request.context).await;
        let Used { key, result } = used.map_err(|error| at.refused(error))?;
        entry.backing_key(&key.backing_key);
        Ok(encrypted(&key, result))
    }

    async fn decrypt(&self, entry: &mut Entry<'_>, request: &Decrypt<'_>) -> Result<Decrypted, KmsError> {
        let permission = self.action.into();
        let (id, route) = self.source(entry, permission, request.ciphertext).await?;
        let wanted = self.wanted(entry, "KeyId", (permission, &id), request.key).await?;
        let view = route.slot.view();
        let at = self.at(entry, &route.slot, &view, &id).await?;
        if request.dry_run {
            let reading = at.acting.reading(wanted.as_ref(), request.ciphertext, request.context).await;
            reading.map_err(|error| at.refused(error))?;
            return Err(dry_run());
        }
        let used = at.acting.decrypt(wanted.as_ref(), request.ciphertext, request.context).await;
        let Used { key, result } = used.map_err(|error| at.refused(error))?;
        entry.backing_key(&key.backing_key);
        Ok(Decrypted { key: key.arn.clone(), plaintext: result })
    }

    async fn re_encrypt(
        &self,
        entry: &mut Entry<'_>,
        request: &ReEncrypt<'_>,
    ) -> Result<ReEncrypted, KmsError> {
        let permission = Permission::ReEncryptFrom;
        let (source, from) = self.source(entry, permission, request.ciphertext).await?;
        let (destination, to) =
            self.admitted(entry, Permission::ReEncryptTo, request.destination_key).await?;
        let wanted = self.wanted(entry, "SourceKeyId", (permission, &source), request.source_key).await?;
        let (from_view, to_view) = (from.slot.view(), to.slot.view());
        let from = self.at(entry, &from.slot, &from_view, &source).await?;
        let reading = from.acting.reading(wanted.as_ref(), request.ciphertext, request.source_context).await;
        let reading = reading.map_err(|error| from.refused(error))?;
        // Before anything is decrypted for nothing.
        let to = self.at(entry, &to.slot, &to_view, &destination).await?;
        let key = to.acting.ready(&destination).await.map_err(|error| to.refused(error))?;
        if request.dry_run {
            return Err(dry_run());
        }
        let source_key = reading.key.arn.clone();
        entry.backing_key(&reading.key.backing_key);
        entry.backing_key(&key.backing_key);
        let operation = &Operation::RE_ENCRYPT;
        let plaintext = from.acting.open(operation, &reading).await.map_err(|error| from.refused(error))?;
        let context = request.destination_context;
        let ciphertext = to.acting.encrypt_under(&key, operation, plaintext.expose(), context).await;
        let ciphertext = ciphertext.map_err(|error| to.refused(error))?;
        Ok(ReEncrypted { source_key, key: key.arn.clone(), ciphertext })
    }

    async fn generate_data_key(
        &self,
        entry: &mut Entry<'_>,
        operation: &Operation,
        request: &GenerateDataKey<'_>,
    ) -> Result<Used<DataKey>, KmsError> {
        let (id, route) = self.admitted(entry, self.action.into(), request.key).await?;
        let view = route.slot.view();
        let at = self.at(entry, &route.slot, &view, &id).await?;
        if request.dry_run {
            at.acting.ready(&id).await.map_err(|error| at.refused(error))?;
            return Err(dry_run());
        }
        let used = at.acting.generate_data_key(operation, &id, request.length, request.context).await;
        let used = used.map_err(|error| at.refused(error))?;
        entry.backing_key(&used.key.backing_key);
        Ok(used)
    }

    async fn generate_random(
        &self,
        entry: &mut Entry<'_>,
        length: usize,
        store: Option<&StoreId>,
    ) -> Result<SecretBytes, KmsError> {
        check_random(length).map_err(mapping::of_value)?;
        self.kms.authorize(self.action, None, store)?;
        let Some(id) = store else { return Ok(random_secret(length)) };
        let slot = self.kms.shared.slot(id)?;
        if slot.store_type == CustomKeyStoreType::ExternalKeyStore {
            let message =
                "an external key store gives no random bytes; a CloudHSM key store does, and KMS itself";
            return Err(KmsError::new(Exception::UnsupportedOperation, message));
        }
        let view = slot.view();
        let refused = |error| mapping::of_random(id, slot.view().state, error);
        let Some(handle) = &view.handle else { return Err(refused(Error::NOT_CONNECTED)) };
        self.take(&slot)?;
        entry.admitted();
        let acting = handle.acting_for(&self.kms.caller, &self.request_id);
        acting.generate_random(length).await.map_err(refused)
    }

    /// Where the key is that a ciphertext says it was encrypted under.
    async fn source(
        &self,
        entry: &mut Entry<'_>,
        permission: Permission,
        ciphertext: &[u8],
    ) -> Result<(KeyId, Arc<Route>), KmsError> {
        let blob = Parsed::new(ciphertext).map_err(|error| mapping::of_key(error.into()))?;
        self.admitted(entry, permission, &KeyRef::Id(blob.key)).await
    }

    /// Where the key is that is to be used, if the caller may use it so.
    #[inline]
    async fn admitted(
        &self,
        entry: &mut Entry<'_>,
        permission: Permission,
        key: &KeyRef,
    ) -> Result<(KeyId, Arc<Route>), KmsError> {
        entry.asked(key, self.kms.shared.ledger.identity());
        self.kms.permitted(permission, key, |route| entry.route(route)).await
    }

    /// The key that the caller says, by a parameter of this `name`, a ciphertext was encrypted under. If it is not the one that
    /// was `found`, or he may not use it so, the audit trail names it too.
    async fn wanted(
        &self,
        entry: &mut Entry<'_>,
        name: &'static str,
        (permission, found): (Permission, &KeyId),
        key: Option<&KeyRef>,
    ) -> Result<Option<KeyId>, KmsError> {
        let Some(key) = key else { return Ok(None) };
        let mut judged = None;
        let permitted = self.kms.permitted(permission, key, |route| judged = Some(Arc::clone(route))).await;
        let error = match permitted {
            // Before the state of anything is looked at.
            Ok((wanted, _)) if wanted == *found => return Ok(Some(wanted)),
            Ok((wanted, _)) => mapping::of_key(Error::about(ErrorKind::IncorrectKey, &wanted)),
            Err(error) => error,
        };
        entry.wanted(name, key, judged.as_deref(), self.kms.shared.ledger.identity());
        Err(error)
    }

    /// The store of a key, if it is connected and its quota not used up.
    #[inline]
    async fn at<'v>(
        &'v self,
        entry: &mut Entry<'_>,
        slot: &'v Slot,
        view: &'v View,
        id: &KeyId,
    ) -> Result<At<'v>, KmsError> {
        self.take(slot)?;
        entry.admitted();
        match &view.handle {
            Some(handle) => Ok(At { slot, acting: handle.acting_for(&self.kms.caller, &self.request_id) }),
            // What is wrong with the key itself counts before the state of its store.
            None => match slot.refuse_unless_there(id).await {
                Ok(()) => Err(mapping::unavailable(&slot.id, view.state, Error::NOT_CONNECTED)),
                Err(error) => Err(mapping::of_key(error)),
            },
        }
    }

    fn take(&self, slot: &Slot) -> Result<(), KmsError> {
        match &slot.quota {
            Some(quota) if !quota.take(self.kms.shared.clock()) => Err(throttled(&slot.id)),
            _ => Ok(()),
        }
    }
}

fn encrypted(key: &ReadyKey, ciphertext: CiphertextBlob) -> Encrypted {
    Encrypted { key: key.arn.clone(), ciphertext }
}

#[cold]
fn dry_run() -> KmsError {
    KmsError::new(Exception::DryRunOperation, "the request would have succeeded, but for being a dry run")
}

#[cold]
fn throttled(store: &StoreId) -> KmsError {
    let message =
        format!("too many requests for the KMS keys of the custom key store {store} in this second");
    KmsError::new(Exception::Throttling, message)
}
