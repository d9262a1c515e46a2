//! The key manager: what all its clients and connections share, and a client of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use super::KeyManagerBuilder;
use super::connection::SoftwareConnection;
use super::fault::{Fault, Faults, Method, PerMethod};
use super::keys::{Key, KeyTable, MAX_AAD_LEN, MAX_PLAINTEXT_LEN, SoftwareKey};
use crate::backend::{
    Backend, BackendError, BackendErrorKind, BackingKeyId, Change, ConnectRequest, Connection,
    ConnectionError, ConnectionErrorCode, CustomKeyStoreType, Health, HealthStatus, InvalidChange, KeyStatus,
    KeyStorePassword, ManagerInstance, ProxyDescription, StoreConfiguration, XksProxyCredential,
};
use crate::clock::Clock;

const VENDOR: &str = "custom-key-store";
const MODEL: &str = concat!("software key manager ", env!("CARGO_PKG_VERSION"));

/// A key manager in memory, and a client of it.
///
/// As a [`Backend`] it is a client: it has a configuration and, where one is set, a credential or password of
/// its own, which [`reconfigured`](Backend::reconfigured) exchanges. Behind it is the key manager with its
/// keys, its faults and its own opinion of which credential it accepts. That part is shared by all clones and
/// by all that `reconfigured` gives, so a test keeps a clone to steer by.
///
/// See the [module](super) for an example and for what this is not.
#[derive(Clone)]
pub struct KeyManager {
    manager: Arc<Manager>,
    configuration: StoreConfiguration,
    secrets: Secrets,
}

/// Making one.
impl KeyManager {
    /// The most bytes that are encrypted or decrypted at once; beyond them the answer is `Unsupported`.
    pub const MAX_PLAINTEXT_LEN: usize = MAX_PLAINTEXT_LEN;
    /// The most bytes that are authenticated besides; beyond them the answer is `Unsupported`.
    pub const MAX_AAD_LEN: usize = MAX_AAD_LEN;

    /// An external key store without a key that accepts any credential, at a public endpoint of a domain that
    /// does not exist.
    ///
    /// ```
    /// use custom_key_store::backend::software::KeyManager;
    /// use custom_key_store::backend::{Backend, CustomKeyStoreType};
    ///
    /// let manager = KeyManager::new();
    /// assert_eq!(manager.configuration().store_type(), CustomKeyStoreType::ExternalKeyStore);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A key manager with another configuration, clock or credential.
    pub fn builder() -> KeyManagerBuilder {
        KeyManagerBuilder::default()
    }

    /// Another client of the same key manager: one of this configuration, which shows a credential or a password of its own.
    #[must_use]
    pub fn client(
        &self,
        configuration: StoreConfiguration,
        credential: Option<XksProxyCredential>,
        password: Option<KeyStorePassword>,
    ) -> Self {
        Self { manager: Arc::clone(&self.manager), configuration, secrets: Secrets { credential, password } }
    }

    pub(super) fn assemble(manager: Manager, configuration: StoreConfiguration, secrets: Secrets) -> Self {
        Self { manager: Arc::new(manager), configuration, secrets }
    }
}

/// Its keys, as their owner manages them.
impl KeyManager {
    /// Makes a random key, enabled and for both directions. A key that has this id already is replaced, and
    /// what it encrypted is lost.
    pub fn create_key(&self, id: BackingKeyId) {
        self.insert_key(id, SoftwareKey::generate());
    }

    /// Puts this key in. A key that has this id already is replaced.
    ///
    /// Encryptions are counted from 0: whoever puts in a key that was used elsewhere answers for both.
    pub fn insert_key(&self, id: BackingKeyId, key: SoftwareKey) {
        self.manager.keys.insert(id, Key::new(&key, None));
    }

    /// Enables or disables a key; `false` when there is none with this id.
    pub fn set_key_status(&self, id: &BackingKeyId, status: KeyStatus) -> bool {
        self.manager.keys.set_status(id, status)
    }

    /// Removes a key for good; `false` when there is none with this id. A call that is at work with it
    /// finishes.
    pub fn remove_key(&self, id: &BackingKeyId) -> bool {
        self.manager.keys.remove(id)
    }

    /// The ids of all keys, in order: shows which keys were generated and forgotten.
    #[must_use]
    pub fn keys(&self) -> Vec<BackingKeyId> {
        self.manager.keys.ids()
    }

    /// The label of a key that was made on request; `None` for any other and where there is none.
    #[must_use]
    pub fn key_label(&self, id: &BackingKeyId) -> Option<String> {
        self.manager.keys.label(id)
    }
}

/// Whom it accepts and how it is.
impl KeyManager {
    /// Changes the credential that it accepts from now on as a proxy, on its own side alone: a store must
    /// follow with an update. The connections there are go on as they are, unlike those to a true proxy, which
    /// checks every request; [`always`](Self::always) rehearses that.
    pub fn set_credential(&self, credential: XksProxyCredential) {
        write(&self.manager.accepted).credential = Some(credential);
    }

    /// Changes the password that it accepts from now on as a CloudHSM cluster, on its own side alone. The
    /// connections there are stay logged in.
    pub fn set_password(&self, password: KeyStorePassword) {
        write(&self.manager.accepted).password = Some(password);
    }

    /// Sets how its instances are, one entry for each; at first there is one, and it is `ACTIVE`.
    ///
    /// While every one is `UNAVAILABLE`, or none is left, nobody can connect. Connections go on working: what
    /// they report is a reading.
    pub fn set_health(&self, instances: Vec<HealthStatus>) {
        *write(&self.manager.instances) = instances;
    }
}

/// Its faults.
///
/// Injected faults come first, then the script, then what is always so.
impl KeyManager {
    /// The next call of this method meets the fault. Several injected faults are met one after the other.
    pub fn inject(&self, method: Method, fault: Fault) {
        self.manager.faults.inject(method, fault);
    }

    /// Appends to the script of this method. Each call takes the next entry: a fault to meet, or `None` to
    /// work.
    ///
    /// ```
    /// # use custom_key_store::backend::BackendErrorKind;
    /// use custom_key_store::backend::software::{Fault, KeyManager, Method};
    ///
    /// // Works once, then is too slow twice, then works again.
    /// let manager = KeyManager::new();
    /// let too_slow = Fault::Fail(BackendErrorKind::TimedOut);
    /// manager.script(Method::Encrypt, [None, Some(too_slow.clone()), Some(too_slow)]);
    /// ```
    pub fn script(&self, method: Method, entries: impl IntoIterator<Item = Option<Fault>>) {
        self.manager.faults.append(method, entries);
    }

    /// Every call of this method meets the fault until [`heal`](Self::heal), once the script is over.
    pub fn always(&self, method: Method, fault: Fault) {
        self.manager.faults.always(method, fault);
    }

    /// Forgets all faults of all methods. Calls that have met one already are not helped.
    pub fn heal(&self) {
        self.manager.faults.heal();
    }
}

/// What a test can see.
impl KeyManager {
    /// How many connections are neither closed nor dropped.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.manager.open_connections.load(Ordering::Relaxed)
    }

    /// How many calls of this method there were, those that failed and those on closed connections included.
    #[must_use]
    pub fn calls(&self, method: Method) -> u64 {
        self.manager.calls.of(method).load(Ordering::Relaxed)
    }
}

impl Default for KeyManager {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyManager")
            .field("store_type", &self.configuration.store_type())
            .field("keys", &self.manager.keys.len())
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for KeyManager {
    fn configuration(&self) -> StoreConfiguration {
        self.configuration.clone()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let configuration = change.apply_to(&self.configuration)?;
        let mut secrets = self.secrets.clone();
        if let Some(credential) = &change.credential {
            secrets.credential = Some(credential.clone());
        }
        if let Some(password) = &change.password {
            secrets.password = Some(password.clone());
        }
        Ok(Arc::new(Self { manager: Arc::clone(&self.manager), configuration, secrets }))
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let _ = request;
        let store_type = self.configuration.store_type();
        let manager = &self.manager;
        let failed = |error| ConnectionError::from_call(store_type, error);

        manager.calls.count(Method::Connect);
        match manager.faults.next(Method::Connect) {
            None => (),
            Some(Fault::Refuse(code)) => return Err(refusal(code, store_type)),
            Some(fault) => match manager.meet(fault, Method::Connect).await.map_err(failed)? {
                Answer::Honest => (),
                Answer::Damaged => return Err(failed(scripted(BackendErrorKind::InvalidResponse))),
            },
        }
        if !read(&manager.accepted).accept(&self.secrets, store_type) {
            return Err(failed(BackendErrorKind::AuthenticationFailed.into()));
        }
        if manager.health(store_type).status() == HealthStatus::Unavailable {
            return Err(ConnectionError::new(match store_type {
                CustomKeyStoreType::AwsCloudhsm => ConnectionErrorCode::InsufficientCloudhsmHsms,
                CustomKeyStoreType::ExternalKeyStore => ConnectionErrorCode::XksProxyNotReachable,
            })
            .with_detail("no instance of the key manager serves"));
        }
        Ok(Arc::new(SoftwareConnection::open(Arc::clone(manager), store_type)))
    }
}

/// No backend may give a code that its type of store cannot show.
fn refusal(code: ConnectionErrorCode, store_type: CustomKeyStoreType) -> ConnectionError {
    match code.store_type() {
        Some(other) if other != store_type => ConnectionError::new(ConnectionErrorCode::InternalError)
            .with_detail(format!("a store of type {store_type} cannot show the scripted code {code}")),
        _ => ConnectionError::new(code).with_detail(SCRIPTED),
    }
}

const SCRIPTED: &str = "a scripted fault of the software key manager";

fn scripted(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind).with_detail(SCRIPTED)
}

/// What all clients and connections share.
pub(super) struct Manager {
    pub(super) keys: KeyTable,
    pub(super) faults: Faults,
    pub(super) calls: PerMethod<AtomicU64>,
    pub(super) open_connections: AtomicUsize,
    instances: RwLock<Vec<HealthStatus>>,
    accepted: RwLock<Secrets>,
    clock: Arc<dyn Clock>,
}

/// Whether what a call answers is to be damaged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Honest,
    Damaged,
}

impl Manager {
    pub(super) fn new(clock: Arc<dyn Clock>, accepted: Secrets) -> Self {
        Self {
            keys: KeyTable::default(),
            faults: Faults::default(),
            calls: PerMethod::default(),
            open_connections: AtomicUsize::new(0),
            instances: RwLock::new(vec![HealthStatus::Active]),
            accepted: RwLock::new(accepted),
            clock,
        }
    }

    /// Lets a call meet its fault.
    pub(super) async fn meet(&self, fault: Fault, method: Method) -> Result<Answer, BackendError> {
        match fault {
            Fault::Delay(duration) => {
                self.clock.sleep(duration).await;
                Ok(Answer::Honest)
            }
            Fault::Hang => std::future::pending().await,
            Fault::Fail(kind) => Err(scripted(kind)),
            Fault::Refuse(_) => Err(BackendError::new(BackendErrorKind::Internal)
                .with_detail("Fault::Refuse is scripted for a method other than Connect")),
            Fault::Corrupt => Ok(Answer::Damaged),
            Fault::Panic => panic!("{SCRIPTED} in {method:?}"),
        }
    }

    pub(super) fn health(&self, store_type: CustomKeyStoreType) -> Health {
        let instances = read(&self.instances)
            .iter()
            .zip(1..)
            .map(|(status, number): (_, u64)| {
                ManagerInstance::new(format!("software-{number}"), MODEL, *status)
            })
            .collect();
        let health = Health::new(VENDOR, instances);
        match store_type {
            CustomKeyStoreType::AwsCloudhsm => health,
            CustomKeyStoreType::ExternalKeyStore => {
                health.with_proxy(ProxyDescription::new(1, VENDOR, MODEL))
            }
        }
    }
}

/// What a client shows or a key manager accepts: as a proxy the one, as a cluster the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets {
    pub(super) credential: Option<XksProxyCredential>,
    pub(super) password: Option<KeyStorePassword>,
}

impl Secrets {
    fn accept(&self, shown: &Self, store_type: CustomKeyStoreType) -> bool {
        // Secrets compare in constant time; an access key id is none.
        match store_type {
            CustomKeyStoreType::AwsCloudhsm => self.password.is_none() || self.password == shown.password,
            CustomKeyStoreType::ExternalKeyStore => {
                self.credential.is_none() || self.credential == shown.credential
            }
        }
    }
}

// A lock is held for an assignment or a copy, which cannot leave anything half done: poison does not matter.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
