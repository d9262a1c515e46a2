//! One custom key store, whose connection state is part of its type.

mod any;
mod attempt;
mod builder;
mod call;
mod core;
mod describe;
mod gate;
mod guard;
mod handle;
mod joint;
mod keeping;
mod link;
mod live;
mod patience;
mod register;
mod report;
mod revision;
mod state;
mod transition;

// In order of life, which is the order in which rustdoc shows their impl blocks; apart, so that rustfmt leaves it.
mod disconnected;

mod connecting;

mod connected;

mod disconnecting;

mod failed;

pub use any::{AnyKeyStore, InvalidState, WrongState};
pub use attempt::ProbeReport;
pub use builder::{CreateError, StoreBuilder};
pub use describe::Description;
pub use disconnected::UpdateError;
pub(crate) use handle::{Acting, Used, check_plaintext, check_random};
pub use handle::{Caller, DataKey, DataKeyLength, Handle};
pub(crate) use joint::Joint;
pub use keeping::DeleteError;
pub(crate) use patience::{Observer, Patience};
pub(crate) use register::{Kept, Recording, StoreRecord, has_keys, store_named};
pub use report::{DisconnectReport, Goodbye};
pub(crate) use revision::Revision;
pub use state::{
    Connected, Connecting, ConnectionState, Disconnected, Disconnecting, Failed, State, Transient,
};
pub use transition::{Settle, TransitionError};

use std::fmt;

use self::core::Core;
use crate::backend::{CustomKeyStoreType, StoreName};
use crate::key::Keys;
use crate::store_id::StoreId;

/// A custom key store: a key manager that somebody else controls, in one of five connection states.
///
/// ```
/// use custom_key_store::backend::{BackingKeyId, software::KeyManager};
/// use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
///
/// # futures::executor::block_on(async {
/// let external = BackingKeyId::new("payroll")?;
/// let manager = KeyManager::new();
/// manager.create_key(external.clone());
///
/// let store = KeyStore::ephemeral(StoreName::new("root keys")?, manager);
/// let store = store.connect().await?;
/// let context = EncryptionContext::new([("purpose", "demonstration")])?;
/// let key = store.create_key(&NewKey::external(external)).await?.key_id;
/// let blob = store.encrypt(&key, b"attack at dawn", &context).await?;
/// let plaintext = store.decrypt(blob.as_bytes(), &context).await?;
/// assert_eq!(plaintext.expose(), b"attack at dawn");
///
/// let store = store.disconnect().await;
/// println!("{}", store.disconnect_report().ok_or("no report")?);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # States
///
/// ```text
///             connect()                     settles Ok
/// Disconnected ───────► Connecting ───────────────────────► Connected
///      ▲                    │  │ settles Err                   │
///      │                    │  └────────────► Failed           │
///      │        disconnect()│                   │ disconnect() │ disconnect()
///      │  settles           ▼                   ▼              ▼
///      └──────────────── Disconnecting ◄────────────────────────
/// ```
///
/// - `Disconnected` to `Connecting`: [`connect`](KeyStore::connect). Cannot fail; nothing happens before it is polled.
/// - `Connecting` to `Connected` or `Failed`: await the store, or [`settled`](KeyStore::<Connecting>::settled).
/// - `Connecting`, `Connected`, `Failed` to `Disconnecting`: `disconnect()`. Takes effect when it is called.
/// - `Disconnecting` to `Disconnected`: await the store. Cannot fail; gives a [`DisconnectReport`].
///
/// | | `Disconnected` | `Connecting` | `Connected` | `Disconnecting` | `Failed` |
/// |---|---|---|---|---|---|
/// | `id`, `name`, `store_type`, `state`, `describe`, `keys` | yes | yes | yes | yes | yes |
/// | `connect`, `probe`, `disconnect_report` | yes | | | | |
/// | `.await`, `settled` | | yes | | yes | |
/// | `handle`, `create_key`, `encrypt`, `decrypt`, data keys, random, `health` | | | yes | | |
/// | `update` | any change | | name, credential, path | | |
/// | `disconnect` | | yes | yes, also `disconnect_within` | | yes |
/// | `connection_error`, `error_code`, `advice` | | | | | yes |
///
/// What the table does not have does not compile:
///
/// ```compile_fail,E0599
/// # use custom_key_store::{EncryptionContext, KeyId, KeyStore, StoreName};
/// # use custom_key_store::backend::software::KeyManager;
/// # async fn program(key: KeyId) -> Result<(), Box<dyn std::error::Error>> {
/// let store = KeyStore::ephemeral(StoreName::new("root keys")?, KeyManager::new());
/// // error: no method named `encrypt` found for struct `KeyStore<Disconnected>`
/// store.encrypt(&key, b"too early", &EncryptionContext::none()).await?;
/// # Ok(()) }
/// ```
///
/// A sick key manager does not change the state: a store stays `Connected` until somebody disconnects it.
/// [`health`](KeyStore::health) is a reading apart.
///
/// # Failing and trying again
///
/// An attempt that fails gives the store back inside the [`TransitionError`], in state `Failed`, with a code
/// and [advice](KeyStore::advice). A failed store has no `connect`: [`disconnect`](KeyStore::<Failed>::disconnect)
/// it first. Read its error before, since a disconnect erases it.
///
/// # Sharing
///
/// One owner holds the store; any number of tasks hold a [`Handle`]. `disconnect()` revokes every handle at
/// once; then the calls in flight are waited for, up to a limit, and what remains is abandoned.
///
/// # Cancelling
///
/// A transition is not a task: its work lies in the store and goes on while somebody polls. Dropping
/// `store.await` drops the store, and with it the attempt; [`settled`](KeyStore::<Connecting>::settled) can be
/// dropped and called again. Dropping a store in any state leaks nothing. Skipped are a goodbye to the key manager, and
/// what would have been written down: a store that is kept and whose disconnect is dropped before it was polled is
/// connected again by a restart, since nothing can be awaited when something is dropped. So await a disconnect; what
/// could not be written down even so is in its [report](DisconnectReport::unrecorded), and
/// [`record`](KeyStore::record) tries again.
///
/// # Storing many
///
/// [`AnyKeyStore`] is a store whose state is data.
pub struct KeyStore<S: State> {
    /// Boxed, so that a store, and with it the error that carries one, is small.
    core: Box<Core>,
    state: S,
}

/// In every state.
impl<S: State> KeyStore<S> {
    /// The store's id.
    #[must_use]
    pub const fn id(&self) -> &StoreId {
        &self.core.id
    }

    /// The store's friendly name.
    #[must_use]
    pub const fn name(&self) -> &StoreName {
        &self.core.name
    }

    /// The store's type.
    #[must_use]
    pub const fn store_type(&self) -> CustomKeyStoreType {
        self.core.store_type()
    }

    /// The state as data.
    #[must_use]
    pub const fn state(&self) -> ConnectionState {
        S::STATE
    }

    /// The KMS keys of the store, to be viewed and managed.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.core.ring, self.state.reach())
    }

    /// The store as an entry of `DescribeCustomKeyStores`; the error code is there in `FAILED` alone.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description::new(&self.core, S::STATE, self.state.connection_error())
    }
}

impl<S: State> fmt::Debug for KeyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("KeyStore");
        debug.field("id", &self.core.id).field("name", &self.core.name).field("state", &S::STATE);
        if let Some(error) = self.state.connection_error() {
            debug.field("connection_error", error);
        }
        debug.finish_non_exhaustive()
    }
}
