//! How a `Kms` is opened.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Kms;
use super::backends::Backends;
use super::claims::Claim;
use super::driver::Driver;
use super::error::KmsError;
use super::exception::Exception;
use super::mapping;
use super::rules::Authorizer;
use super::secret;
use super::settings::Settings;
use super::shared::{Seat, Shared};
use super::trail::Trail;
use super::unmapped::Unmapped;
use crate::audit::AuditTrail;
use crate::backend::Backend;
use crate::catalog::{Ledger, Stored};
use crate::clock::Clock;
use crate::key::PageRequest;
use crate::rate::RateLimit;
use crate::store::{Caller, Kept, Observer, Patience, StoreRecord};
use crate::store_id::StoreId;

/// Settings of a [`Kms`]. Every setting has a default; made by [`Kms::builder`].
#[must_use]
pub struct KmsBuilder {
    ledger: Ledger,
    backends: Arc<dyn Backends>,
    settings: Settings,
    authorizer: Option<Arc<dyn Authorizer>>,
    audit: Option<AuditTrail>,
}

impl KmsBuilder {
    pub(super) fn new(ledger: Ledger, backends: impl Backends) -> Self {
        Self {
            ledger,
            backends: Arc::new(backends),
            settings: Settings::default(),
            authorizer: None,
            audit: None,
        }
    }

    /// Where time comes from. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// How long an attempt to connect a store may take. Default: 60 seconds.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.connect_timeout = limit;
        self
    }

    /// How long a call may take, whatever the key manager or the catalogue does. Default: 5 seconds.
    pub const fn call_timeout(mut self, limit: Duration) -> Self {
        self.settings.call_timeout = limit;
        self
    }

    /// How long a disconnect, a live update or the end of the driver waits for the calls in flight. Default: 5 seconds.
    pub const fn drain_limit(mut self, limit: Duration) -> Self {
        self.settings.drain_limit = limit;
        self
    }

    /// How long the goodbye to a key manager may take. Default: 5 seconds.
    pub const fn close_timeout(mut self, limit: Duration) -> Self {
        self.settings.close_timeout = limit;
        self
    }

    /// How many uses of its KMS keys all callers together may ask of one custom key store; beyond, they are refused as
    /// `ThrottlingException` before the key manager is asked. Default: 1,800 a second, which is what AWS KMS grants and an
    /// external key manager has to plan for.
    pub const fn quota(mut self, limit: RateLimit) -> Self {
        self.settings.quota = Some(limit);
        self
    }

    /// No limit for the use of keys but what the key managers set.
    pub const fn without_quota(mut self) -> Self {
        self.settings.quota = None;
        self
    }

    /// How many custom key stores there may be; those that are there already stay. Default: no limit. (AWS KMS: 10.)
    pub const fn max_stores(mut self, stores: usize) -> Self {
        self.settings.max_stores = Some(stores);
        self
    }

    /// Who may do what. Default: everybody everything.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Where every call is written down, allowed or refused, and how every attempt to connect ended. Default: nowhere. While it
    /// cannot be written, and calls are [refused](crate::audit::OnFailure::Refuse) then, `DisconnectCustomKeyStore` and
    /// `DisableKey` go on: their lines are written later, or counted. While it hangs, these two are answered a second after they
    /// are done, by the [clock](Self::clock); everything else that manages something waits for its line.
    pub fn audit(mut self, trail: AuditTrail) -> Self {
        self.audit = Some(trail);
        self
    }

    /// How many refusals of one principal are lines of the audit trail: those that cost nothing, by which somebody without any
    /// right could fill the medium. That is whatever a call comes to, or is dropped, before its caller was let in and something
    /// was taken of the [quota](Self::quota); `AccessDeniedException` and `ThrottlingException` always; and what an endpoint
    /// refuses before it calls. Of more a line tells, once a minute, how many there were of each. Default: 10 a second, and 1,000
    /// at once. Of 1,024 principals at a time each has these; all others share them.
    ///
    /// Encryption contexts and tags of more than a kilobyte in all are left out of such a line, which then says how many pairs or
    /// tags they were (`leftOut`): it has two kilobytes or so at most.
    pub const fn audit_refusals(mut self, limit: RateLimit) -> Self {
        self.settings.audited_refusals = limit;
        self
    }

    /// Opens every store of the catalogue in the state that it was left in. A store that was connected, or was being
    /// connected, is `CONNECTING`: the driver connects it, and tries again with growing pauses as long as the cause may pass by
    /// itself. One that was being disconnected is `DISCONNECTED`, one that had failed has failed with the same code. A store
    /// that the application makes no backend for any more is there, to be shown, managed and deleted; it cannot be connected
    /// until it does. If it was connected, it is `CONNECTING` and stays so, until it is disconnected or a later start finds
    /// a backend for it: a line that was forgotten in a configuration must not cost a store its state. Whoever connects it is
    /// told what AWS would tell: it is `FAILED`, with `CLUSTER_NOT_FOUND` for [`Refusal::ClusterNotFound`](super::Refusal::ClusterNotFound),
    /// say, and `INTERNAL_ERROR` where AWS has no code.
    ///
    /// # Errors
    ///
    /// [`KmsError`] when the catalogue cannot be read, or somebody has one of its stores; by the name `ValidationException` when
    /// the [authorizer](Self::authorizer) cannot decide about its keys or stores, such as [`Rules`](super::Rules) about those of
    /// another account.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn open(self) -> Result<(Kms, Driver), KmsError> {
        let Self { ledger, backends, settings, authorizer, audit } = self;
        if let Some(authorizer) = &authorizer {
            authorizer.check(ledger.identity()).map_err(unfit)?;
        }
        let trail = Trail::new(audit, &settings);
        let shared = Arc::new(Shared::new(ledger, backends, settings, authorizer, trail));
        let driver = Driver::new(Arc::clone(&shared));
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let limit = PageRequest::MAX_LIMIT;
            let page = shared.ledger.list::<StoreRecord>(None, after.as_deref(), limit);
            let page = shared.timing().bounded(page).await.map_err(mapping::of_catalog)?;
            after = page.last().map(|last| last.record.id.to_string());
            let is_last = page.len() < limit;
            found.extend(page);
            if is_last {
                break;
            }
        }
        // Before anything is done with them.
        if let Some(authorizer) = &shared.authorizer {
            let ids: Vec<StoreId> = found.iter().map(|stored| stored.record.id.clone()).collect();
            authorizer.check_stores(&ids).map_err(unfit)?;
        }
        for stored in found {
            let claim = shared.claims.claim_regardless(&stored.record.id, &stored.record.configuration);
            // Those that are there stay, however few there may be.
            let Some(seat) = shared.seat(None) else { continue };
            restore(&shared, stored, claim, seat)?;
        }
        let caller = Arc::new(Caller::new(format!(
            "arn:{}:iam::{}:root",
            shared.ledger.identity().partition,
            shared.ledger.identity().account
        )));
        Ok((Kms { shared, caller, request_id: None }, driver))
    }
}

/// What an authorizer cannot decide about.
fn unfit(error: Box<dyn Error + Send + Sync>) -> KmsError {
    KmsError::new(Exception::Validation, error.to_string())
}

/// Puts a store in its place.
pub(super) fn restore(
    shared: &Arc<Shared>,
    stored: Stored<StoreRecord>,
    claim: Claim,
    seat: Seat,
) -> Result<(), KmsError> {
    let record = &stored.record;
    let secret = record.unsealed_secret(&shared.ledger).map_err(mapping::of_catalog)?;
    let configuration = &record.configuration;
    let stand_in = |refusal| -> Arc<dyn Backend> { Arc::new(Unmapped::new(configuration.clone(), refusal)) };
    let (backend, is_stand_in) = match secret.as_ref().and_then(secret::decode) {
        None => (stand_in(None), true),
        Some(secret) => match shared.backend(configuration, &secret) {
            Ok(backend) => (backend, false),
            Err(refusal) => (stand_in(Some(refusal)), true),
        },
    };
    let resumes = record.state == Kept::Connected;
    // Not to be kept by what it keeps itself.
    let (of, id, name) = (Arc::downgrade(shared), record.id.clone(), record.name.clone());
    let told: Observer = Arc::new(move |error| {
        if let Some(shared) = of.upgrade() {
            shared.tell_of_another_try(&id, &name, error);
        }
    });
    let patience = Patience { told: Some(told), ..Patience::default() };
    let builder = shared.builder(backend).patience(patience);
    let store = builder.open_listed(&shared.ledger, stored).map_err(mapping::of_catalog)?;
    let slot = shared.insert(store, claim, seat)?;
    if is_stand_in {
        slot.stands_in();
    }
    if resumes {
        // It is being connected, but nobody polls it yet.
        shared.step(&slot, |_| ())?;
    }
    Ok(())
}

impl fmt::Debug for KmsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsBuilder")
            .field("ledger", &self.ledger)
            .field("backends", &self.backends)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
