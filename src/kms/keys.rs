//! KMS keys: made, shown, managed.

use std::sync::Arc;

use super::Kms;
use super::action::Action;
use super::backends::Purpose;
use super::call::{Found, Subject};
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::{KeyRef, alias_arn};
use super::mapping;
use super::request::{AliasEntry, ScheduledDeletion};
use super::shared::Route;
use crate::backend::CustomKeyStoreType;
use crate::error::{Error, ErrorKind};
use crate::identity::Identity;
use crate::key::{
    Alias, AliasName, KeyArn, KeyId, KeyMetadata, KeyText, NewKey, Page, PageRequest, TagKey, TagValue,
    list_aliases, list_keys,
};
use crate::store_id::StoreId;

/// What is waited for when no window is given.
const WINDOW: u32 = 30;

/// The one name of a policy.
const POLICY: &str = "default";

/// How often an alias is followed that goes from one key to another.
const TRIES: usize = 16;

/// Carries out `$work` on the keys of the store that a key belongs to.
///
/// A macro, because what it works on is borrowed from locals that must outlive the await.
macro_rules! on_key {
    ($kms:expr, $action:expr, $subject:expr, |$keys:ident, $id:ident| $work:expr) => {{
        let subject = $subject;
        let $id: KeyId = *$id;
        let work = move |kms: Kms| async move {
            let route = kms.shared.route(&$id).await?;
            let view = route.slot.view_full();
            let $keys = view.keys(&route.slot);
            $work.await.map_err(mapping::of_key)
        };
        $kms.manage($action, subject, work).await
    }};
}

/// Tries again with an alias that stands for another key by now: each time somebody else got ahead, of whom there are few.
macro_rules! while_it_moves {
    ($attempt:expr) => {{
        let mut tries = 0;
        loop {
            match $attempt {
                Err(error) if error.kind() == ErrorKind::Busy && tries < TRIES => tries += 1,
                other => return other.map_err(mapping::of_key),
            }
        }
    }};
}

/// KMS keys. All of it but [`create_key`](Self::create_key) can be done in every connection state.
///
/// Every method answers [`KmsError`], by the names that AWS documents. Those that change something go on when they are
/// dropped, as long as there is a driver; the others may be dropped at will.
impl Kms {
    /// `CreateKey` in a custom key store. With tags it takes the permission `TagResource` too, as AWS has it.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreInvalidStateException` unless the store is `CONNECTED`, and for what a key manager answers that has no
    /// name of its own.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn create_key(&self, store: &StoreId, new: &NewKey) -> Result<KeyMetadata, KmsError> {
        let mut subject = Subject::store(store);
        if let Some(key) = new.external_key() {
            subject = subject.parameter("XksKeyId", key);
        }
        let (description, tags) = new.labels();
        if !description.as_str().is_empty() {
            subject = subject.description(description);
        }
        if !tags.is_empty() {
            subject = subject.tags(tags).also(Action::TagResource);
        }
        let (store, new) = (store.clone(), new.clone());
        self.manage(Action::CreateKey, subject, |kms| kms.create(store, new)).await
    }

    async fn create(self, store: StoreId, new: NewKey) -> Result<KeyMetadata, KmsError> {
        let shared = &self.shared;
        let slot = shared.slot(&store)?;
        new.check().map_err(mapping::of_value)?;
        let view = slot.view_full();
        let refused = |error| mapping::of_create_key(&store, slot.store_type, slot.view().state, error);
        let Some(handle) = &view.handle else { return Err(refused(Error::NOT_CONNECTED)) };
        if slot.store_type == CustomKeyStoreType::AwsCloudhsm {
            let configuration = slot.look(|store, _| store.configuration().clone());
            let configuration = configuration.map_err(|away| shared.away(&store, away))?;
            let inspected = shared.surroundings.inspect(&configuration, Purpose::CreateKey).await;
            inspected.map_err(mapping::of_refused_key)?;
        }
        let request_id = self.request_id();
        handle.acting_for(&self.caller, &request_id).create_key(&new).await.map_err(refused)
    }

    /// `DescribeKey`.
    ///
    /// # Errors
    ///
    /// `NotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn describe_key(&self, key: &KeyRef) -> Result<KeyMetadata, KmsError> {
        let key = key.clone();
        let subject = Subject::named(&key);
        let work = |kms: Self, found: Found| async move {
            let (id, route) = kms.permitted(Action::DescribeKey, &key, |route| found.note(route)).await?;
            let view = route.slot.view_full();
            view.keys(&route.slot).describe(&id).await.map_err(mapping::of_key)
        };
        self.manage_named(Action::DescribeKey, subject, work).await
    }

    /// `ListKeys`: all of the catalogue, in the order of their ids.
    ///
    /// # Errors
    ///
    /// `InvalidMarkerException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn list_keys(&self, page: &PageRequest) -> Result<Page<KeyArn>, KmsError> {
        let page = page.clone();
        let work = |kms: Self| async move {
            let shared = &kms.shared;
            let found = list_keys(&shared.ledger, &shared.timing(), &page).await.map_err(mapping::of_key)?;
            Ok(found.map(|key| key.id.arn(shared.ledger.identity())))
        };
        self.manage(Action::ListKeys, Subject::none(), work).await
    }

    /// `UpdateKeyDescription`.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn update_key_description(&self, key: &KeyId, description: KeyText) -> Result<(), KmsError> {
        let subject = Subject::key(key).description(&description);
        on_key!(self, Action::UpdateKeyDescription, subject, |keys, key| keys
            .update_description(&key, description))
    }

    /// `EnableKey`. While the store is not connected, it takes effect with the next connection.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn enable_key(&self, key: &KeyId) -> Result<(), KmsError> {
        on_key!(self, Action::EnableKey, Subject::key(key), |keys, key| keys.enable(&key))
    }

    /// `DisableKey`: when this returns, no call that begins afterwards uses the key.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn disable_key(&self, key: &KeyId) -> Result<(), KmsError> {
        on_key!(self, Action::DisableKey, Subject::key(key), |keys, key| keys.disable(&key))
    }

    /// `ScheduleKeyDeletion`: in 7 to 30 days, 30 if none are given. Until then the key cannot be used, and the deletion can be
    /// cancelled.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn schedule_key_deletion(
        &self,
        key: &KeyId,
        days: Option<u32>,
    ) -> Result<ScheduledDeletion, KmsError> {
        let (id, days) = (*key, days.unwrap_or(WINDOW));
        let subject = Subject::key(key).parameter("PendingWindowInDays", days);
        let work = move |kms: Self| async move {
            let route = kms.shared.route(&id).await?;
            let view = route.slot.view_full();
            let scheduled = view.keys(&route.slot).schedule_deletion(&id, days).await;
            let deletion_date = scheduled.map_err(mapping::of_key)?;
            Ok(ScheduledDeletion { key: route.arn.clone(), deletion_date, pending_window_in_days: days })
        };
        self.manage(Action::ScheduleKeyDeletion, subject, work).await
    }

    /// `CancelKeyDeletion`. The key is then disabled.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is not scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn cancel_key_deletion(&self, key: &KeyId) -> Result<(), KmsError> {
        on_key!(self, Action::CancelKeyDeletion, Subject::key(key), |keys, key| keys.cancel_deletion(&key))
    }

    /// `CreateAlias`. It takes one permission, on the key: rules name no aliases, on which AWS asks for another.
    ///
    /// # Errors
    ///
    /// `AlreadyExistsException`, `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn create_alias(&self, name: &AliasName, key: &KeyId) -> Result<(), KmsError> {
        let name = name.clone();
        on_key!(self, Action::CreateAlias, Subject::key(key).alias(&name), |keys, key| keys
            .create_alias(&name, &key))
    }

    /// `UpdateAlias`: has a name stand for another key, which may be of another custom key store.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a new key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn update_alias(&self, name: &AliasName, key: &KeyId) -> Result<(), KmsError> {
        let (name, id) = (name.clone(), *key);
        let subject = Subject::key(key).alias(&name);
        let work = move |kms: Self, found: Found| async move {
            let route = kms.shared.route(&id).await?;
            let view = route.slot.view_full();
            let named = KeyRef::from(name.clone());
            while_it_moves!({
                // From a key that the caller may not take it from it is not taken.
                let judged = |from: &Arc<Route>| found.note_previous(from);
                let (from, _) = kms.permitted(Action::UpdateAlias, &named, judged).await?;
                view.keys(&route.slot).take_alias(&name, &from, &id).await
            })
        };
        self.manage_named(Action::UpdateAlias, subject, work).await
    }

    /// `DeleteAlias`. The key stays as it is.
    ///
    /// # Errors
    ///
    /// `NotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn delete_alias(&self, name: &AliasName) -> Result<(), KmsError> {
        let name = name.clone();
        let subject = Subject::named(&name.clone().into());
        let work = |kms: Self, found: Found| async move {
            while_it_moves!({
                let named = KeyRef::from(name.clone());
                let (id, route) =
                    kms.permitted(Action::DeleteAlias, &named, |route| found.note(route)).await?;
                let view = route.slot.view_full();
                view.keys(&route.slot).delete_alias_of(&name, &id).await
            })
        };
        self.manage_named(Action::DeleteAlias, subject, work).await
    }

    /// `ListAliases`: all of the catalogue, or those of one key, in the order of their names.
    ///
    /// # Errors
    ///
    /// `InvalidMarkerException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn list_aliases(
        &self,
        key: Option<&KeyId>,
        page: &PageRequest,
    ) -> Result<Page<AliasEntry>, KmsError> {
        let (page, id) = (page.clone(), key.copied());
        let subject = key.map_or_else(Subject::none, Subject::key);
        let work = move |kms: Self| async move {
            let shared = &kms.shared;
            let found = match id {
                None => list_aliases(&shared.ledger, &shared.timing(), &page).await,
                Some(id) => {
                    let route = shared.route(&id).await?;
                    let view = route.slot.view_full();
                    view.keys(&route.slot).aliases(&id, &page).await
                }
            };
            let entry = |alias: Alias| AliasEntry {
                arn: alias_arn(&alias.name, shared.ledger.identity()),
                name: alias.name,
                key: alias.key,
                created: alias.created,
                updated: alias.updated,
            };
            Ok(found.map_err(mapping::of_key)?.map(entry))
        };
        self.manage(Action::ListAliases, subject, work).await
    }

    /// `TagResource`: all of the tags or none; a key has at most 50.
    ///
    /// # Errors
    ///
    /// `TagException`, `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn tag_resource(&self, key: &KeyId, tags: &[(TagKey, TagValue)]) -> Result<(), KmsError> {
        let tags = tags.to_vec();
        let subject = Subject::key(key).tags(&tags);
        on_key!(self, Action::TagResource, subject, |keys, key| keys.tag(&key, &tags))
    }

    /// `UntagResource`. Tags that the key does not have are no error.
    ///
    /// # Errors
    ///
    /// `KMSInvalidStateException` for a key whose deletion is scheduled, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn untag_resource(&self, key: &KeyId, tags: &[TagKey]) -> Result<(), KmsError> {
        let tags = tags.to_vec();
        let subject = Subject::key(key).tag_keys(&tags);
        on_key!(self, Action::UntagResource, subject, |keys, key| keys.untag(&key, &tags))
    }

    /// `ListResourceTags`, in the order of their keys.
    ///
    /// # Errors
    ///
    /// `NotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn list_resource_tags(&self, key: &KeyId) -> Result<Vec<(TagKey, TagValue)>, KmsError> {
        on_key!(self, Action::ListResourceTags, Subject::key(key), |keys, key| keys.tags(&key))
    }

    /// `GetKeyPolicy`: the one policy that every key has, by which the account decides; there the rules of the application do.
    ///
    /// # Errors
    ///
    /// `NotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn key_policy(&self, key: &KeyId) -> Result<String, KmsError> {
        self.key_policy_named(key, POLICY).await
    }

    /// `GetKeyPolicy` of the policy of this name, of which there is one, `default`.
    ///
    /// # Errors
    ///
    /// `NotFoundException` also for another name, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn key_policy_named(&self, key: &KeyId, name: &str) -> Result<String, KmsError> {
        let (id, is_there) = (*key, name == POLICY);
        let work = move |kms: Self| async move {
            let route = kms.shared.route(&id).await?;
            let view = route.slot.view_full();
            view.keys(&route.slot).describe(&id).await.map_err(mapping::of_key)?;
            match is_there {
                true => Ok(policy(kms.shared.ledger.identity())),
                false => Err(KmsError::new(Exception::NotFound, "No such policy exists")
                    .advised("every key has one policy, named default")),
            }
        };
        self.manage(Action::GetKeyPolicy, Subject::key(key), work).await
    }

    /// `ListKeyPolicies`: the names of the key's policies, which are the name of the one that every key has.
    ///
    /// # Errors
    ///
    /// `NotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn list_key_policies(&self, key: &KeyId) -> Result<Vec<&'static str>, KmsError> {
        let id = *key;
        let work = move |kms: Self| async move {
            let route = kms.shared.route(&id).await?;
            let view = route.slot.view_full();
            view.keys(&route.slot).describe(&id).await.map_err(mapping::of_key)?;
            Ok(vec![POLICY])
        };
        self.manage(Action::ListKeyPolicies, Subject::key(key), work).await
    }
}

/// The one policy that every key has: the account decides, and there the rules of the application do.
fn policy(identity: &Identity) -> String {
    let Identity { partition, account, .. } = identity;
    format!(
        "{{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {{\n    \"Sid\" : \"Enable \
         IAM User Permissions\",\n    \"Effect\" : \"Allow\",\n    \"Principal\" : {{\n      \"AWS\" : \
         \"arn:{partition}:iam::{account}:root\"\n    }},\n    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  }} ]\n}}"
    )
}
