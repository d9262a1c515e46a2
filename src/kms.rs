//! Many custom key stores by id, as AWS KMS has them: states are data, every call checks them, and every refusal has the name
//! that AWS documents.
//!
//! [`Kms::open`] opens every store of a catalogue and gives two things: the [`Kms`], which tasks clone and call, and its
//! [`Driver`], a future that makes progress on what calls begin: spawn it, `tokio::spawn(driver)`. [`Backends`] is what stands
//! between the configurations that callers give and the key managers that are dialled.
//!
//! ```
//! use custom_key_store::backend::software::KeyManager;
//! use custom_key_store::backend::{AccountId, BackingKeyId, UriEndpoint, UriPath, XksProxyCredential};
//! use custom_key_store::catalog::Ledger;
//! use custom_key_store::kms::{BackendMap, CreateCustomKeyStore, Decrypt, Encrypt, Exception, KeyRef, Kms};
//! use custom_key_store::{ConnectionState, Identity, NewKey, Partition, Region, StoreName};
//!
//! # futures::executor::block_on(async {
//! // A catalogue in memory, and a key manager in this process: a real program has a file (feature `sqlite`), and proxies
//! // (`ExternalProxies`) or clusters.
//! let identity =
//!     Identity::new(Partition::new("aws")?, Region::new("eu-central-1")?, AccountId::new("111122223333")?);
//! let manager = KeyManager::new();
//! manager.create_key(BackingKeyId::new("payroll")?);
//! let backends = BackendMap::new().software(manager);
//! let (kms, driver) = Kms::open(Ledger::ephemeral(identity), backends).await?;
//! let program = async {
//!     // The same at the first start and at every later one.
//!     let name = StoreName::new("root keys")?;
//!     let store = match kms.describe_custom_key_store_named(&name).await {
//!         Ok(found) => found.custom_key_store_id,
//!         Err(error) if error.exception() == Exception::CustomKeyStoreNotFound => {
//!             let endpoint = UriEndpoint::new("https://xks.example.com")?;
//!             let (path, credential) = (UriPath::new("/kms/xks/v1")?, XksProxyCredential::generate()?);
//!             kms.create_custom_key_store(CreateCustomKeyStore::external(name, endpoint, path, credential)).await?
//!         }
//!         Err(error) => return Err(error.into()),
//!     };
//!     kms.connect_custom_key_store(&store).await?; // returns at once: the store is CONNECTING
//!     let settled = kms.settled(&store).await?;
//!     assert_eq!(settled.connection_state, ConnectionState::Connected); // or FAILED, with a connection_error_code
//!
//!     let key = kms.create_key(&store, &NewKey::external(BackingKeyId::new("payroll")?)).await?;
//!     let key = KeyRef::from(key.key_id);
//!     let sealed = kms.encrypt(&Encrypt::new(&key, b"attack at dawn")).await?;
//!     let opened = kms.decrypt(&Decrypt::new(sealed.ciphertext.as_bytes())).await?;
//!     assert_eq!(opened.plaintext.expose(), b"attack at dawn");
//!
//!     kms.disconnect_custom_key_store(&store).await?; // from here on no call is admitted
//!     let refused = kms.encrypt(&Encrypt::new(&key, b"attack at dawn")).await.unwrap_err();
//!     assert_eq!(refused.exception().as_str(), "KMSInvalidStateException");
//!     kms.shut_down(); // then await the driver, and close the ledger
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! };
//! let ((), outcome) = futures::join!(driver, program);
//! outcome
//! # }).unwrap();
//! ```
//!
//! # Where AWS's documents contradict each other, or say nothing
//!
//! | what | here |
//! |---|---|
//! | to connect a store that is `CONNECTING` or `CONNECTED` | succeeds, and asks nothing |
//! | to disconnect one that is `DISCONNECTED` or `DISCONNECTING` | `CustomKeyStoreInvalidStateException` |
//! | to change name, credential or path while `CONNECTED` | allowed; in `FAILED` and the transient states nothing can be changed |
//! | an update that changes nothing, or something that the type of store does not have | `ValidationException` |
//! | an update of which one part is not allowed | all of it is refused |
//! | an update names the cluster of another custom key store | `CloudHsmClusterNotRelatedException` |
//! | to delete a store that has keys and is not `DISCONNECTED` | `CustomKeyStoreInvalidStateException` |
//! | to create a CloudHSM key store once more | the one that there is, if it is `DISCONNECTED` and every value the same |
//! | a key whose deletion is scheduled is used | `KMSInvalidStateException` |
//! | a key is disabled, and its store not connected | `KMSInvalidStateException`: unavailable comes first |
//! | a deletion is cancelled while the store is not connected | the key is `Unavailable`, and `Disabled` when it is connected |
//! | a proxy's TLS is not acceptable, when a store is created or changed | `XksProxyInvalidConfigurationException` |
//! | a proxy denies access, when a key is created | `CustomKeyStoreInvalidStateException` |
//! | a proxy does not support what a key's creation asks | `UnsupportedOperationException` |
//! | random bytes of an external key store | `UnsupportedOperationException`, in every state |
//! | a dry run | does not ask the key manager |
//! | the text of a filter by name | is compared byte by byte |
//! | a damaged ciphertext, or another encryption context, in an external key store | `InvalidCiphertextException` without a trip to the key manager (AWS: `KMSInvalidStateException` after one) |
//! | a key is being changed by others all the time | `KMSInternalException`, which may be tried again: the management of keys has no `KeyUnavailableException` |
//! | an ARN that is none of a KMS key or an alias, or of an alias where only a key can be named | `InvalidArnException`, where the operation has it, and else `NotFoundException` |
//! | an ARN of a key or an alias of another partition, Region or account | `NotFoundException` |
//! | a custom key store of a kind that the application has no key managers for | `ValidationException`: to create or change one has no `UnsupportedOperationException` |
//!
//! # What goes on by itself
//!
//! After a restart a store that was connected is `CONNECTING`, and is tried with growing pauses as long as the cause may pass by
//! itself; only a definite cause ends it `FAILED`. Keys whose deletion is due are deleted once an hour, also those that fell due
//! while nothing ran. A connection that sickens changes no state.

mod action;
mod backend_map;
mod backends;
mod call;
mod claims;
mod crypto;
mod driver;
mod due;
mod error;
mod events;
mod exception;
mod key_ref;
mod keys;
mod mapping;
mod open;
mod refusals;
mod request;
mod rules;
mod secret;
mod settings;
mod shared;
mod slot;
mod stores;
mod surroundings;
mod told;
mod trail;
mod unmapped;
mod update;
mod work;

pub use action::Action;
pub use backend_map::BackendMap;
#[cfg(feature = "xks")]
pub use backend_map::ExternalProxies;
pub use backends::{Backends, Purpose, Refusal};
pub use driver::Driver;
pub use error::KmsError;
pub use events::{ConnectionEvent, ConnectionEvents};
pub use exception::Exception;
pub use key_ref::KeyRef;
pub use open::KmsBuilder;
pub use request::{
    AliasEntry, CreateCustomKeyStore, Decrypt, Decrypted, Encrypt, Encrypted, GenerateDataKey,
    GeneratedDataKey, ReEncrypt, ReEncrypted, ScheduledDeletion, StoreSecret,
};
pub use rules::{
    AuthorizationRequest, Authorizer, Decision, InvalidRule, InvalidRules, Permission, Rule, Rules,
};
#[cfg(feature = "kms-api")]
pub(crate) use trail::RefusedRequest;

use std::fmt;
use std::sync::Arc;

use crate::backend::RequestId;
use crate::catalog::Ledger;
use crate::identity::Identity;
use crate::store::Caller;
use shared::Shared;

/// Many custom key stores by id, with every operation that AWS documents for them and their KMS keys.
///
/// Cheap to clone; clones are the same stores. [`on_behalf_of`](Self::on_behalf_of) gives one that calls for somebody.
#[derive(Clone)]
pub struct Kms {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    /// That of the calls of this clone; without it, each has its own.
    request_id: Option<RequestId>,
}

impl Kms {
    /// Opens every store of a catalogue, with the usual settings. See [`KmsBuilder::open`].
    ///
    /// # Errors
    ///
    /// [`KmsError`] when the catalogue cannot be read.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn open(ledger: Ledger, backends: impl Backends) -> Result<(Self, Driver), KmsError> {
        Self::builder(ledger, backends).open().await
    }

    /// With other settings than the usual ones.
    pub fn builder(ledger: Ledger, backends: impl Backends) -> KmsBuilder {
        KmsBuilder::new(ledger, backends)
    }

    /// The same stores, on behalf of somebody: who it is, the key managers learn and the audit trail says. Without it, calls
    /// are those of the account itself.
    #[must_use]
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        Self { caller: Arc::new(caller), ..self.clone() }
    }

    /// The same stores, for a request that has an id: the key managers are told it and the audit trail says it, with every call.
    #[must_use]
    pub fn with_request_id(&self, request_id: RequestId) -> Self {
        Self { request_id: Some(request_id), ..self.clone() }
    }

    /// Whether anybody decides who may do what; if not, everybody may do everything.
    #[must_use]
    pub fn has_authorizer(&self) -> bool {
        self.shared.authorizer.is_some()
    }

    /// Whose keys they are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.shared.ledger.identity()
    }

    /// What becomes of connections from now on.
    pub fn events(&self) -> ConnectionEvents {
        self.shared.events.listen()
    }

    /// Has the audit trail know of a request that was refused before it came to a call. Never waits.
    #[cfg(feature = "kms-api")]
    pub(crate) fn refused(&self, request: &RefusedRequest<'_>) {
        self.shared.trail.refused(request);
    }

    /// Refuses every call from now on, as `KMSInternalException`, and has the driver bring everything to its end. The order of
    /// a program's end: this, then await the driver, which closes the audit trail too, then
    /// [`Ledger::close`](crate::catalog::Ledger::close).
    pub fn shut_down(&self) {
        self.shared.shut_down();
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms")
            .field("stores", &self.shared.count())
            .field("principal", &self.caller.principal)
            .finish_non_exhaustive()
    }
}
