//! Changes of what a custom key store is made of.

use std::sync::Arc;

use super::Kms;
use super::action::Action;
use super::backends::{Purpose, Refusal};
use super::call::Subject;
use super::error::KmsError;
use super::exception::Exception;
use super::mapping;
use super::request::StoreSecret;
use super::secret;
use super::slot::Slot;
use crate::backend::{Backend, Change, StoreConfiguration, Telling};
use crate::store::{ConnectionState, Revision, UpdateError};
use crate::store_id::StoreId;

/// Changes.
impl Kms {
    /// `UpdateCustomKeyStore`: all of the change or none. The name, and the credential and path of a proxy, may change while
    /// the store is `CONNECTED`; everything needs `DISCONNECTED`. (Where AWS's documents contradict each other, this follows
    /// the notes of the single parameters.) An external key store is probed with the new values first, however long that
    /// takes; a disconnect in the meantime goes first, and the change is refused.
    ///
    /// # Errors
    ///
    /// `ValidationException` when there is nothing to change, or for a property of the other store type; and those that AWS
    /// documents. Nothing has changed then; except that after a `KMSInternalException` of the catalogue a restart may find the
    /// new values.
    ///
    /// # Cancel safety
    ///
    /// Goes on when it is dropped, as long as there is a driver.
    pub async fn update_custom_key_store(
        &self,
        id: &StoreId,
        change: impl Into<Change>,
    ) -> Result<(), KmsError> {
        let change = change.into();
        let mut subject = Subject::store(id);
        for (name, value) in change.to_be_shown() {
            subject = subject.parameter(name, value);
        }
        let id = id.clone();
        self.manage(Action::UpdateCustomKeyStore, subject, |kms| kms.update(id, change)).await
    }

    async fn update(self, id: StoreId, change: Change) -> Result<(), KmsError> {
        if change == Change::default() {
            return Err(KmsError::new(
                Exception::Validation,
                "there is nothing to change in UpdateCustomKeyStore",
            ));
        }
        let shared = &self.shared;
        let slot = shared.slot(&id)?;
        let away = |away| shared.away(&id, away);
        let _update = shared.turn_to_update(&slot).await?;

        let (before, epoch) =
            slot.look(|store, epoch| (store.configuration().clone(), epoch)).map_err(away)?;
        let after = change.apply_to(&before).map_err(mapping::of_change)?;
        let is_allowed = |state| match state {
            ConnectionState::Disconnected => true,
            ConnectionState::Connected => change.is_live(),
            _ => false,
        };
        let refuse = |state: ConnectionState| {
            if is_allowed(state) { Ok(()) } else { Err(mapping::not_now(&id, state)) }
        };
        refuse(slot.view().state)?;

        let claim = match after == before {
            true => None,
            false => Some(shared.claims.claim(&id, &after).map_err(mapping::of_changed_claim)?),
        };
        let told = told(&change);
        let revision = Revision {
            name: change.name.clone(),
            backend: match change.concerns_backend() {
                true => Some((self.changed(&slot, &change, &before, &after).await?, after)),
                false => None,
            },
            secret: told.as_ref().map(secret::encode),
            telling: Telling::of(&change),
        };
        let of_update = |error| mapping::of_update(slot.store_type, change.name.as_ref(), error);
        let trying = slot.look(|store, _| store.try_revision(revision)).map_err(away)?.map_err(of_update)?;
        let tried = trying.await.map_err(of_update)?;

        // Nothing moves the store out of DISCONNECTED from here on; only a disconnect may come in between, and is then
        // the later of the two.
        let _turn = slot.turn.lock().await;
        let recorded = slot
            .look(
                |store, now| {
                    if now == epoch { Ok(store.record_revision(&tried)) } else { Err(store.state()) }
                },
            )
            .map_err(away)?;
        let written = match recorded {
            Ok(recording) => recording.await.map_err(|error| of_update(UpdateError::Catalog(error))),
            Err(found) => Err(mapping::not_now(&id, found)),
        };
        if let Err(error) = written {
            if let Some(goodbye) = tried.withdraw() {
                shared.work.push(goodbye);
            }
            return Err(error);
        }
        // It is written down, so that it must come true.
        slot.outside().await;
        let goodbye = shared.step(&slot, |store| store.adopt_revision(tried))?;
        if change.concerns_backend() {
            slot.has_its_own();
        }
        if let Some(claim) = claim {
            shared.reclaim(&id, claim);
        }
        if let Some(goodbye) = goodbye {
            shared.work.push(goodbye);
        }
        Ok(())
    }

    /// The backend of a changed configuration: that of another place is the application's to make, that of the same place
    /// goes on from the one there is.
    async fn changed(
        &self,
        slot: &Slot,
        change: &Change,
        before: &StoreConfiguration,
        after: &StoreConfiguration,
    ) -> Result<Arc<dyn Backend>, KmsError> {
        // The certificate is that of the cluster that there is, which the new one must have too.
        let of_cluster = |error: KmsError| match error.exception() {
            Exception::IncorrectTrustAnchor => mapping::of_refusal(Refusal::ClusterNotRelated),
            _ => error,
        };
        self.shared.inspect(after, Purpose::Update).await.map_err(of_cluster)?;
        if slot.has_stand_in() || is_elsewhere(before, after) {
            let secret = match told(change) {
                Some(told) => told,
                None => self.secret(slot).await?.ok_or_else(no_secret)?,
            };
            return self.backend(after, &secret).map_err(of_cluster);
        }
        let changed = slot
            .look(|store, _| store.reconfigured(change))
            .map_err(|away| self.shared.away(&slot.id, away))?;
        Ok(changed.map_err(|error| mapping::of_update(slot.store_type, None, error))?.0)
    }
}

/// What a change tells the store, to be let in.
fn told(change: &Change) -> Option<StoreSecret> {
    let credential = change.credential.clone().map(StoreSecret::Credential);
    credential.or_else(|| change.password.clone().map(StoreSecret::Password))
}

/// Whether a store is at another place than before.
fn is_elsewhere(before: &StoreConfiguration, after: &StoreConfiguration) -> bool {
    match (before, after) {
        (StoreConfiguration::External(before), StoreConfiguration::External(after)) => {
            before.uri_endpoint != after.uri_endpoint
                || before.connectivity != after.connectivity
                || before.vpc_endpoint_service_name != after.vpc_endpoint_service_name
        }
        _ => before.cluster_id() != after.cluster_id(),
    }
}

fn no_secret() -> KmsError {
    let message = "what the custom key store is let in by is not kept here: give it with the change";
    KmsError::new(Exception::Validation, message)
}
