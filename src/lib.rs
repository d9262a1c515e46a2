//! Keep the root keys of an application somewhere else, in a key manager that somebody else controls, and
//! connect and disconnect that *custom key store* at will.
//!
//! AWS KMS offers this inside its cloud: external key stores behind an XKS proxy, and CloudHSM key stores. This
//! crate brings the same semantics into a library that any program can link. The connection state of a store is
//! part of its type, so that using a store that is not connected does not compile.
//!
//! ```
//! use custom_key_store::backend::{BackingKeyId, software::KeyManager};
//! use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
//!
//! # futures::executor::block_on(async {
//! // A key manager in this process stands in for the one that somebody else controls.
//! let external = BackingKeyId::new("payroll")?;
//! let manager = KeyManager::new();
//! manager.create_key(external.clone());
//!
//! let store = KeyStore::ephemeral(StoreName::new("root keys")?, manager);   // KeyStore<Disconnected>
//! let store = store.connect().await?;                                       // KeyStore<Connected>
//!
//! let key = store.create_key(&NewKey::external(external)).await?.key_id;    // a KMS key
//! let context = EncryptionContext::new([("tenant", "blue")])?;
//! let blob = store.encrypt(&key, b"attack at dawn", &context).await?;
//! assert_eq!(store.decrypt(blob.as_bytes(), &context).await?.expose(), b"attack at dawn");
//!
//! let store = store.disconnect().await;                                     // KeyStore<Disconnected>
//! # drop(store);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # The life of a store
//!
//! ```text
//!             connect()                     settles Ok
//! Disconnected ───────► Connecting ───────────────────────► Connected
//!      ▲                    │  │ settles Err                   │
//!      │                    │  └────────────► Failed           │
//!      │        disconnect()│                   │ disconnect() │ disconnect()
//!      │  settles           ▼                   ▼              ▼
//!      └──────────────── Disconnecting ◄────────────────────────
//! ```
//!
//! - **A transient state is something to await.** `store.connect().await?` reads as one step. The work lies in the
//!   store and is not spawned: no async runtime is needed, and dropping the store ends it.
//! - **A store is never lost.** A failed attempt gives it back, with one of AWS's eighteen
//!   [error codes](backend::ConnectionErrorCode), what the code means, what to do and who does it.
//! - **`disconnect()` takes effect when it is called.** From then on no call is admitted, by any [`Handle`]
//!   anywhere. Awaiting it drains what is in flight, up to a limit, abandons the rest, and
//!   [reports](DisconnectReport).
//! - **A sick key manager does not change the state.** Health is a reading; only a person, or your program on
//!   their behalf, disconnects.
//!
//! # A store that lasts
//!
//! An ephemeral store dies with the process. One that lasts is kept in a catalogue, such as a file (feature `sqlite`); this
//! is what a service runs at each start, the first one and every later one:
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # mod service {
//! use std::path::Path;
//!
//! use custom_key_store::backend::{AccountId, Backend};
//! use custom_key_store::catalog::{Ledger, SqliteCatalog};
//! use custom_key_store::{Connected, Identity, KeyStore, Partition, Region, SealingKey, StoreName};
//!
//! type Started = (Ledger, KeyStore<Connected>);
//!
//! async fn start(backend: impl Backend) -> Result<Started, Box<dyn std::error::Error>> {
//!     let catalog = Path::new("/var/lib/my-program/stores.sqlite");
//!     let sealing_key = Path::new("/etc/my-program/sealing.key"); // apart from the catalogue
//!
//!     // A new sealing key only for a new catalogue: of one that is there it opens nothing.
//!     let sealer = match SealingKey::from_file(sealing_key) {
//!         Err(error) if error.is_not_found() && !catalog.try_exists()? => SealingKey::create_file(sealing_key)?,
//!         found => found?,
//!     };
//!     let identity =
//!         Identity::new(Partition::new("aws")?, Region::new("eu-central-1")?, AccountId::new("111122223333")?);
//!     let ledger = Ledger::open_or_create(SqliteCatalog::open_or_create(catalog).await?, &sealer, identity).await?;
//!     let store = KeyStore::builder(backend).open_or_create(&ledger, StoreName::new("root keys")?).await?;
//!     let store = store.into_connected().await?; // whatever state it was left in, also disconnected on purpose
//!     Ok((ledger, store))
//! }
//! # }
//! ```
//!
//! - **The [`Identity`]** is the first half of the ARN of every KMS key, which the key manager is told with each request.
//! - **Find a KMS key again** by an alias: [`Keys::create_alias`], [`Keys::resolve`].
//! - **Await a disconnect**: only then is it written down, so that a restart does not connect again.
//! - **Call [`Keys::delete_due`]** once an hour, say: nothing else deletes the keys whose deletion was scheduled.
//! - **Back up** the catalogue ([`Ledger::backup`](catalog::Ledger::backup)) and the sealing key, apart from each other:
//!   without either nothing can be decrypted again. Never use a restored copy beside the original.
//!
//! # What it does not do
//!
//! - **Hide the plaintext from a cluster.** Double encryption is for external key stores; in a CloudHSM key store the
//!   key manager sees what [`KeyStore::encrypt`] is given.
//! - **Choose a runtime for a store.** A store spawns nothing and logs nothing; its time comes from a
//!   [`Clock`](clock::Clock), the default of which sleeps on a thread of its own. The XKS client and the
//!   servers need tokio, and the servers log through `tracing`.
//! - **Retry a connection by itself.** [`ConnectionErrorCode::is_transient`](backend::ConnectionErrorCode::is_transient)
//!   says whether that makes sense; when and how often is yours to say.
//!
//! # Map
//!
//! | place | what |
//! |---|---|
//! | [`KeyStore`] | one store: its states and what can be done in each |
//! | [`Handle`] | the part of a connected store that tasks share |
//! | [`AnyKeyStore`] | a store whose state is data |
//! | [`kms::Kms`] | many stores by id, with the operations and exceptions of AWS KMS |
//! | [`Keys`] | the KMS keys of a store, to be viewed and managed in every state |
//! | [`catalog`] | where stores and keys are kept: in memory, in a file (feature `sqlite`), or where you implement it; [`Ledger`](catalog::Ledger), one that is open |
//! | [`backend`] | the [`Backend`](backend::Backend) and [`Connection`](backend::Connection) traits, to implement or to mock |
//! | [`backend::software`] | a key manager in memory that can be told to fail, on a script |
//! | `api` | an endpoint that AWS SDKs talk to, over a [`kms::Kms`] (feature `kms-api`) |
//! | `xks` | external key stores: the client of a proxy, and a proxy (features `xks`, `proxy`) |
//! | `cloudhsm` | CloudHSM key stores: an HSM through its PKCS#11 library (feature `cloudhsm`) |
//! | [`Sealer`], [`SealingKey`] | who protects what is kept on disk |
//! | [`envelope`] | data of your own under data keys: records, streams, a cache of data keys |
//! | [`audit`] | the audit trail: records, sinks, a log whose lines are chained, and its verifier |
//! | [`clock`] | where time comes from, and a clock for tests |
//! | [`RateLimit`] | how many requests there may be in a second, and at once |
//! | [`Error`] | what can go wrong when a store is used |
//!
//! # Features
//!
//! Enabling one never changes what the rest does. Without any, the crate has no async runtime, no TLS and no database
//! among its dependencies.
//!
//! | feature | what it adds |
//! |---|---|
//! | `mock` | `backend::MockBackend` and `backend::MockConnection`, made by `mockall`, for your tests. Exempt from semantic versioning as far as mockall's own version goes |
//! | `conformance` | `backend::conformance` and `catalog::conformance`: the suites that every implementation of `Backend` and of `Catalog` should pass |
//! | `xks` | on by default: `xks::XksProxy`, the client of an external key store proxy. Needs a tokio runtime |
//! | `proxy` | `xks::proxy`: an external key store proxy over any connection |
//! | `kms-api` | `api`: an endpoint that speaks AWS KMS's own protocol, so that AWS SDKs can use custom key stores. Needs a tokio runtime |
//! | `cloudhsm` | `cloudhsm::CloudHsmCluster`: an HSM, through the PKCS#11 library of its vendor, which is loaded when a store connects |
//! | `sqlite` | `catalog::SqliteCatalog`: what is kept lies in a file. Compiles SQLite, for which a C compiler is needed |
//! | `full` | all of them |
//!
//! # Words
//!
//! *Custom key store*, *connection state*, *external key manager*, *external key store proxy*, *encryption context*
//! and the rest mean what they mean in AWS's documentation. Enums serialize to AWS's own strings, and
//! [`KeyStore::describe`] to an entry of `DescribeCustomKeyStores`. A *backing key* is a key inside the key manager.

#[cfg(feature = "kms-api")]
pub mod api;
pub mod audit;
pub mod backend;
pub mod catalog;
pub mod clock;
#[cfg(feature = "cloudhsm")]
pub mod cloudhsm;
pub mod envelope;
pub mod kms;
#[cfg(feature = "xks")]
#[cfg_attr(
    not(feature = "proxy"),
    expect(
        dead_code,
        unused_imports,
        reason = "the protocol is one piece; the client uses its own half of it"
    )
)]
pub mod xks;

#[cfg(feature = "conformance")]
mod conformance;
mod crypto;
mod epoch;
mod error;
mod file;
mod identity;
#[cfg(any(feature = "xks", feature = "kms-api"))]
mod json;
mod key;
mod panics;
mod primitive;
#[cfg_attr(
    not(feature = "proxy"),
    expect(dead_code, reason = "the core has the limit, and nobody yet whom it limits")
)]
mod rate;
mod secret;
#[cfg(any(feature = "proxy", feature = "kms-api"))]
mod serve;
#[cfg(any(feature = "xks", feature = "kms-api"))]
#[cfg_attr(
    not(feature = "proxy"),
    expect(dead_code, reason = "the client of one protocol and the servers of two use a part each")
)]
#[cfg_attr(
    not(any(feature = "proxy", all(feature = "xks", feature = "kms-api"))),
    expect(unused_imports, reason = "as above")
)]
mod sigv4;
mod store;
mod store_id;
mod sync;
mod thread;
mod value;

// The paved road; the rest lives in its module, under one path.
pub use backend::StoreName;
pub use crypto::{
    CiphertextBlob, EncryptionContext, InvalidBlob, SealError, SealErrorKind, Sealer, SealingKey,
};
pub use error::{Error, ErrorKind};
pub use identity::{Identity, Partition, Region};
pub use key::{
    Alias, AliasName, DeletionReport, KeyArn, KeyId, KeyMetadata, KeyOrigin, KeyState, KeyText, Keys, Marker,
    NewKey, Orphan, Page, PageRequest, TagKey, TagValue,
};
pub use rate::RateLimit;
pub use secret::SecretBytes;
pub use store::{
    AnyKeyStore, Caller, Connected, Connecting, ConnectionState, CreateError, DataKey, DataKeyLength,
    DeleteError, Description, DisconnectReport, Disconnected, Disconnecting, Failed, Goodbye, Handle,
    InvalidState, KeyStore, ProbeReport, Settle, State, StoreBuilder, Transient, TransitionError,
    UpdateError, WrongState,
};
pub use store_id::StoreId;
pub use value::{InvalidValue, Problem};
