//! What a process with many stores does to one of them: synchronous moves, and futures of their own that borrow no store.
//! So it holds none across an await, and nothing that hangs is in the way of a disconnect.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{AnyKeyStore, AnyState};
use crate::catalog::CatalogError;
use crate::secret::SecretBytes;
use crate::store::disconnected::{Disconnected, UpdateError};
use crate::store::disconnecting::Disconnecting;
use crate::store::register::Recording;
use crate::store::report::DisconnectReport;
use crate::store::revision::{Adopted, Revision, TriedRevision};

impl AnyKeyStore {
    /// Resolves when the move that the store is making is durable. `None` when it makes none, or none that is written down:
    /// it is in a lasting state, resumes after a restart, or is in memory alone.
    ///
    /// The store drives it when it is polled, and so does whoever awaits it.
    pub(crate) fn recording(&self) -> Option<Recording> {
        match &self.state {
            AnyState::Connecting(state) => state.recording().cloned(),
            AnyState::Disconnecting(state) => state.recording().cloned(),
            AnyState::Disconnected(_) | AnyState::Connected(_) | AnyState::Failed(_) => None,
        }
    }

    /// Writes down once more that the store is disconnected, where it is and that could not be written down.
    pub(crate) fn recording_again(&self) -> Option<Recording> {
        match &self.state {
            AnyState::Disconnected(_) | AnyState::Disconnecting(_) => self.core.recorded_disconnect_again(),
            AnyState::Connecting(_) | AnyState::Connected(_) | AnyState::Failed(_) => None,
        }
    }

    /// The secret that the store was told, as it was last seen in the catalogue. Reads nothing.
    pub(crate) fn secret(&self) -> Result<Option<SecretBytes>, CatalogError> {
        let Some(register) = &self.core.register else { return Ok(None) };
        register.latest().record.unsealed_secret(self.core.ring.ledger())
    }

    /// Tries a revision: while `CONNECTED` by connecting with it, and keeping that connection; while `DISCONNECTED` by a
    /// probe of an external key store. One of the name alone contacts nobody. Whether a connected store may change so is for
    /// the caller to know.
    ///
    /// # Errors
    ///
    /// [`UpdateError::InvalidState`] in the other states. The future's: [`UpdateError::Refused`].
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at will, and what it resolves to: nothing has changed then.
    pub(crate) fn try_revision(
        &self,
        revision: Revision,
    ) -> Result<BoxFuture<'static, Result<TriedRevision, UpdateError>>, UpdateError> {
        match &self.state {
            AnyState::Disconnected(_) => Ok(Disconnected::try_revision(&self.core, revision)),
            AnyState::Connected(state) => Ok(state.try_revision(&self.core, revision)),
            state => Err(UpdateError::InvalidState { id: self.core.id.clone(), found: state.as_data() }),
        }
    }

    /// Writes a revision down, all of it in one row.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the catalogue may have it or not.
    pub(crate) fn record_revision(
        &self,
        tried: &TriedRevision,
    ) -> BoxFuture<'static, Result<(), CatalogError>> {
        self.core.record_revision(tried)
    }

    /// Takes a revision over, in whatever state the store is by now.
    ///
    /// Is it connected still, on the connection that it had when the revision was tried, the new one takes its place in one
    /// step. The future then waits for the calls on the old connection, however long they take, and closes it; dropped, it leaves that to the disconnect, which says
    /// goodbye to it if it comes first, too. In every other case nobody needs the new connection, and the future closes
    /// it: a store that was connected anew meanwhile goes on as it was connected, until it is connected again.
    pub(crate) fn adopt_revision(&mut self, tried: TriedRevision) -> Option<BoxFuture<'static, ()>> {
        let Adopted { replacement, old } = self.core.adopt_revision(tried);
        let rest = replacement.map(|replacement| match &self.state {
            AnyState::Connected(state) => state.take_over(replacement, None),
            _ => replacement.close(),
        });
        drop(old);
        rest
    }

    /// Deletes the store from the catalogue; see [`KeyStore::delete`](crate::KeyStore::delete). `None` unless it is
    /// `DISCONNECTED`. Where it fails since the store [has keys](crate::store::has_keys), and wherever else it fails, the
    /// store is as it was.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the store is in the catalogue or not.
    pub(crate) fn deletion(&self) -> Option<BoxFuture<'static, Result<(), CatalogError>>> {
        matches!(self.state, AnyState::Disconnected(_)).then(|| Disconnected::deletion(&self.core))
    }

    /// The end of the process, in good order: admits no call from this moment on; awaited, it drains, says goodbye, and
    /// writes nothing down, so that a restart finds the store as it is now. A disconnect that is under way takes its course.
    /// The store is somebody else's to open when the future is over, or dropped.
    pub(crate) fn retire(self) -> BoxFuture<'static, DisconnectReport> {
        let Self { core, state } = self;
        let leaving: Option<Disconnecting> = match state {
            AnyState::Disconnected(_) => None,
            AnyState::Connecting(state) => Some(state.retire(&core)),
            AnyState::Connected(state) => Some(state.retire(&core)),
            AnyState::Disconnecting(state) => Some(state),
            AnyState::Failed(state) => Some(state.retire()),
        };
        async move {
            let report = match leaving {
                Some(mut leaving) => std::future::poll_fn(|cx| leaving.poll(cx)).await,
                None => DisconnectReport::default(),
            };
            drop(core);
            report
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
