//! While a disconnect is under way.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join};

use crate::backend::Connection;
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::core::Core;
use crate::store::disconnected::Disconnected;
use crate::store::live::{Live, close};
use crate::store::register::Recording;
use crate::store::report::{DisconnectReport, Goodbye};
use crate::store::state::{ConnectionState, State, Transient, sealed};
use crate::store::transition::Settle;

/// A disconnect is under way: no call is admitted, those in flight are being waited for.
///
/// Like an attempt to connect, it makes progress only while somebody polls it. Dropping the store abandons what
/// is in flight and drops the connection without a goodbye; and since nothing can be written then, a disconnect that
/// nobody had polled is not in the catalogue, so that a restart connects again. Await it.
pub struct Disconnecting {
    recording: Option<Recording>,
    /// Never locked: the mutex is what makes the state `Sync`, and is reached through `get_mut`.
    stage: Mutex<Stage>,
}

enum Stage {
    UnderWay(BoxFuture<'static, DisconnectReport>),
    Over(DisconnectReport),
}

impl Disconnecting {
    /// There is no connection; only the catalogue has to be told, if it is to be.
    pub(super) fn from_nothing(recording: Option<Recording>) -> Self {
        if recording.is_none() {
            let stage = Mutex::new(Stage::Over(DisconnectReport::default()));
            return Self { recording, stage };
        }
        Self::under_way(async { DisconnectReport::default() }, recording)
    }

    /// Written down while the farewell takes its course, since neither may wait for the other.
    fn under_way(
        farewell: impl Future<Output = DisconnectReport> + Send + 'static,
        recording: Option<Recording>,
    ) -> Self {
        let recorded = recording.clone();
        let both = async move {
            let recorded = async { recorded?.await };
            let (unrecorded, report) = join(recorded, farewell).await;
            DisconnectReport { unrecorded, ..report }
        };
        Self { recording, stage: Mutex::new(Stage::UnderWay(both.boxed())) }
    }

    /// Resolves when it is durable that the store is disconnected.
    pub(super) const fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Nobody has used the connection yet; it only has to be closed.
    pub(super) fn closing(
        core: &Core,
        connection: Arc<dyn Connection>,
        recording: Option<Recording>,
    ) -> Self {
        let (clock, limit) = (Arc::clone(&core.clock), core.limits.close_timeout);
        let farewell = async move {
            let started = clock.monotonic();
            let goodbye = close(&*clock, limit, &*connection).await;
            drop(connection);
            DisconnectReport::of_goodbye(goodbye, clock.monotonic().saturating_duration_since(started))
        };
        Self::under_way(farewell, recording)
    }

    pub(super) fn draining(live: Live, limit: Duration, recording: Option<Recording>) -> Self {
        Self::under_way(live.farewell(limit), recording)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReport> {
        let stage = self.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let report = match stage {
            Stage::Over(report) => return Poll::Ready(report.clone()),
            Stage::UnderWay(farewell) => ready!(farewell.poll_unpin(cx)),
        };
        *stage = Stage::Over(report.clone());
        Poll::Ready(report)
    }

    /// The end of it; a farewell that is not over is cut off.
    pub(super) fn settle(self) -> Disconnected {
        match self.stage.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Stage::Over(report) => Disconnected::after(report),
            Stage::UnderWay(_) => {
                Disconnected::after(DisconnectReport::of_goodbye(Goodbye::TimedOut, Duration::ZERO))
            }
        }
    }
}

/// While disconnecting: await it.
///
/// `store.await` gives the disconnected store, with the
/// [report](KeyStore::disconnect_report). It cannot fail: what went wrong with the goodbye is in the report.
impl KeyStore<Disconnecting> {
    /// Waits until the disconnect is over and reports; awaiting the store then resolves at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: called again, it goes on with the same disconnect.
    pub async fn settled(&mut self) -> DisconnectReport {
        poll_fn(|cx| self.state.poll(cx)).await
    }
}

impl IntoFuture for KeyStore<Disconnecting> {
    type Output = KeyStore<Disconnected>;
    type IntoFuture = Settle<Disconnecting>;

    fn into_future(self) -> Settle<Disconnecting> {
        Settle::new(self)
    }
}

impl fmt::Debug for Disconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disconnecting").finish_non_exhaustive()
    }
}

impl State for Disconnecting {
    const STATE: ConnectionState = ConnectionState::Disconnecting;
}

impl Transient for Disconnecting {}

impl sealed::Sealed for Disconnecting {
    fn erase(self) -> AnyState {
        AnyState::Disconnecting(self)
    }

    fn recover(any: AnyState) -> Result<Self, AnyState> {
        match any {
            AnyState::Disconnecting(state) => Ok(state),
            other => Err(other),
        }
    }
}

impl sealed::Settles for Disconnecting {
    type Outcome = KeyStore<Disconnected>;

    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(|_| ())
    }

    fn outcome(store: KeyStore<Self>) -> Self::Outcome {
        let KeyStore { core, state } = store;
        KeyStore { core, state: state.settle() }
    }
}
