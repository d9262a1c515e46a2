//! How calls come into the audit trail.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::action::Action;
use super::call::{Answer, Subject};
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::KeyRef;
use super::refusals::Refusals;
use super::settings::Settings;
use super::shared::Route;
use super::slot::{Moved, Slot};
use crate::audit::{AuditCategory, AuditEntry, AuditError, AuditOutcome, AuditRecord, AuditTrail};
use crate::backend::{BackingKeyId, ConnectionError, CustomKeyStoreType, Operation, RequestId};
use crate::clock::Clock;
use crate::crypto::EncryptionContext;
use crate::error::Error;
use crate::identity::Identity;
use crate::key::{InCluster, KeyId};
use crate::store::{Caller, ConnectionState};
use crate::store_id::StoreId;

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

/// What will be written down of a call. Nothing, if there is no trail. Dropped without an end, it is written down that the
/// caller went away.
pub(super) struct Entry<'t>(Option<Box<Open<'t>>>);

struct Open<'t> {
    place: AuditEntry<'t>,
    record: AuditRecord,
    refusals: &'t Refusals,
}

impl Open<'_> {
    /// Says how it ended. Whether that is to be a line.
    fn end<T>(&mut self, result: &Result<T, KmsError>) -> bool {
        self.record.outcome = outcome(result);
        let Err(error) = result else { return true };
        error.audited();
        let exception = error.exception();
        match &self.record.principal {
            Some(principal) if matches!(exception, Exception::AccessDenied | Exception::Throttling) => {
                self.refusals.is_line(principal, exception.as_str(), self.record.time)
            }
            _ => true,
        }
    }
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
        let Some(inner) = &self.0 else { return Ok(Entry(None)) };
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
        Ok(Entry(Some(Box::new(Open { place, record, refusals }))))
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

    /// Writes down that a key has reached its end, and what became of the one in the cluster.
    pub(super) fn deleted(&self, slot: &Slot, identity: &Identity, id: &KeyId, in_cluster: InCluster) {
        let status = match in_cluster {
            InCluster::Gone => "SUCCESS",
            InCluster::Left => "FAILURE",
            InCluster::Unknown => "UNKNOWN",
        };
        self.deletion(slot, identity, id, AuditOutcome::Succeeded, status);
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

    /// Everything is written, as far as it can be.
    pub(super) async fn close(&self) {
        self.say_what_was_counted();
        if let Some(trail) = self.trail() {
            // There is nobody left to tell; the next one who opens the trail finds what is missing.
            let _ = trail.close().await;
        }
    }
}

impl Entry<'_> {
    #[inline]
    fn note(&mut self, note: impl FnOnce(&mut AuditRecord)) {
        if let Some(open) = &mut self.0 {
            note(&mut open.record);
        }
    }

    pub(super) fn subject(&mut self, subject: &Subject, identity: &Identity) {
        self.note(|record| {
            record.key = subject.key.map(|id| id.arn(identity));
            record.store.clone_from(&subject.store);
            for (name, value) in &subject.parameters {
                record.parameters.insert(*name, value.clone());
            }
        });
    }

    pub(super) fn store(&mut self, store: Option<&StoreId>) {
        self.note(|record| record.store = store.cloned());
    }

    /// Whether what is noted is written down anywhere.
    pub(super) const fn is_written(&self) -> bool {
        self.0.is_some()
    }

    /// The key that a call manages, and its store.
    pub(super) fn found(&mut self, route: &Route) {
        self.note(|record| {
            record.key = Some(route.arn.clone());
            record.store = Some(route.slot.id.clone());
        });
    }

    pub(super) fn key(&mut self, key: &crate::key::KeyArn) {
        self.note(|record| record.key = Some(key.clone()));
    }

    /// The key that is asked for, whether it is there or not.
    #[inline]
    pub(super) fn asked(&mut self, key: &KeyRef, identity: &Identity) {
        self.note(|record| match key {
            KeyRef::Id(id) if record.key.is_none() => record.key = Some(id.arn(identity)),
            KeyRef::Id(id) => record.destination_key = Some(id.arn(identity)),
            KeyRef::Alias(name) => record.parameters.insert("AliasName", name.to_string()),
        });
    }

    /// The key that is used; of two the second is what is encrypted under.
    #[inline]
    pub(super) fn route(&mut self, route: &Route) {
        self.note(|record| match &record.store {
            None => {
                record.key = Some(route.arn.clone());
                record.store = Some(route.slot.id.clone());
                record.cluster.clone_from(&route.slot.view().cluster);
            }
            Some(_) => record.destination_key = Some(route.arn.clone()),
        });
    }

    #[inline]
    pub(super) fn context(&mut self, context: &EncryptionContext) {
        self.note(|record| record.encryption_context = Some(context.clone()));
    }

    pub(super) fn contexts(&mut self, source: &EncryptionContext, destination: &EncryptionContext) {
        self.note(|record| {
            record.encryption_context = Some(source.clone());
            record.destination_encryption_context = Some(destination.clone());
        });
    }

    #[inline]
    pub(super) fn backing_key(&mut self, key: &BackingKeyId) {
        // Of two, that of the key that is decrypted with: the other is of the store of the destination.
        self.note(|record| {
            if record.backing_key.is_none() {
                record.backing_key = Some(key.clone());
            }
        });
    }

    /// Writes down soon what became of the call.
    #[inline]
    pub(super) fn enqueue<T>(mut self, result: &Result<T, KmsError>) {
        if let Some(mut open) = self.0.take()
            && open.end(result)
        {
            let Open { place, record, .. } = *open;
            place.enqueue(record);
        }
    }

    /// Writes down what became of the call, and gives it when that is durable.
    pub(super) async fn write<T: Answer>(mut self, result: Result<T, KmsError>) -> Result<T, KmsError> {
        if let Ok(answer) = &result {
            answer.note(&mut self);
        }
        let Some(mut open) = self.0.take() else { return result };
        if !open.end(&result) {
            return result;
        }
        let Open { place, record, .. } = *open;
        match place.write(record).await {
            Ok(()) => result,
            Err(error) => {
                let message = match result {
                    Ok(_) => "the call was carried out, but its line in the audit trail is not durable",
                    Err(_) => "the call was refused, but its line in the audit trail is not durable",
                };
                let error = KmsError::new(Exception::KmsInternal, message).because(error);
                error.audited();
                Err(error)
            }
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            // A record says that its call was dropped, unless it is told otherwise.
            open.place.enqueue(open.record);
        }
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

fn outcome<T>(result: &Result<T, KmsError>) -> AuditOutcome {
    match result {
        Ok(_) => AuditOutcome::Succeeded,
        Err(error) => AuditOutcome::Failed {
            error: error.exception().as_str().into(),
            message: error.message().to_owned().into(),
        },
    }
}
