//! Changes of a store, tried before they are made.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::core::Core;
use super::disconnected::UpdateError;
use super::guard::ask;
use super::link::Link;
use super::live::close;
use super::register::{ToldRecord, seal_secret};
use crate::backend::{
    Backend, Change, Connection, ConnectionError, ConnectionErrorCode, InvalidChange, StoreConfiguration,
    StoreName, Telling,
};
use crate::catalog::CatalogError;
use crate::clock::Clock;
use crate::secret::SecretBytes;

/// What a store is to be; what is `None` stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Revision {
    pub(crate) name: Option<StoreName>,
    /// Another key manager, and what it says of itself.
    pub(crate) backend: Option<(Arc<dyn Backend>, StoreConfiguration)>,
    /// What that one is made of and must not be seen.
    pub(crate) secret: Option<SecretBytes>,
    /// That the store is told a password.
    pub(crate) telling: Option<Telling>,
}

impl Revision {
    pub(super) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.backend.as_ref().map(|(backend, _)| backend)
    }

    /// Refuses what no trial could make possible.
    pub(super) fn tried(self, core: &Core) -> Result<TriedRevision, UpdateError> {
        let Self { name, backend, secret, telling } = self;
        if backend.as_ref().is_some_and(|(_, new)| new.store_type() != core.store_type()) {
            let error = ConnectionError::new(ConnectionErrorCode::InternalError);
            return Err(error.with_detail("the changed backend is of the other store type").into());
        }
        let secret = secret.map(|secret| seal_secret(core.ring.ledger(), &core.id, &secret));
        let told = telling.as_ref().map(|telling| ToldRecord::new(core.ring.ledger(), &core.id, telling));
        Ok(TriedRevision { name, backend, secret, telling, told, replacement: None })
    }
}

/// A revision that would do. Dropped, nothing has changed, and the connection that was made to try it goes with it.
pub(crate) struct TriedRevision {
    name: Option<StoreName>,
    backend: Option<(Arc<dyn Backend>, StoreConfiguration)>,
    /// Sealed, so that it is the same however often it is written.
    secret: Option<Vec<u8>>,
    telling: Option<Telling>,
    /// The same for the row, sealed too.
    told: Option<ToldRecord>,
    pub(super) replacement: Option<Replacement>,
}

impl TriedRevision {
    /// Gives the revision up; the connection that was made to try it is closed in good order.
    pub(crate) fn withdraw(self) -> Option<BoxFuture<'static, ()>> {
        Some(self.replacement?.close())
    }
}

/// A connection for the place of another.
pub(super) struct Replacement {
    /// The link that was in use when it was made. As long as this is there, no other lies at the same address.
    pub(super) of: Weak<Link>,
    pub(super) connection: Arc<dyn Connection>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) close_timeout: Duration,
}

impl Replacement {
    /// It is not needed.
    pub(super) fn close(self) -> BoxFuture<'static, ()> {
        let Self { of: _, connection, clock, close_timeout } = self;
        async move { drop(close(&*clock, close_timeout, &*connection).await) }.boxed()
    }
}

/// What is left over when a revision was adopted.
#[must_use]
pub(super) struct Adopted {
    pub(super) replacement: Option<Replacement>,
    /// To be dropped when the change is whole: its destructor is foreign code.
    pub(super) old: Option<Arc<dyn Backend>>,
}

impl Core {
    /// The revision that a change amounts to. Nothing is changed here.
    pub(super) fn revision(&self, change: Change) -> Result<Revision, UpdateError> {
        let backend = if change.concerns_backend() { Some(self.reconfigured(&change)?) } else { None };
        let telling = Telling::of(&change);
        Ok(Revision { name: change.name, backend, secret: None, telling })
    }

    pub(super) fn reconfigured(
        &self,
        change: &Change,
    ) -> Result<(Arc<dyn Backend>, StoreConfiguration), UpdateError> {
        let asked = ask(|| {
            let backend = self.backend.reconfigured(change)?;
            let configuration = backend.configuration();
            Ok::<_, InvalidChange>((backend, configuration))
        });
        match asked {
            Ok(reconfigured) => Ok(reconfigured?),
            Err(panicked) => Err(ConnectionError::from_call(self.store_type(), panicked.into()).into()),
        }
    }

    /// Writes a revision down, all of it in one row. When this fails nothing has changed, unless the catalogue does not say.
    pub(super) fn record_revision(
        &self,
        tried: &TriedRevision,
    ) -> BoxFuture<'static, Result<(), CatalogError>> {
        let Some(register) = self.register.clone() else { return async { Ok(()) }.boxed() };
        let TriedRevision { name, backend, secret, telling: _, told, replacement: _ } = tried;
        let configuration = backend.as_ref().map(|(_, configuration)| configuration.clone());
        let (name, secret, told) = (name.clone(), secret.clone(), told.clone());
        async move {
            register
                .write(|record| {
                    if let Some(name) = &name {
                        record.name = name.clone();
                    }
                    if let Some(configuration) = &configuration {
                        record.configuration = configuration.clone();
                    }
                    if let Some(secret) = &secret {
                        record.secret = Some(secret.clone());
                    }
                    if let Some(told) = &told {
                        record.told = Some(told.clone());
                    }
                    true
                })
                .await
        }
        .boxed()
    }

    /// Takes a revision over, as far as it concerns a store in every state.
    pub(super) fn adopt_revision(&mut self, tried: TriedRevision) -> Adopted {
        let TriedRevision { name, backend, secret: _, telling, told: _, replacement } = tried;
        if let Some(name) = name {
            self.name = name;
        }
        if telling.is_some() {
            self.telling = telling;
        }
        let old = backend.map(|(backend, configuration)| {
            self.ring.set_cluster(configuration.cluster_id());
            self.configuration = configuration;
            std::mem::replace(&mut self.backend, backend)
        });
        Adopted { replacement, old }
    }
}

impl fmt::Debug for TriedRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriedRevision")
            .field("name", &self.name)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}
