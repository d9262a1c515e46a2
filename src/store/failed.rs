//! After a connection attempt that failed.

use crate::backend::{Advice, ConnectionError, ConnectionErrorCode};
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::core::Core;
use crate::store::disconnecting::Disconnecting;
use crate::store::guard::discard;
use crate::store::register::Recording;
use crate::store::state::{ConnectionState, State, sealed};

/// The last connection attempt failed; a disconnect leads out.
#[derive(Debug)]
pub struct Failed {
    error: ConnectionError,
}

impl Failed {
    pub(super) const fn new(error: ConnectionError) -> Self {
        Self { error }
    }

    pub(super) const fn error(&self) -> &ConnectionError {
        &self.error
    }

    /// Leaves the failure behind; there is nothing to wait for.
    pub(super) fn disconnect(self, core: &Core) -> Disconnecting {
        self.leave(core.recorded_disconnect())
    }

    /// The same, for the end of the process.
    pub(super) fn retire(self) -> Disconnecting {
        self.leave(None)
    }

    fn leave(self, recording: Option<Recording>) -> Disconnecting {
        // Its source is foreign, and so is its destructor.
        discard(self);
        Disconnecting::from_nothing(recording)
    }
}

/// While failed: find out why, and disconnect.
///
/// There is no `connect`: a store that failed must be disconnected first. Read the error before: it exists in
/// this state alone.
impl KeyStore<Failed> {
    /// Why the attempt failed.
    #[must_use]
    pub const fn connection_error(&self) -> &ConnectionError {
        &self.state.error
    }

    /// The code of [`connection_error`](Self::connection_error), which `describe()` shows.
    #[must_use]
    pub const fn error_code(&self) -> ConnectionErrorCode {
        self.state.error.code()
    }

    /// What to do about it, and who can.
    ///
    /// ```
    /// # use custom_key_store::{KeyStore, StoreName};
    /// # use custom_key_store::backend::{ConnectionErrorCode, Responsible};
    /// # use custom_key_store::backend::software::{Fault, KeyManager, Method};
    /// # futures::executor::block_on(async {
    /// # let manager = KeyManager::new();
    /// # manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    /// let store = KeyStore::ephemeral(StoreName::new("root")?, manager);
    /// let failed = store.connect().await.unwrap_err().into_store();
    /// assert_eq!(failed.advice().by, Responsible::ProxyOperator);
    /// let store = failed.disconnect().await; // the way back
    /// # let _ = store;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn advice(&self) -> Advice {
        self.error_code().advice(Some(self.store_type()))
    }

    /// Disconnects. There is no connection: what is awaited is that it is written down, if the store is kept. Dropped
    /// before, it is not, and after a restart the store has failed still.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye and is not written down"]
    pub fn disconnect(self) -> KeyStore<Disconnecting> {
        let Self { core, state } = self;
        let state = state.disconnect(&core);
        KeyStore { core, state }
    }
}

impl State for Failed {
    const STATE: ConnectionState = ConnectionState::Failed;
}

impl sealed::Sealed for Failed {
    fn erase(self) -> AnyState {
        AnyState::Failed(self)
    }

    fn recover(any: AnyState) -> Result<Self, AnyState> {
        match any {
            AnyState::Failed(state) => Ok(state),
            other => Err(other),
        }
    }

    fn connection_error(&self) -> Option<&ConnectionError> {
        Some(&self.error)
    }
}
