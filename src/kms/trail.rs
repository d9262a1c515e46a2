//! How calls come into the audit trail.

mod entry;
mod shorten;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::action::Action;
use super::error::KmsError;
use super::exception::Exception;
use super::refusals::Refusals;
use super::settings::Settings;
use super::slot::{Moved, Slot};
use crate::audit::{AuditCategory, AuditError, AuditOutcome, AuditRecord, AuditTrail};
use crate::backend::{ConnectionError, CustomKeyStoreType, Operation, RequestId};
use crate::clock::Clock;
use crate::error::Error;
use crate::identity::Identity;
use crate::key::{Fate, KeyId};
use crate::panics::catch;
use crate::store::{Caller, ConnectionState};
use crate::store_id::StoreId;

pub(super) use entry::Entry;

/// The audit trail, if there is one.
#[derive(Debug, Clone)]
pub(super) struct Trail(Option<Arc<Inner>>);

struct Inner {
    trail: AuditTrail,
    refusals: Refusals,
    clock: Arc<dyn Clock>,
}

/// A request that was refused before it came to a call of a [`Kms`](super::Kms).
#[cfg(feature = "kms-api")]
#[derive(Debug)]
pub(crate) struct RefusedRequest<'r> {
    pub(crate) request_id: &'r RequestId,
    /// `None` if that is not known.
    pub(crate) principal: Option<&'r Arc<str>>,
    pub(crate) source_address: Option<std::net::IpAddr>,
    /// As far as it is one of AWS's.
    pub(crate) operation: Option<&'static str>,
    pub(crate) error: &'static str,
    /// What is answered.
    pub(crate) message: &'r str,
}

impl Trail {
    pub(super) fn new(trail: Option<AuditTrail>, settings: &Settings) -> Self {
        let clock = Arc::clone(&settings.clock);
        let refusals = Refusals::new(settings.audited_refusals, &clock);
        Self(trail.map(|trail| Arc::new(Inner { trail, refusals, clock })))
    }

    /// Begins a call, unless what becomes of it could not be written down. What takes the use of keys away begins even then:
    /// it is for the moment in which nothing else is as it should be.
    #[inline]
    pub(super) fn begin(
        &self,
        caller: &Caller,
        request_id: &RequestId,
        action: Action,
        clock: &Arc<dyn Clock>,
    ) -> Result<Entry<'_>, KmsError> {
        let Some(inner) = &self.0 else { return Ok(Entry::none()) };
        let Inner { trail, refusals, .. } = &**inner;
        let place = match action.is_kill_switch() {
            true => trail.begin_regardless(),
            false => trail.begin().map_err(unwritable)?,
        };
        let category = match action.is_cryptographic() {
            true => AuditCategory::Cryptographic,
            false => AuditCategory::Management,
        };
        let mut record = AuditRecord::call(clock.wall(), category, Operation::new(action.as_str()));
        record.request_id = Some(request_id.clone());
        record.principal = Some(Arc::clone(&caller.principal));
        record.source_address = caller.source_address;
        Ok(Entry::begun(place, record, refusals))
    }

    fn trail(&self) -> Option<&AuditTrail> {
        self.0.as_deref().map(|inner| &inner.trail)
    }

    /// Writes down what was refused before it was a call: of whoever is known, soon, and within bounds; what nobody knows who
    /// sent is counted, so that no stranger fills the medium.
    #[cfg(feature = "kms-api")]
    #[cold]
    pub(super) fn refused(&self, request: &RefusedRequest<'_>) {
        /// Enough for what is wrong with a request of which everything is.
        const MOST: usize = 1024;
        /// What is called for that is no operation.
        const UNKNOWN: &str = "UnknownOperation";

        let Some(inner) = &self.0 else { return };
        let RefusedRequest { request_id, principal, source_address, operation, error, message } = *request;
        let time = inner.clock.wall();
        let Some(principal) = principal else { return inner.refusals.stranger(error, time) };
        if !inner.refusals.is_line(principal, error, time) {
            return;
        }
        let action = operation.and_then(|name| name.parse().ok());
        let category = match action.is_some_and(Action::is_cryptographic) {
            true => AuditCategory::Cryptographic,
            false => AuditCategory::Management,
        };
        let message = message.chars().take(MOST).collect::<String>().into();
        let record = AuditRecord::call(time, category, Operation::new(operation.unwrap_or(UNKNOWN)));
        let mut record = record
            .with_request_id(request_id.clone())
            .with_principal(Arc::clone(principal))
            .with_outcome(AuditOutcome::Failed { error: error.into(), message });
        record.source_address = source_address;
        inner.trail.event(record);
    }

    /// Resolves when refusals were counted that no line speaks of yet. For one at a time.
    pub(super) async fn any_counted(&self) {
        match &self.0 {
            Some(inner) => inner.refusals.any().await,
            None => std::future::pending().await,
        }
    }

    /// Makes lines of what was counted.
    pub(super) fn say_what_was_counted(&self) {
        if let Some(inner) = &self.0 {
            inner.refusals.say(&inner.trail, inner.clock.wall());
        }
    }

    /// Writes down how a transition ended: what CloudTrail leaves out.
    pub(super) fn moved(&self, store: &StoreId, moved: Moved, time: SystemTime) {
        let Some(trail) = self.trail() else { return };
        let Moved { from, to, code } = moved;
        let operation = match (from, to) {
            (ConnectionState::Connecting, ConnectionState::Connected | ConnectionState::Failed) => {
                Operation::CONNECT_CUSTOM_KEY_STORE
            }
            (ConnectionState::Disconnecting, _) => Operation::new(Action::DisconnectCustomKeyStore.as_str()),
            // The call itself is in the trail.
            _ => return,
        };
        trail.event(AuditRecord::transition(time, operation, (from, to), code).with_store(store.clone()));
    }

    /// Writes down that an attempt after a restart failed, and will be followed by another.
    pub(super) fn tried_again(&self, store: &StoreId, error: &ConnectionError, time: SystemTime) {
        let Some(trail) = self.trail() else { return };
        let still = (ConnectionState::Connecting, ConnectionState::Connecting);
        let operation = Operation::CONNECT_CUSTOM_KEY_STORE;
        trail.event(
            AuditRecord::transition(time, operation, still, Some(error.code())).with_store(store.clone()),
        );
    }

    /// Writes down that a key has reached its end, or may have, and what became of the one in the cluster.
    pub(super) fn deleted(&self, slot: &Slot, identity: &Identity, id: &KeyId, fate: Fate) {
        let (outcome, status) = match fate {
            Fate::Gone => (AuditOutcome::Succeeded, "SUCCESS"),
            Fate::LeftInCluster => (AuditOutcome::Succeeded, "FAILURE"),
            Fate::UnknownInCluster => (AuditOutcome::Succeeded, "UNKNOWN"),
            Fate::InDoubt => (AuditOutcome::Dropped, "UNKNOWN"),
        };
        self.deletion(slot, identity, id, outcome, status);
    }

    /// Writes down that a key should have reached its end, and has not.
    pub(super) fn not_deleted(&self, slot: &Slot, identity: &Identity, id: &KeyId, error: &Error) {
        let (error, message) = (Exception::KmsInternal.as_str().into(), error.to_string().into());
        self.deletion(slot, identity, id, AuditOutcome::Failed { error, message }, "NOT_TRIED");
    }

    fn deletion(
        &self,
        slot: &Slot,
        identity: &Identity,
        id: &KeyId,
        outcome: AuditOutcome,
        status: &'static str,
    ) {
        let Some(inner) = &self.0 else { return };
        let record = AuditRecord::service(inner.clock.wall(), Operation::DELETE_KEY, outcome)
            .with_store(slot.id.clone())
            .with_key(id.arn(identity));
        // The key of an external key manager is left alone.
        inner.trail.event(match slot.store_type {
            CustomKeyStoreType::AwsCloudhsm => record.with_parameter("backingKeyDeletionStatus", status),
            CustomKeyStoreType::ExternalKeyStore => record,
        });
    }

    /// The same at the end: nobody will ask again.
    pub(super) fn say_the_last_counts(&self) {
        let Some(inner) = &self.0 else { return };
        // There is nobody to tell.
        let _ = catch(|| inner.refusals.say_last(&inner.trail, inner.clock.wall()));
    }

    /// Everything is written, as far as it can be.
    pub(super) async fn close(&self) {
        let Some(trail) = self.trail() else { return };
        // There is nobody left to tell; the next one who opens the trail finds what is missing. What waits makes room.
        let _ = trail.flush().await;
        self.say_the_last_counts();
        let _ = trail.close().await;
    }
}

/// Nothing has begun, which the trail has counted.
#[cold]
fn unwritable(error: AuditError) -> KmsError {
    let message = "the audit trail cannot be written, so nothing is done";
    let error = KmsError::new(Exception::KmsInternal, message).because(error);
    error.audited();
    error
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail")
            .field("trail", &self.trail)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
