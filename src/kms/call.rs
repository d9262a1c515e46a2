//! What is the same for every call: who it is from, whether it may be, and that it is written down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Kms;
use super::action::Action;
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::{KeyRef, alias_arn};
use super::mapping;
use super::request::ScheduledDeletion;
use super::rules::{AuthorizationRequest, Decision};
use super::shared::Route;
use super::trail::Entry;
use crate::backend::{RequestId, StoreConfiguration, StoreName};
use crate::key::{AliasName, KeyArn, KeyId, KeyMetadata, Page, find_alias};
use crate::store::Description;
use crate::store_id::StoreId;

/// What a call is about, as far as it says so itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    pub(super) key: Option<KeyId>,
    pub(super) store: Option<StoreId>,
    /// Whether it names something by an alias or a name: what that is, and whether the caller may do this to it, shows when
    /// it is looked up.
    is_judged_later: bool,
    /// What else was asked, none of it secret, by AWS's names.
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Subject {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn store(id: &StoreId) -> Self {
        Self { store: Some(id.clone()), ..Self::default() }
    }

    pub(super) fn key(id: &KeyId) -> Self {
        Self { key: Some(*id), ..Self::default() }
    }

    /// A store by its name, which is judged when it is found.
    pub(super) fn by_name(name: &StoreName) -> Self {
        Self { is_judged_later: true, ..Self::none() }.parameter("CustomKeyStoreName", name)
    }

    /// A key as a call names it, which shows where it is only when it is looked up.
    pub(super) fn named(key: &KeyRef) -> Self {
        match key {
            KeyRef::Id(id) => Self::key(id),
            KeyRef::Alias(name) => Self { is_judged_later: true, ..Self::none().alias(name) },
        }
    }

    pub(super) fn parameter(mut self, name: &'static str, value: impl ToString) -> Self {
        self.parameters.push((name, value.to_string()));
        self
    }

    pub(super) fn alias(self, name: &AliasName) -> Self {
        self.parameter("AliasName", name)
    }

    pub(super) fn configuration(
        mut self,
        name: Option<&StoreName>,
        configuration: Option<&StoreConfiguration>,
    ) -> Self {
        if let Some(name) = name {
            self = self.parameter("CustomKeyStoreName", name);
        }
        let Some(configuration) = configuration else { return self };
        self = self.parameter("CustomKeyStoreType", configuration.store_type());
        match configuration {
            StoreConfiguration::CloudHsm(cluster) => self.parameter("CloudHsmClusterId", &cluster.cluster_id),
            StoreConfiguration::External(proxy) => self
                .parameter("XksProxyConnectivity", proxy.connectivity)
                .parameter("XksProxyUriEndpoint", &proxy.uri_endpoint)
                .parameter("XksProxyUriPath", &proxy.uri_path),
        }
    }
}

/// What a call that changes or shows something gives, and what of it the audit trail says.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    fn note(&self, entry: &mut Entry<'_>) {
        let _ = entry;
    }
}

impl Answer for () {}
impl Answer for String {}
impl Answer for Description {}
impl<T: Clone + Send + Sync + 'static> Answer for Page<T> {}
impl<T: Clone + Send + Sync + 'static> Answer for Vec<T> {}

impl Answer for StoreId {
    fn note(&self, entry: &mut Entry<'_>) {
        entry.store(Some(self));
    }
}

impl Answer for KeyMetadata {
    fn note(&self, entry: &mut Entry<'_>) {
        entry.key(&self.arn);
        entry.store(Some(&self.custom_key_store_id));
    }
}

impl Answer for ScheduledDeletion {
    fn note(&self, entry: &mut Entry<'_>) {
        entry.key(&self.key);
    }
}

impl Kms {
    /// Carries out a call that manages something: goes on when nobody waits for it any more, and is written down before it is
    /// answered.
    pub(super) async fn manage<T, W, F>(
        &self,
        action: Action,
        subject: Subject,
        work: W,
    ) -> Result<T, KmsError>
    where
        T: Answer,
        W: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = Result<T, KmsError>> + Send + 'static,
    {
        let request_id = self.request_id();
        let kms = Self { request_id: Some(request_id.clone()), ..self.clone() };
        let job = async move {
            let shared = Arc::clone(&kms.shared);
            let mut entry = shared.trail.begin(&kms.caller, &request_id, action, shared.clock())?;
            entry.subject(&subject, shared.ledger.identity());
            let admitted = match shared.refuse_ended() {
                Ok(()) => kms.authorize_subject(action, &subject).await,
                refused => refused,
            };
            let result = match admitted {
                Ok(()) => work(kms).await,
                Err(refused) => Err(refused),
            };
            entry.write(result.map_err(|error| mapping::as_documented(action, error))).await
        };
        if action.is_read_only() {
            // Nothing that would have to go on.
            return job.await;
        }
        // A call that came after the driver ended is carried out, to be refused, by whoever waits for it.
        self.shared.work.see_through(job).await
    }

    /// The id of the request, given or new.
    pub(super) fn request_id(&self) -> RequestId {
        self.request_id.clone().unwrap_or_else(RequestId::generate)
    }

    /// Whether the caller may do this to what it is about.
    async fn authorize_subject(&self, action: Action, subject: &Subject) -> Result<(), KmsError> {
        // Where it is looked up.
        if self.shared.authorizer.is_none() || subject.is_judged_later {
            return Ok(());
        }
        let Some(id) = &subject.key else { return self.authorize(action, None, subject.store.as_ref()) };
        match self.shared.route(id).await {
            Ok(route) => self.authorize(action, Some(&route.arn), Some(&route.slot.id)),
            // Who may not know what is there does not learn what is not.
            Err(error) => self.authorize(action, None, None).and(Err(error)),
        }
    }

    /// Whether the caller may do this.
    #[inline]
    pub(super) fn authorize(
        &self,
        action: Action,
        key: Option<&KeyArn>,
        store: Option<&StoreId>,
    ) -> Result<(), KmsError> {
        let Some(authorizer) = &self.shared.authorizer else { return Ok(()) };
        let principal = &self.caller.principal;
        let request = AuthorizationRequest { principal, action, key, store };
        match catch_unwind(AssertUnwindSafe(|| authorizer.authorize(&request))) {
            Ok(Decision::Allow) => Ok(()),
            Ok(Decision::Deny) => Err(self.denied(action)),
            Err(panic) => {
                // Its destructor is foreign code, and may panic in its turn.
                std::mem::forget(panic);
                Err(KmsError::new(Exception::KmsInternal, "who may do what could not be found out"))
            }
        }
    }

    /// Says nothing of the key: whether it is there is not for everybody to know.
    #[cold]
    fn denied(&self, action: Action) -> KmsError {
        let message = format!("no rule lets {} call {action} on this", self.caller.principal);
        KmsError::new(Exception::AccessDenied, message)
    }

    /// Where the key is that a call names, if the caller may use it so.
    pub(super) async fn permitted(
        &self,
        action: Action,
        key: &KeyRef,
    ) -> Result<(KeyId, Arc<Route>), KmsError> {
        let found = match key {
            KeyRef::Id(id) => self.shared.route(id).await.map(|route| (*id, route)),
            KeyRef::Alias(name) => self.aliased(name).await,
        };
        match found {
            Ok((id, route)) => {
                self.authorize(action, Some(&route.arn), Some(&route.slot.id))?;
                Ok((id, route))
            }
            Err(error) => self.authorize(action, None, None).and(Err(error)),
        }
    }

    async fn aliased(&self, name: &AliasName) -> Result<(KeyId, Arc<Route>), KmsError> {
        let shared = &self.shared;
        let found = find_alias(&shared.ledger, &shared.timing(), name).await.map_err(|error| {
            // By the ARN, as AWS has it.
            let arn = alias_arn(name, shared.ledger.identity());
            match mapping::of_key(error) {
                error if error.exception() == Exception::NotFound => {
                    KmsError::new(Exception::NotFound, format!("there is no alias {arn}")).because(error)
                }
                other => other,
            }
        })?;
        Ok((found.key, shared.route(&found.key).await?))
    }
}
