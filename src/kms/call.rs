//! What is the same for every call: who it is from, whether it may be, and that it is written down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::Kms;
use super::action::Action;
use super::error::KmsError;
use super::exception::Exception;
use super::key_ref::{KeyRef, alias_arn};
use super::mapping;
use super::request::ScheduledDeletion;
use super::rules::{AuthorizationRequest, Decision, Permission};
use super::shared::Route;
use super::trail::Entry;
use super::work::shielded;
use crate::audit::AuditValue;
use crate::backend::{RequestId, StoreConfiguration, StoreName};
use crate::key::{
    AliasName, KeyArn, KeyId, KeyMetadata, KeyText, MAX_TAGS, Page, TagKey, TagValue, find_alias,
};
use crate::panics::{Panicked, catch};
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
    /// What the caller has to be allowed besides, of the same.
    also: Option<Permission>,
    /// What else was asked, none of it secret, by AWS's names.
    pub(super) parameters: Vec<(&'static str, AuditValue)>,
}

/// The keys that a call has found by a name, and their stores: for the audit trail, also if the caller may not use them.
#[derive(Debug, Clone, Default)]
pub(super) struct Found(Arc<Mutex<Keys>>);

#[derive(Debug, Default)]
struct Keys {
    /// What the call is about.
    key: Option<Arc<Route>>,
    /// What an alias is taken from.
    previous: Option<Arc<Route>>,
}

impl Found {
    pub(super) fn note(&self, route: &Arc<Route>) {
        self.keys().key = Some(Arc::clone(route));
    }

    pub(super) fn note_previous(&self, route: &Arc<Route>) {
        self.keys().previous = Some(Arc::clone(route));
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, entry: &mut Entry<'_>) {
        let Keys { key, previous } = std::mem::take(&mut *self.keys());
        if let Some(route) = key {
            entry.found(&route);
        }
        if let Some(route) = previous {
            entry.previous(&route);
        }
    }
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

    pub(super) fn parameter(self, name: &'static str, value: impl ToString) -> Self {
        self.value(name, value.to_string())
    }

    fn value(mut self, name: &'static str, value: impl Into<AuditValue>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// Of what a key is for only how long it is: the text may be long, and says nothing that decides anything.
    pub(super) fn description(self, text: &KeyText) -> Self {
        self.value("DescriptionLength", count(text.as_str().chars().count()))
    }

    /// Takes this permission too.
    pub(super) fn also(mut self, permission: impl Into<Permission>) -> Self {
        self.also = Some(permission.into());
        self
    }

    /// Tags are for everybody to see, as AWS has it. As many as a key can have.
    pub(super) fn tags(self, tags: &[(TagKey, TagValue)]) -> Self {
        let shown = tags.iter().take(MAX_TAGS);
        let shown: Vec<_> = shown.map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect();
        self.value("Tags", AuditValue::of(&shown)).tag_count(tags.len())
    }

    pub(super) fn tag_keys(self, keys: &[TagKey]) -> Self {
        let shown: Vec<_> = keys.iter().take(MAX_TAGS).collect();
        self.value("TagKeys", AuditValue::of(&shown)).tag_count(keys.len())
    }

    /// Where there are more than are shown.
    fn tag_count(self, tags: usize) -> Self {
        if tags > MAX_TAGS { self.value("TagCount", count(tags)) } else { self }
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
            StoreConfiguration::External(proxy) => {
                self = self
                    .parameter("XksProxyConnectivity", proxy.connectivity)
                    .parameter("XksProxyUriEndpoint", &proxy.uri_endpoint)
                    .parameter("XksProxyUriPath", &proxy.uri_path);
                match &proxy.vpc_endpoint_service_name {
                    Some(service) => self.parameter("XksProxyVpcEndpointServiceName", service),
                    None => self,
                }
            }
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
impl<T: Clone + Send + Sync + 'static> Answer for Page<T> {}
impl<T: Clone + Send + Sync + 'static> Answer for Vec<T> {}

impl Answer for Description {
    fn note(&self, entry: &mut Entry<'_>) {
        entry.store(Some(&self.custom_key_store_id));
    }
}

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

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
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
        self.manage_named(action, subject, |kms, _| work(kms)).await
    }

    /// The same for work that finds a key by a name, and says which.
    pub(super) async fn manage_named<T, W, F>(
        &self,
        action: Action,
        subject: Subject,
        work: W,
    ) -> Result<T, KmsError>
    where
        T: Answer,
        W: FnOnce(Self, Found) -> F + Send + 'static,
        F: Future<Output = Result<T, KmsError>> + Send + 'static,
    {
        let request_id = self.request_id();
        let kms = Self { request_id: Some(request_id.clone()), ..self.clone() };
        let job = async move {
            let shared = Arc::clone(&kms.shared);
            let mut entry = shared.trail.begin(&kms.caller, &request_id, action, shared.clock())?;
            entry.subject(&subject, shared.ledger.identity());
            let found = Found::default();
            let result = shielded(async {
                shared.refuse_ended()?;
                kms.authorize_subject(action, &subject, &mut entry).await?;
                if !(subject.is_judged_later && action.is_read_only()) {
                    entry.admitted();
                }
                work(kms, found.clone()).await
            });
            let result = result.await.map_err(|error| mapping::as_documented(action, error));
            found.tell(&mut entry);
            entry.write(action, result, &shared).await
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
    async fn authorize_subject(
        &self,
        action: Action,
        subject: &Subject,
        entry: &mut Entry<'_>,
    ) -> Result<(), KmsError> {
        // Where it is looked up.
        if subject.is_judged_later || (self.shared.authorizer.is_none() && !entry.is_written()) {
            return Ok(());
        }
        let all = |key: Option<&KeyArn>, store: Option<&StoreId>| {
            let mut permissions = [Some(action.into()), subject.also].into_iter().flatten();
            permissions.try_for_each(|permission: Permission| self.authorize(permission, key, store))
        };
        let Some(id) = &subject.key else { return all(None, subject.store.as_ref()) };
        match self.shared.route(id).await {
            Ok(route) => {
                entry.found(&route);
                all(Some(&route.arn), Some(&route.slot.id))
            }
            // Who may not know what is there does not learn what is not.
            Err(error) => all(None, None).and(Err(error)),
        }
    }

    /// Whether the caller may do this.
    #[inline]
    pub(super) fn authorize(
        &self,
        permission: impl Into<Permission>,
        key: Option<&KeyArn>,
        store: Option<&StoreId>,
    ) -> Result<(), KmsError> {
        let Some(authorizer) = &self.shared.authorizer else { return Ok(()) };
        let permission = permission.into();
        let principal = &self.caller.principal;
        let request = AuthorizationRequest { principal, action: permission.action(), permission, key, store };
        match catch(|| authorizer.authorize(&request)) {
            Ok(Decision::Allow) => Ok(()),
            Ok(Decision::Deny) => Err(self.denied(permission)),
            Err(Panicked) => {
                Err(KmsError::new(Exception::KmsInternal, "who may do what could not be found out"))
            }
        }
    }

    /// Says nothing of the key: whether it is there is not for everybody to know. Nor whether a rule denies it or none allows it, of
    /// which an application's authorizer says nothing.
    #[cold]
    fn denied(&self, permission: Permission) -> KmsError {
        let principal = &self.caller.principal;
        let message = format!("{principal} is not authorized to perform kms:{permission} on this resource");
        KmsError::new(Exception::AccessDenied, message)
    }

    /// Where the key is that a call names, if the caller may use it so. Whether he may or not, it is noted for the audit trail.
    #[inline]
    pub(super) async fn permitted(
        &self,
        permission: impl Into<Permission>,
        key: &KeyRef,
        note: impl FnOnce(&Arc<Route>),
    ) -> Result<(KeyId, Arc<Route>), KmsError> {
        let permission = permission.into();
        let found = match key {
            KeyRef::Id(id) => self.shared.route(id).await.map(|route| (*id, route)),
            KeyRef::Alias(name) => self.aliased(name).await,
        };
        match found {
            Ok((id, route)) => {
                note(&route);
                self.authorize(permission, Some(&route.arn), Some(&route.slot.id))?;
                Ok((id, route))
            }
            Err(error) => self.authorize(permission, None, None).and(Err(error)),
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
