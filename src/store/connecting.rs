//! While a connection attempt is under way.

use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;

use crate::backend::{Connection, ConnectionError, ConnectionErrorCode};
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::attempt::Attempt;
use crate::store::connected::Connected;
use crate::store::core::Core;
use crate::store::disconnecting::Disconnecting;
use crate::store::failed::Failed;
use crate::store::register::Recording;
use crate::store::state::{ConnectionState, State, Transient, sealed};
use crate::store::transition::{Settle, TransitionError};

/// A connection attempt is under way.
///
/// The attempt is held here and makes progress only while somebody polls it: there is no task behind it, and
/// dropping the store ends it.
pub struct Connecting {
    recording: Option<Recording>,
    /// Never locked: the mutex is what makes the state `Sync`, and is reached through `get_mut`.
    stage: Mutex<Stage>,
}

enum Stage {
    UnderWay(Attempt),
    Over(Result<Arc<dyn Connection>, ConnectionError>),
}

impl Connecting {
    pub(super) const fn new(attempt: Attempt, recording: Option<Recording>) -> Self {
        Self { recording, stage: Mutex::new(Stage::UnderWay(attempt)) }
    }

    /// Resolves when it is durable that the store is to be connected.
    pub(super) const fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionState> {
        let stage = self.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let ended = |outcome: &Result<_, _>| match outcome {
            Ok(_) => ConnectionState::Connected,
            Err(_) => ConnectionState::Failed,
        };
        let outcome = match stage {
            Stage::Over(outcome) => return Poll::Ready(ended(outcome)),
            Stage::UnderWay(attempt) => ready!(attempt.poll_unpin(cx)),
        };
        let state = ended(&outcome);
        *stage = Stage::Over(outcome);
        Poll::Ready(state)
    }

    /// What the attempt came to. Called when it is over; one that is not would be a fault of ours.
    pub(super) fn settle(self, core: &Core) -> Result<Connected, Failed> {
        match self.stage.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Stage::Over(Ok(connection)) => Ok(Connected::new(core, connection)),
            Stage::Over(Err(error)) => Err(Failed::new(error)),
            Stage::UnderWay(_) => Err(Failed::new(ConnectionError::new(ConnectionErrorCode::InternalError))),
        }
    }

    /// Gives the attempt up; a connection that is there already is closed in good order.
    pub(super) fn disconnect(self, core: &Core) -> Disconnecting {
        self.leave(core, core.recorded_disconnect())
    }

    /// Gives the attempt up for the end of the process.
    pub(super) fn retire(self, core: &Core) -> Disconnecting {
        self.leave(core, None)
    }

    fn leave(self, core: &Core, recording: Option<Recording>) -> Disconnecting {
        match self.stage.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Stage::Over(Ok(connection)) => Disconnecting::closing(core, connection, recording),
            Stage::UnderWay(_) | Stage::Over(Err(_)) => Disconnecting::from_nothing(recording),
        }
    }
}

/// While connecting: await it, race it, or give it up.
///
/// `store.await` gives the connected store, or a [`TransitionError`] that holds the failed one. It takes the
/// store with it: drop that future and the store and its attempt are gone. To race the attempt against
/// something else, use [`settled`](Self::settled).
impl KeyStore<Connecting> {
    /// Waits until the attempt is over and says how it ended; awaiting the store then resolves at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: called again, it goes on with the same attempt.
    ///
    /// ```
    /// # use custom_key_store::{KeyStore, StoreName, backend::software::{Fault, KeyManager, Method}};
    /// # use custom_key_store::clock::{Clock, SystemClock};
    /// # use std::time::Duration;
    /// # futures::executor::block_on(async {
    /// # let manager = KeyManager::new();
    /// # manager.inject(Method::Connect, Fault::Hang);
    /// let mut connecting = KeyStore::ephemeral(StoreName::new("root")?, manager).connect();
    /// let patience = SystemClock.sleep(Duration::from_millis(20));
    /// futures::pin_mut!(patience);
    /// let gave_up = {
    ///     let settled = connecting.settled();
    ///     futures::pin_mut!(settled);
    ///     matches!(futures::future::select(settled, patience).await, futures::future::Either::Right(_))
    /// };
    /// assert!(gave_up);
    /// let store = connecting.disconnect().await; // the attempt is gone, the store is not
    /// # let _ = store;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn settled(&mut self) -> ConnectionState {
        poll_fn(|cx| self.state.poll(cx)).await
    }

    /// Gives the attempt up, at once: its future is dropped before this returns. Await the result to have it written
    /// down, if the store is kept: a restart would try again.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye and is not written down"]
    pub fn disconnect(self) -> KeyStore<Disconnecting> {
        let Self { core, state } = self;
        let state = state.disconnect(&core);
        KeyStore { core, state }
    }
}

impl IntoFuture for KeyStore<Connecting> {
    type Output = Result<KeyStore<Connected>, TransitionError<Failed>>;
    type IntoFuture = Settle<Connecting>;

    fn into_future(self) -> Settle<Connecting> {
        Settle::new(self)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

impl State for Connecting {
    const STATE: ConnectionState = ConnectionState::Connecting;
}

impl Transient for Connecting {}

impl sealed::Sealed for Connecting {
    fn erase(self) -> AnyState {
        AnyState::Connecting(self)
    }

    fn recover(any: AnyState) -> Result<Self, AnyState> {
        match any {
            AnyState::Connecting(state) => Ok(state),
            other => Err(other),
        }
    }
}

impl sealed::Settles for Connecting {
    type Outcome = Result<KeyStore<Connected>, TransitionError<Failed>>;

    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(|_| ())
    }

    fn outcome(store: KeyStore<Self>) -> Self::Outcome {
        let KeyStore { core, state } = store;
        match state.settle(&core) {
            Ok(state) => Ok(KeyStore { core, state }),
            Err(state) => Err(TransitionError::new(KeyStore { core, state })),
        }
    }
}
