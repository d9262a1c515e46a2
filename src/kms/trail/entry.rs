//! What will be written down of one call.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::shorten::shorten;
use crate::audit::{AuditEntry, AuditOutcome, AuditRecord};
use crate::backend::BackingKeyId;
use crate::clock::within;
use crate::crypto::EncryptionContext;
use crate::identity::Identity;
use crate::kms::action::Action;
use crate::kms::call::{Answer, Subject};
use crate::kms::error::KmsError;
use crate::kms::exception::Exception;
use crate::kms::key_ref::KeyRef;
use crate::kms::refusals::Refusals;
use crate::kms::shared::{Route, Shared};
use crate::store_id::StoreId;

/// How long a kill switch waits until its line is durable: whoever pulls it needs the answer more.
const PATIENCE: Duration = Duration::from_secs(1);

/// What will be written down of a call. Nothing, if there is no trail. Dropped without an end, it is written down that the
/// caller went away.
pub(in crate::kms) struct Entry<'t>(Option<Box<Open<'t>>>);

struct Open<'t> {
    place: AuditEntry<'t>,
    record: AuditRecord,
    refusals: &'t Refusals,
    /// Whether its caller may do it, and has taken of a quota what it costs. Whatever it comes to before costs nothing.
    is_admitted: bool,
}

impl Open<'_> {
    /// Whether a call that was dropped is to be a line.
    fn is_dropped_line(&mut self) -> bool {
        self.is_admitted || self.is_free_line("Dropped")
    }

    /// Whether what cost its caller nothing is to be a line, which then is short.
    #[cold]
    fn is_free_line(&mut self, error: &'static str) -> bool {
        let Some(principal) = &self.record.principal else { return true };
        let is_line = self.refusals.is_line(principal, error, self.record.time);
        if is_line {
            shorten(&mut self.record);
        }
        is_line
    }

    /// Says how it ended. Whether that is to be a line.
    fn end<T>(&mut self, result: &Result<T, KmsError>) -> bool {
        self.record.outcome = outcome(result);
        let Err(error) = result else { return true };
        error.audited();
        let exception = error.exception();
        // Of two keys the second may be denied when the first has cost something.
        let is_free =
            !self.is_admitted || matches!(exception, Exception::AccessDenied | Exception::Throttling);
        !is_free || self.is_free_line(exception.as_str())
    }
}

impl<'t> Entry<'t> {
    pub(super) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn begun(place: AuditEntry<'t>, record: AuditRecord, refusals: &'t Refusals) -> Self {
        Self(Some(Box::new(Open { place, record, refusals, is_admitted: false })))
    }
}

impl Entry<'_> {
    #[inline]
    fn note(&mut self, note: impl FnOnce(&mut AuditRecord)) {
        if let Some(open) = &mut self.0 {
            note(&mut open.record);
        }
    }

    pub(in crate::kms) fn subject(&mut self, subject: &Subject, identity: &Identity) {
        self.note(|record| {
            record.key = subject.key.map(|id| id.arn(identity));
            record.store.clone_from(&subject.store);
            for (name, value) in &subject.parameters {
                record.parameters.insert(*name, value.clone());
            }
        });
    }

    pub(in crate::kms) fn store(&mut self, store: Option<&StoreId>) {
        self.note(|record| record.store = store.cloned());
    }

    /// The caller may do it, and has paid for it: from here on it can take effect.
    #[inline]
    pub(in crate::kms) fn admitted(&mut self) {
        if let Some(open) = &mut self.0 {
            open.is_admitted = true;
        }
    }

    /// Whether what is noted is written down anywhere.
    pub(in crate::kms) const fn is_written(&self) -> bool {
        self.0.is_some()
    }

    /// The key that a call manages, and its store.
    pub(in crate::kms) fn found(&mut self, route: &Route) {
        self.note(|record| {
            record.key = Some(route.arn.clone());
            record.store = Some(route.slot.id.clone());
        });
    }

    pub(in crate::kms) fn key(&mut self, key: &crate::key::KeyArn) {
        self.note(|record| record.key = Some(key.clone()));
    }

    /// The key that is asked for, whether it is there or not.
    #[inline]
    pub(in crate::kms) fn asked(&mut self, key: &KeyRef, identity: &Identity) {
        self.note(|record| match key {
            KeyRef::Id(id) if record.key.is_none() => record.key = Some(id.arn(identity)),
            KeyRef::Id(id) => record.destination_key = Some(id.arn(identity)),
            KeyRef::Alias(name) => record.parameters.insert("AliasName", name.to_string()),
        });
    }

    /// A key that decided beside the one of the line, and was not right: by its ARN, as far as it was found.
    #[cold]
    pub(in crate::kms) fn wanted(
        &mut self,
        name: &'static str,
        key: &KeyRef,
        found: Option<&Route>,
        identity: &Identity,
    ) {
        self.note(|record| {
            let named = match (found, key) {
                (Some(route), _) => route.arn.to_string(),
                (None, KeyRef::Id(id)) => id.arn(identity).to_string(),
                (None, KeyRef::Alias(alias)) => alias.to_string(),
            };
            record.parameters.insert(name, named);
        });
    }

    /// The key that an alias stood for before.
    pub(in crate::kms) fn previous(&mut self, route: &Route) {
        self.note(|record| record.parameters.insert("PreviousKeyArn", route.arn.to_string()));
    }

    /// The key that is used; of two the second is what is encrypted under.
    #[inline]
    pub(in crate::kms) fn route(&mut self, route: &Route) {
        self.note(|record| match &record.store {
            None => {
                record.key = Some(route.arn.clone());
                record.store = Some(route.slot.id.clone());
                record.cluster.clone_from(&route.slot.view().cluster);
            }
            Some(_) => {
                record.destination_key = Some(route.arn.clone());
                record.destination_store = Some(route.slot.id.clone());
            }
        });
    }

    #[inline]
    pub(in crate::kms) fn context(&mut self, context: &EncryptionContext) {
        self.note(|record| record.encryption_context = Some(context.clone()));
    }

    pub(in crate::kms) fn contexts(&mut self, source: &EncryptionContext, destination: &EncryptionContext) {
        self.note(|record| {
            record.encryption_context = Some(source.clone());
            record.destination_encryption_context = Some(destination.clone());
        });
    }

    #[inline]
    pub(in crate::kms) fn backing_key(&mut self, key: &BackingKeyId) {
        // Of two, that of the key that is decrypted with: the other is of the store of the destination.
        self.note(|record| {
            if record.backing_key.is_none() {
                record.backing_key = Some(key.clone());
            }
        });
    }

    /// Writes down soon what became of the call.
    #[inline]
    pub(in crate::kms) fn enqueue<T>(mut self, result: &Result<T, KmsError>) {
        if let Some(mut open) = self.0.take()
            && open.end(result)
        {
            let Open { place, record, .. } = *open;
            place.enqueue(record);
        }
    }

    /// Writes down what became of the call, and gives it when that is durable; of a kill switch after a moment in any case.
    pub(in crate::kms) async fn write<T: Answer>(
        mut self,
        action: Action,
        result: Result<T, KmsError>,
        shared: &Shared,
    ) -> Result<T, KmsError> {
        if let Ok(answer) = &result {
            answer.note(&mut self);
        }
        let Some(mut open) = self.0.take() else { return result };
        if !open.end(&result) {
            return result;
        }
        let Open { place, record, .. } = *open;
        if action.is_kill_switch() {
            let mut writing = place.writing(record).boxed();
            if within(&**shared.clock(), PATIENCE, &mut writing).await.is_none() {
                // A sink keeps a line once it was polled; one that takes it in the end alone is given the time for that.
                shared.work.push(writing.map(drop));
            }
            return result;
        }
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
        if let Some(mut open) = self.0.take()
            && open.is_dropped_line()
        {
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
