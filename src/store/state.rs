//! The five states as types and as data.

use std::fmt;

use crate::value::wire_enum;

use super::any::AnyState;
pub use super::connected::Connected;
pub use super::connecting::Connecting;
pub use super::disconnected::Disconnected;
pub use super::disconnecting::Disconnecting;
pub use super::failed::Failed;

wire_enum! {
    /// The connection state of a custom key store, as data. As a type it is the parameter of
    /// [`KeyStore`](crate::KeyStore).
    #[expect(clippy::exhaustive_enums, reason = "the machine has these five states and no other")]
    ConnectionState, field: "ConnectionState" {
        /// A connection attempt succeeded and nobody has disconnected since. Says nothing about health.
        Connected = "CONNECTED",
        /// A connection attempt is under way.
        Connecting = "CONNECTING",
        /// The last connection attempt failed; a disconnect leads out.
        Failed = "FAILED",
        /// Never connected, or disconnected on purpose.
        Disconnected = "DISCONNECTED",
        /// A disconnect is under way; no call is admitted any more.
        Disconnecting = "DISCONNECTING",
    }
}

impl ConnectionState {
    /// Whether it passes by itself: `CONNECTING` and `DISCONNECTING`.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Connecting | Self::Disconnecting)
    }
}

/// A connection state as a type: [`Disconnected`], [`Connecting`], [`Connected`], [`Disconnecting`] or [`Failed`].
///
/// Sealed: there are no others. Every state holds what exists only in it, so that a store cannot have a
/// connection without being connected.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection state of a custom key store",
    label = "not a connection state",
    note = "the connection states are `Disconnected`, `Connecting`, `Connected`, `Disconnecting` and `Failed`"
)]
pub trait State: sealed::Sealed + fmt::Debug + Send + Sync + Sized + 'static {
    /// The state as data.
    const STATE: ConnectionState;
}

/// A state that passes by itself and can be awaited: [`Connecting`] or [`Disconnecting`].
#[diagnostic::on_unimplemented(
    message = "a store in state `{Self}` does not settle: nothing is under way",
    note = "the transient states are `Connecting` and `Disconnecting`"
)]
pub trait Transient: State + sealed::Settles {}

pub(crate) mod sealed {
    use std::task::{Context, Poll};

    use super::AnyState;
    use crate::backend::ConnectionError;
    use crate::key::{OutOfReach, Reach};
    use crate::store::{KeyStore, State, Transient};

    /// The moves that every state knows how to make between its typed and its erased form.
    #[expect(unnameable_types, reason = "this is what seals `State`")]
    pub trait Sealed {
        #[doc(hidden)]
        fn erase(self) -> AnyState;
        #[doc(hidden)]
        fn recover(any: AnyState) -> Result<Self, AnyState>
        where
            Self: Sized;
        #[doc(hidden)]
        fn connection_error(&self) -> Option<&ConnectionError> {
            None
        }
        #[doc(hidden)]
        fn reach(&self) -> &dyn Reach {
            &OutOfReach
        }
    }

    /// How a transient state goes on.
    #[expect(unnameable_types, reason = "this is what seals `Transient`")]
    pub trait Settles: Sized {
        #[doc(hidden)]
        type Outcome;
        #[doc(hidden)]
        fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()>;
        #[doc(hidden)]
        fn outcome(store: KeyStore<Self>) -> Self::Outcome
        where
            Self: State + Transient;
    }
}
