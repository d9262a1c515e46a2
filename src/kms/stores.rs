//! Custom key stores: made, connected, disconnected, shown, deleted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::Kms;
use super::action::Action;
use super::backends::Purpose;
use super::call::Subject;
use super::error::KmsError;
use super::exception::Exception;
use super::mapping;
use super::request::{CreateCustomKeyStore, StoreSecret};
use super::secret;
use super::shared::Shared;
use super::slot::{Away, Slot};
use crate::backend::{Backend, CustomKeyStoreType, StoreConfiguration, StoreName};
use crate::catalog::CatalogErrorKind;
use crate::key::{Page, PageRequest};
use crate::store::{ConnectionState, CreateError, Description, Recording, has_keys, store_named};
use crate::store_id::StoreId;

/// What the pages of stores are pages of.
const LIST: &str = "custom key stores";

/// Custom key stores.
impl Kms {
    /// `CreateCustomKeyStore`: the new store is `DISCONNECTED`. An external key store with public connectivity is probed
    /// first; others are first contacted when they connect. A CloudHSM key store that is there already with the same values,
    /// and is `DISCONNECTED`, is taken for the one that is to be created.
    ///
    /// # Errors
    ///
    /// [`KmsError`], by the names that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn create_custom_key_store(&self, request: CreateCustomKeyStore) -> Result<StoreId, KmsError> {
        let subject = Subject::none().configuration(Some(&request.name), Some(&request.configuration));
        self.manage(Action::CreateCustomKeyStore, subject, |kms| kms.create_store(request)).await
    }

    async fn create_store(self, request: CreateCustomKeyStore) -> Result<StoreId, KmsError> {
        let CreateCustomKeyStore { name, configuration, secret } = request;
        if let StoreConfiguration::External(proxy) = &configuration {
            proxy.check().map_err(mapping::of_value)?;
        }
        if let Some(twin) = self.twin(&name, &configuration, &secret).await? {
            return Ok(twin);
        }
        let shared = &self.shared;
        let too_many =
            || KmsError::new(Exception::LimitExceeded, "there are as many custom key stores as there may be");
        let seat = shared.seat(shared.settings.max_stores).ok_or_else(too_many)?;
        let id = StoreId::generate();
        let claim = shared.claims.claim(&id, &configuration)?;
        let backend = self.backend(&configuration, &secret)?;
        shared.inspect(&configuration, Purpose::Create).await?;
        let builder = shared.builder(backend).id(id.clone()).secret(secret::encode(&secret));
        let created = builder.create(&shared.ledger, name).await;
        let error = match created {
            Ok(store) => {
                shared.insert(store.into(), claim, seat)?;
                return Ok(id);
            }
            Err(error) => error,
        };
        let is_late =
            matches!(&error, CreateError::Catalog(error) if error.kind() == CatalogErrorKind::Unavailable);
        if is_late {
            // It may be there all the same, and what is its alone must not be another's meanwhile.
            let (shared, id) = (Arc::clone(shared), id.clone());
            self.shared.work.push(async move { shared.adopt_late(&id, claim, seat).await });
        }
        Err(mapping::of_create(configuration.store_type(), error))
    }

    /// The CloudHSM key store that is there already, when it is created once more: AWS takes that for a retry.
    async fn twin(
        &self,
        name: &StoreName,
        configuration: &StoreConfiguration,
        secret: &StoreSecret,
    ) -> Result<Option<StoreId>, KmsError> {
        let StoreConfiguration::CloudHsm(_) = configuration else { return Ok(None) };
        let Some(slot) = self.named(name).await? else { return Ok(None) };
        let same = slot.look(|store, _| {
            store.state() == ConnectionState::Disconnected && store.configuration() == configuration
        });
        if !same.unwrap_or(false) {
            return Ok(None);
        }
        Ok((self.secret(&slot).await?.as_ref() == Some(secret)).then(|| slot.id.clone()))
    }

    /// The backend of a configuration, which must say of itself what it was made for.
    pub(super) fn backend(
        &self,
        configuration: &StoreConfiguration,
        secret: &StoreSecret,
    ) -> Result<Arc<dyn Backend>, KmsError> {
        self.shared.backend(configuration, secret).map_err(mapping::of_refusal)
    }

    /// What a store was last told, to be let in.
    pub(super) async fn secret(&self, slot: &Slot) -> Result<Option<StoreSecret>, KmsError> {
        let sealed = slot.look(|store, _| store.secret()).map_err(|away| self.shared.away(&slot.id, away))?;
        Ok(sealed.map_err(mapping::of_catalog)?.as_ref().and_then(secret::decode))
    }

    /// `ConnectCustomKeyStore`: returns when it is written down that the store is to be connected, which is then
    /// `CONNECTING`. The attempt ends it `CONNECTED` or `FAILED`: see [`events`](Self::events). Of a store that is
    /// `CONNECTING` or `CONNECTED` it asks nothing.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreInvalidStateException` in the states `FAILED` and `DISCONNECTING`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn connect_custom_key_store(&self, id: &StoreId) -> Result<(), KmsError> {
        let subject = Subject::store(id);
        let id = id.clone();
        self.manage(Action::ConnectCustomKeyStore, subject, |kms| kms.connect(id)).await
    }

    async fn connect(self, id: StoreId) -> Result<(), KmsError> {
        let shared = &self.shared;
        let slot = shared.slot(&id)?;
        let may_be_refused = slot.store_type == CustomKeyStoreType::AwsCloudhsm;
        if may_be_refused && slot.view().state == ConnectionState::Disconnected {
            let configuration = slot.look(|store, _| store.configuration().clone());
            let configuration = configuration.map_err(|away| shared.away(&id, away))?;
            shared.inspect_to_connect(&configuration).await?;
        }
        let begun = {
            let _turn = slot.turn.lock().await;
            shared.step(&slot, |store| match store.state() {
                ConnectionState::Connecting | ConnectionState::Connected => Ok(store.recording()),
                // The one place that knows which states these are.
                found => store.connect().map(|()| store.recording()).map_err(|_| found),
            })?
        };
        let recording = begun.map_err(|found| {
            let what = "it can be connected only while it is DISCONNECTED";
            mapping::invalid_state(&id, found, what, mapping::advice_in(found))
        })?;
        recorded(recording).await
    }

    /// `DisconnectCustomKeyStore`: takes effect at once, before anything is awaited: no call is admitted from then on.
    /// Returns when that is written down. Whatever is being done with the store, it does not wait for it.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreInvalidStateException` in the states `DISCONNECTED` and `DISCONNECTING`, and others that AWS
    /// documents. After `KMSInternalException` the store is disconnected, but not yet written down as such, which is tried
    /// again: a restart before that connects it again.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn disconnect_custom_key_store(&self, id: &StoreId) -> Result<(), KmsError> {
        let subject = Subject::store(id);
        let id = id.clone();
        self.manage(Action::DisconnectCustomKeyStore, subject, |kms| kms.disconnect(id)).await
    }

    async fn disconnect(self, id: StoreId) -> Result<(), KmsError> {
        let slot = self.shared.slot(&id)?;
        let begun = self.shared.step(&slot, |store| {
            let found = store.state();
            store.disconnect().map(|()| store.recording()).map_err(|_| found)
        })?;
        let recording = begun.map_err(|found| {
            let (what, advice) = match found {
                ConnectionState::Disconnected => {
                    ("it is disconnected already", "there is nothing to be done")
                }
                _ => (
                    "it is being disconnected already",
                    "wait until DescribeCustomKeyStores says DISCONNECTED",
                ),
            };
            mapping::invalid_state(&id, found, what, advice)
        })?;
        let Some(recording) = recording else { return Ok(()) };
        let Some(error) = recording.await else { return Ok(()) };
        // A restart must not connect it again.
        let (shared, slot) = (Arc::clone(&self.shared), Arc::clone(&slot));
        self.shared.work.push(async move { keep_disconnected(&shared, &slot).await });
        Err(mapping::of_catalog(error))
    }

    /// `DeleteCustomKeyStore`: of a store that is `DISCONNECTED` and has no KMS keys, not even such whose deletion is
    /// scheduled. What is in the key manager stays as it is.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreInvalidStateException`, before `CustomKeyStoreHasCMKsException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn delete_custom_key_store(&self, id: &StoreId) -> Result<(), KmsError> {
        let subject = Subject::store(id);
        let id = id.clone();
        self.manage(Action::DeleteCustomKeyStore, subject, |kms| kms.delete(id)).await
    }

    async fn delete(self, id: StoreId) -> Result<(), KmsError> {
        let shared = &self.shared;
        let slot = shared.slot(&id)?;
        let _update = shared.turn_to_update(&slot).await?;
        let _turn = slot.turn.lock().await;
        let deletion = slot.look(|store, _| store.deletion().ok_or_else(|| store.state()));
        let deletion = deletion.map_err(|away| shared.away(&id, away))?.map_err(|found| {
            let what = "it can be deleted only while it is DISCONNECTED";
            mapping::invalid_state(&id, found, what, "disconnect the custom key store, and delete it then")
        })?;
        match deletion.await {
            Ok(()) => {
                shared.remove(&slot);
                Ok(())
            }
            Err(error) if has_keys(&error) => {
                let message = format!(
                    "the custom key store {id} has KMS keys; those whose deletion is scheduled count until they are deleted"
                );
                // What the catalogue says of it is a lost race, which it was not.
                Err(KmsError::new(Exception::CustomKeyStoreHasCmks, message))
            }
            // This deletion, or an earlier one, took place after all, of which the catalogue did not say so in time.
            Err(error) if error.kind() == CatalogErrorKind::NotFound || shared.is_gone(&id, &error).await => {
                shared.remove(&slot);
                Ok(())
            }
            Err(error) => Err(mapping::of_catalog(error)),
        }
    }

    /// `DescribeCustomKeyStores` of all stores, in the order of their ids.
    ///
    /// # Errors
    ///
    /// `InvalidMarkerException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn describe_custom_key_stores(
        &self,
        page: &PageRequest,
    ) -> Result<Page<Description>, KmsError> {
        let page = page.clone();
        let work = |kms: Self| async move {
            let after = page.after_id(LIST).map_err(mapping::of_value)?;
            let slots = kms.shared.slots_after(after, page.limit() + 1);
            let page = Page::new(LIST, page.limit(), slots, |slot| slot.id.to_string(), |slot| slot);
            let items = page.items.iter().filter_map(|slot| match slot.look(|store, _| store.describe()) {
                Ok(described) => Some(Ok(described)),
                // One that was deleted in this moment is not among them.
                Err(Away::Gone) => None,
                Err(away) => Some(Err(kms.shared.away(&slot.id, away))),
            });
            Ok(Page { items: items.collect::<Result<_, _>>()?, next: page.next })
        };
        self.manage(Action::DescribeCustomKeyStores, Subject::none(), work).await
    }

    /// `DescribeCustomKeyStores` of one store.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreNotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn describe_custom_key_store(&self, id: &StoreId) -> Result<Description, KmsError> {
        let subject = Subject::store(id);
        let id = id.clone();
        let work = |kms: Self| async move { kms.describe(&*kms.shared.slot(&id)?) };
        self.manage(Action::DescribeCustomKeyStores, subject, work).await
    }

    /// `DescribeCustomKeyStores` of the store of this name, in this very spelling.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreNotFoundException`, and others that AWS documents.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn describe_custom_key_store_named(&self, name: &StoreName) -> Result<Description, KmsError> {
        let subject = Subject::by_name(name);
        let name = name.clone();
        let work = |kms: Self| async move {
            let found = kms.named(&name).await?;
            // By the id, as whoever describes it by that is judged.
            kms.authorize(Action::DescribeCustomKeyStores, None, found.as_ref().map(|slot| &slot.id))?;
            kms.describe(&*found.ok_or_else(|| mapping::store_not_found_by_name(&name))?)
        };
        self.manage(Action::DescribeCustomKeyStores, subject, work).await
    }

    /// Waits until a store is in a connection state that lasts, and describes it: how an attempt to connect it has ended, or a
    /// disconnect. A store that is connected again after a restart is `CONNECTING` as long as the cause of its failures may
    /// pass by itself, so put a limit around this. Not a call of AWS's: it is neither judged nor written down.
    ///
    /// # Errors
    ///
    /// `CustomKeyStoreNotFoundException`, also when it is deleted meanwhile, and `KMSInternalException` when there is no driver
    /// any more.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn settled(&self, id: &StoreId) -> Result<Description, KmsError> {
        // Before the look, so that no end is missed.
        let mut events = self.events();
        loop {
            let described = self.describe(&*self.shared.slot(id)?)?;
            if !described.connection_state.is_transient() {
                return Ok(described);
            }
            if events.next().await.is_none() {
                return Err(self.shared.gone(id));
            }
        }
    }

    fn describe(&self, slot: &Slot) -> Result<Description, KmsError> {
        slot.look(|store, _| store.describe()).map_err(|away| self.shared.away(&slot.id, away))
    }

    async fn named(&self, name: &StoreName) -> Result<Option<Arc<Slot>>, KmsError> {
        let shared = &self.shared;
        let found = shared.timing().bounded(store_named(&shared.ledger, name)).await;
        Ok(found.map_err(mapping::of_catalog)?.and_then(|id| shared.find(&id)))
    }
}

/// Writes down that a store is disconnected, again and again until it is durable, or the store has moved on.
async fn keep_disconnected(shared: &Shared, slot: &Slot) {
    let mut pause = Duration::from_secs(1);
    loop {
        shared.clock().sleep(pause).await;
        pause = (2 * pause).min(Duration::from_secs(60));
        let Ok(Some(recording)) = slot.look(|store, _| store.recording_again()) else { return };
        if recording.await.is_none() {
            return;
        }
    }
}

/// Waits until a transition is written down.
async fn recorded(recording: Option<Recording>) -> Result<(), KmsError> {
    let Some(recording) = recording else { return Ok(()) };
    match recording.await {
        None => Ok(()),
        Some(error) => Err(mapping::of_catalog(error)),
    }
}
