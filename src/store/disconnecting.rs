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
use crate::store::report::{DisconnectReport, Goodbye};
use crate::store::state::{ConnectionState, State, Transient, sealed};
use crate::store::transition::Settle;

/// A disconnect is under way: no call is admitted, those in flight are being waited for.
///
/// Like an attempt to connect, it makes progress only while somebody polls it. Dropping the store abandons what
/// is in flight and drops the connection without a goodbye; and since nothing can be written then, a disconnect that
/// nobody had polled is not in the catalogue, so that a restart connects again. Await it.
pub struct Disconnecting {
    /// Never locked: the mutex is what makes the state `Sync`, and is reached through `get_mut`.
    stage: Mutex<Stage>,
}

enum Stage {
    UnderWay(BoxFuture<'static, DisconnectReport>),
    Over(DisconnectReport),
}

impl Disconnecting {
    const fn new(stage: Stage) -> Self {
        Self { stage: Mutex::new(stage) }
    }

    /// There is no connection; only the catalogue has to be told.
    pub(super) fn from_nothing(core: &Core) -> Self {
        if core.register.is_none() {
            return Self::new(Stage::Over(DisconnectReport::default()));
        }
        Self::under_way(core, async { DisconnectReport::default() })
    }

    /// Written down while the farewell takes its course, since neither may wait for the other.
    fn under_way(core: &Core, farewell: impl Future<Output = DisconnectReport> + Send + 'static) -> Self {
        let recorded = core.recorded_disconnect();
        let both = async move {
            let (unrecorded, report) = join(recorded, farewell).await;
            DisconnectReport { unrecorded, ..report }
        };
        Self::new(Stage::UnderWay(both.boxed()))
    }

    /// Nobody has used the connection yet; it only has to be closed.
    pub(super) fn closing(core: &Core, connection: Arc<dyn Connection>) -> Self {
        let (clock, limit) = (Arc::clone(&core.clock), core.limits.close_timeout);
        let farewell = async move {
            let started = clock.monotonic();
            let goodbye = close(&*clock, limit, &*connection).await;
            drop(connection);
            DisconnectReport::of_goodbye(goodbye, clock.monotonic().saturating_duration_since(started))
        };
        Self::under_way(core, farewell)
    }

    pub(super) fn draining(core: &Core, live: Live, in_flight: u64, limit: Duration) -> Self {
        Self::under_way(core, live.farewell(in_flight, limit))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReport> {
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
