//! How calls come into the audit trail.

use std::sync::Arc;
use std::time::SystemTime;

use super::action::Action;
use super::call::{Answer, Subject};
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::KeyRef;
use super::shared::Route;
use super::slot::Moved;
use crate::audit::{AuditCategory, AuditEntry, AuditOutcome, AuditRecord, AuditTrail};
use crate::backend::{BackingKeyId, ConnectionError, CustomKeyStoreType, Operation, RequestId};
use crate::clock::Clock;
use crate::crypto::EncryptionContext;
use crate::error::Error;
use crate::identity::Identity;
use crate::key::{DeletionReport, KeyId};
use crate::store::{Caller, ConnectionState};
use crate::store_id::StoreId;

/// The audit trail, if there is one.
#[derive(Debug, Clone)]
pub(super) struct Trail(Option<AuditTrail>);

/// What will be written down of a call. Nothing, if there is no trail. Dropped without an end, it is written down that the
/// caller went away.
pub(super) struct Entry<'t>(Option<Box<Open<'t>>>);

struct Open<'t> {
    place: AuditEntry<'t>,
    record: AuditRecord,
}

impl Trail {
    pub(super) const fn new(trail: Option<AuditTrail>) -> Self {
        Self(trail)
    }

    /// Begins a call, unless what becomes of it could not be written down.
    #[inline]
    pub(super) fn begin(
        &self,
        caller: &Caller,
        request_id: &RequestId,
        action: Action,
        clock: &Arc<dyn Clock>,
    ) -> Result<Entry<'_>, KmsError> {
        let Some(trail) = &self.0 else { return Ok(Entry(None)) };
        let place = trail.begin().map_err(|error| {
            KmsError::new(Exception::KmsInternal, "the audit trail cannot be written, so nothing is done")
                .because(error)
        })?;
        let category = match action.is_cryptographic() {
            true => AuditCategory::Cryptographic,
            false => AuditCategory::Management,
        };
        let mut record = AuditRecord::call(clock.wall(), category, Operation::new(action.as_str()));
        record.request_id = Some(request_id.clone());
        record.principal = Some(Arc::clone(&caller.principal));
        record.source_address = caller.source_address;
        Ok(Entry(Some(Box::new(Open { place, record }))))
    }

    /// Writes down how a transition ended: what CloudTrail leaves out.
    pub(super) fn moved(&self, store: &StoreId, moved: Moved, time: SystemTime) {
        let Some(trail) = &self.0 else { return };
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
        let Some(trail) = &self.0 else { return };
        let still = (ConnectionState::Connecting, ConnectionState::Connecting);
        let operation = Operation::CONNECT_CUSTOM_KEY_STORE;
        trail.event(
            AuditRecord::transition(time, operation, still, Some(error.code())).with_store(store.clone()),
        );
    }

    /// Writes down which keys reached their end, and what became of those in the cluster.
    pub(super) fn deleted(
        &self,
        store: &StoreId,
        store_type: CustomKeyStoreType,
        identity: &Identity,
        report: &DeletionReport,
        time: SystemTime,
    ) {
        let Some(trail) = &self.0 else { return };
        let failed = |error: &Error| AuditOutcome::Failed {
            error: Exception::KmsInternal.as_str().into(),
            message: error.to_string().into(),
        };
        let event = |id: &KeyId, outcome: AuditOutcome, status: &'static str| {
            let record = AuditRecord::service(time, Operation::DELETE_KEY, outcome)
                .with_store(store.clone())
                .with_key(id.arn(identity));
            // The key of an external key manager is left alone.
            trail.event(match store_type {
                CustomKeyStoreType::AwsCloudhsm => record.with_parameter("backingKeyDeletionStatus", status),
                CustomKeyStoreType::ExternalKeyStore => record,
            });
        };
        for id in &report.deleted {
            match report.orphaned.iter().find(|(orphan, _)| orphan == id) {
                None => event(id, AuditOutcome::Succeeded, "SUCCESS"),
                Some(_) => event(id, AuditOutcome::Succeeded, "FAILURE"),
            }
        }
        for (id, error) in &report.failed {
            event(id, failed(error), "NOT_TRIED");
        }
    }

    /// Everything is written, as far as it can be.
    pub(super) async fn close(&self) {
        if let Some(trail) = &self.0 {
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
                if route.slot.store_type == CustomKeyStoreType::AwsCloudhsm {
                    let cluster = route.slot.look(|store, _| store.configuration().cluster_id());
                    record.cluster = cluster.ok().flatten();
                }
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
        if let Some(open) = self.0.take() {
            let Open { place, mut record } = *open;
            record.outcome = outcome(result);
            place.enqueue(record);
        }
    }

    /// Writes down what became of the call, and gives it when that is durable.
    pub(super) async fn write<T: Answer>(mut self, result: Result<T, KmsError>) -> Result<T, KmsError> {
        if let Ok(answer) = &result {
            answer.note(&mut self);
        }
        let Some(open) = self.0.take() else { return result };
        let Open { place, mut record } = *open;
        record.outcome = outcome(&result);
        match place.write(record).await {
            Ok(()) => result,
            Err(error) => {
                let message = match result {
                    Ok(_) => "the call was carried out, but its line in the audit trail is not durable",
                    Err(_) => "the call was refused, but its line in the audit trail is not durable",
                };
                Err(KmsError::new(Exception::KmsInternal, message).because(error))
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

fn outcome<T>(result: &Result<T, KmsError>) -> AuditOutcome {
    match result {
        Ok(_) => AuditOutcome::Succeeded,
        Err(error) => AuditOutcome::Failed {
            error: error.exception().as_str().into(),
            message: error.message().to_owned().into(),
        },
    }
}
