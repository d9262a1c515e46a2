//! A CloudHSM cluster as a backend.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::builder::CloudHsmBuilder;
use super::connecting;
use super::gcm::IvOrigin;
use super::keys::KeyNames;
use super::login::User;
use super::pin::Pin;
use super::pool::PoolLimits;
use super::token::TokenName;
use crate::backend::{
    Backend, BackendError, BackendErrorKind, Change, CloudHsmConfiguration, ConnectRequest, Connection,
    ConnectionError, InvalidChange, StoreConfiguration,
};
use crate::clock::Clock;

/// How many HSMs of a cluster are active, by an application that can find out.
/// How many HSMs are active.
pub(crate) type ActiveAnswer = Result<usize, Box<dyn std::error::Error + Send + Sync>>;

pub(super) type ActiveHsms = dyn Fn() -> BoxFuture<'static, ActiveAnswer> + Send + Sync;

/// A CloudHSM cluster, or any HSM, reached through its PKCS#11 library.
///
/// As a [`Backend`] it is a description: nothing is loaded before it is connected. Its connections make and hold
/// AES-256 keys in the token that cannot be extracted. See the [module](super) for an example.
#[derive(Clone)]
pub struct CloudHsmCluster {
    pub(super) settings: Arc<Settings>,
    pub(super) configuration: CloudHsmConfiguration,
    pub(super) password: Pin,
    pub(super) seen: Arc<Seen>,
}

/// What does not change when the store's configuration does.
pub(super) struct Settings {
    pub(super) library: PathBuf,
    pub(super) tokens: Vec<TokenName>,
    pub(super) user: User,
    pub(super) names: KeyNames,
    pub(super) iv: IvOrigin,
    pub(super) limits: PoolLimits,
    pub(super) rotates: bool,
    pub(super) active_hsms: Option<Arc<ActiveHsms>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What the last attempts have shown; shared by all clones and by what [`Backend::reconfigured`] gives.
#[derive(Default)]
pub(super) struct Seen {
    rotation: Mutex<PasswordRotation>,
    /// Threads that are loading the library, or hang in that.
    loading: AtomicUsize,
    pub(super) attempts: Attempts,
}

/// How attempts to log in ended that nobody waited for any more: what is written down of them is that they began.
#[derive(Default)]
pub(super) struct Attempts {
    accepted: AtomicBool,
    unshown: AtomicUsize,
}

impl Attempts {
    /// The token took the password.
    pub(super) fn accepted(&self) {
        self.accepted.store(true, Ordering::Release);
    }

    /// The token was not shown the password, and will not be.
    pub(super) fn unshown(&self) {
        self.unshown.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether one was accepted, and how many were not shown, since this was asked last.
    pub(super) fn take(&self) -> (bool, usize) {
        (self.accepted.swap(false, Ordering::AcqRel), self.unshown.swap(0, Ordering::AcqRel))
    }
}

/// A thread that loads the library, as long as this is held.
pub(super) struct Loading(Arc<Seen>);

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What became of the password when the store was connected last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PasswordRotation {
    /// Nothing was done yet: nobody has asked for it, or no attempt to connect came that far.
    #[default]
    NotDone,
    /// It was changed to one that only the store knows.
    Changed,
    /// The library cannot change it (AWS's Client SDK 5 has no `C_SetPIN`): it stays as it is.
    Unsupported,
    /// The store is not in a catalogue that outlives the process, so that the new password would be lost.
    NotKept,
    /// Another store of this process is logged in with it, or an attempt of this one still is; or there are several
    /// tokens.
    Shared,
    /// The library did not change it, or said nothing clear: whichever is in force will be found out.
    Failed,
}

/// The HSMs that a cluster needs to make a key, in AWS's rules; to connect and to use keys it needs one.
const ACTIVE_TO_CREATE: usize = 2;

impl CloudHsmCluster {
    /// Describes a cluster.
    pub fn builder() -> CloudHsmBuilder {
        CloudHsmBuilder::default()
    }

    /// What became of the password when a store was connected last, by this cluster or a clone of it.
    #[must_use]
    pub fn password_rotation(&self) -> PasswordRotation {
        *self.seen.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    pub(super) fn rotation(&self, rotation: PasswordRotation) {
        *self.rotation.lock().unwrap_or_else(PoisonError::into_inner) = rotation;
    }

    /// One more thread, beside so many others at most.
    pub(super) fn loading(self: &Arc<Self>, others: usize) -> Option<Loading> {
        let loading = Loading(Arc::clone(self));
        let before = self.loading.fetch_add(1, Ordering::AcqRel);
        (before <= others).then_some(loading)
    }
}

impl Settings {
    /// How many HSMs are active, where the application can tell.
    pub(super) async fn active_hsms(&self) -> Result<Option<usize>, BackendError> {
        let Some(ask) = &self.active_hsms else { return Ok(None) };
        let answer = crate::clock::within(&*self.clock, self.limits.deadline, ask()).await;
        match answer {
            Some(Ok(active)) => Ok(Some(active)),
            Some(Err(error)) => Err(BackendError::new(BackendErrorKind::Internal)
                .with_detail("the application's probe of the active HSMs failed")
                .with_source(error)),
            None => Err(BackendError::new(BackendErrorKind::TimedOut)
                .with_detail("the application's probe of the active HSMs did not answer in time")),
        }
    }

    /// A key that one HSM alone has is lost with it.
    pub(super) async fn refuse_too_few_to_create(&self) -> Result<(), BackendError> {
        match self.active_hsms().await? {
            Some(active) if active < ACTIVE_TO_CREATE => {
                let detail = format!(
                    "{active} of the cluster's HSMs are active; to make a key takes {ACTIVE_TO_CREATE}"
                );
                Err(BackendError::new(BackendErrorKind::InvalidKeyState).with_detail(detail))
            }
            _ => Ok(()),
        }
    }

    pub(super) const fn active_to_create() -> usize {
        ACTIVE_TO_CREATE
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for CloudHsmCluster {
    fn configuration(&self) -> StoreConfiguration {
        StoreConfiguration::CloudHsm(self.configuration.clone())
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let mut changed = self.clone();
        if let StoreConfiguration::CloudHsm(configuration) = change.apply_to(&self.configuration())? {
            changed.configuration = configuration;
        }
        if let Some(password) = &change.password {
            changed.password = Pin::from(password.clone());
        }
        Ok(Arc::new(changed))
    }

    /// Loads the library, finds the tokens and logs in, on threads of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, sessions and login end as soon as the library lets go of them.
    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let connection = connecting::connect(self, request).await?;
        Ok(Arc::new(connection))
    }
}

impl fmt::Debug for CloudHsmCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { library, tokens, user, names, iv, limits, rotates, active_hsms: _, clock: _ } =
            &*self.settings;
        f.debug_struct("CloudHsmCluster")
            .field("configuration", &self.configuration)
            .field("library", library)
            .field("tokens", tokens)
            .field("user", &user.name)
            .field("names", names)
            .field("iv", iv)
            .field("limits", limits)
            .field("rotates", rotates)
            .finish_non_exhaustive()
    }
}
