//! A backend that does everything right but one thing.

mod connection;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend, Change, Ciphertext, ConnectReason, ConnectRequest, Connection, ConnectionError,
    ConnectionErrorCode, InvalidChange, StoreConfiguration, UriPath,
};

use connection::{FlawedConnection, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    // Connecting
    RefusesEverybody,
    RefusesUpdates,
    OneConnectionAtATime,
    ReleasesOnlyOnClose,
    CodeOfTheOtherType,
    // Configuration
    ForgetsConfiguration,
    MindsTheName,
    IgnoresChanges,
    TakesForeignChanges,
    ShowsPlaintext,
    ShowsKey,
    ShowsPassword,
    // Encryption
    RefusesLongPlaintext,
    DamagesUnverified,
    LongerCiphertext,
    NoKeyForNothing,
    InvalidBeyondLimits,
    SameVector,
    OwnCiphertextOnly,
    OwnLayout,
    // Tampering
    Forgives(Part),
    TellsOfBadTag,
    IgnoresAad,
    IgnoresMetadata,
    JoinsWithoutLengths,
    IgnoresKey,
    // Usage
    DescribesNoUsage,
    AbsentIsInvalid,
    VerifiesWithoutDecrypting,
    DecryptOnlyEncrypts,
    UnusableDecrypts,
    DisabledWorks,
    DisabledIsNotDescribed,
    // Management
    SameKeyTwice,
    KeepsDeletedKeys,
    ShortRandom,
    SameRandom,
    SameInstanceTwice,
    // Concurrency
    MixesDecryptions,
    MixesEncryptions,
    DescribesFewAtOnce,
    // Cancellation
    NotCancelSafe(&'static str),
    LeaksPlaces,
    // Closing
    WorksAfterClose,
    ClosesOnce,
    CountsPhantoms,
    ConnectsNoMoreAfterClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Bytes,
    Tag,
    Vector,
}

#[derive(Clone)]
pub(crate) struct Flawed {
    flaw: Flaw,
    inner: Arc<dyn Backend>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    configurations: AtomicUsize,
    unclosed: AtomicUsize,
    /// So many attempts to connect fail from now on.
    failing: AtomicUsize,
    latest: Mutex<Weak<State>>,
    genuine: Mutex<Vec<Ciphertext>>,
    plaintext: Mutex<Vec<u8>>,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw, inner: Arc<KeyManager>) -> Self {
        Self { flaw, inner, shared: Arc::default() }
    }
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Flawed");
        match self.flaw {
            Flaw::ShowsKey => debug.field("key", &[0x42; 32]),
            Flaw::ShowsPassword => debug.field("password", &"hunter2"),
            _ => debug.field("flaw", &self.flaw),
        };
        debug.finish()
    }
}

#[async_trait]
impl Backend for Flawed {
    fn configuration(&self) -> StoreConfiguration {
        let mut configuration = self.inner.configuration();
        if let (Flaw::ForgetsConfiguration, StoreConfiguration::External(proxy)) =
            (self.flaw, &mut configuration)
        {
            let count = self.shared.configurations.fetch_add(1, SeqCst);
            proxy.uri_path = UriPath::new(format!("/{count}/kms/xks/v1")).unwrap();
        }
        configuration
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let checked = self.inner.reconfigured(change);
        let same = || self.clone();
        match self.flaw {
            Flaw::MindsTheName if change.name.is_some() => {
                Err(InvalidChange::Unsupported { property: "NewCustomKeyStoreName" })
            }
            Flaw::IgnoresChanges => checked.map(|_| Arc::new(same()) as _),
            Flaw::TakesForeignChanges => Ok(checked.unwrap_or_else(|_| Arc::new(same()))),
            _ => checked,
        }
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let (flaw, shared) = (self.flaw, &self.shared);
        let refusal = Err(ConnectionError::new(ConnectionErrorCode::InternalError));
        if shared.failing.load(SeqCst) > 0 {
            shared.failing.fetch_sub(1, SeqCst);
            return refusal;
        }
        match flaw {
            Flaw::RefusesEverybody => return refusal,
            Flaw::RefusesUpdates if request.reason == ConnectReason::Update => return refusal,
            Flaw::CodeOfTheOtherType if request.timeout.is_zero() => {
                return Err(ConnectionError::new(ConnectionErrorCode::ClusterNotFound));
            }
            Flaw::ReleasesOnlyOnClose if shared.unclosed.fetch_add(1, SeqCst) > 10 => return refusal,
            Flaw::NotCancelSafe("connect") => unsafely(&shared.failing).await,
            _ => {}
        }
        let state = Arc::new(State::default());
        let before = std::mem::replace(&mut *shared.latest.lock().unwrap(), Arc::downgrade(&state));
        if let (Flaw::OneConnectionAtATime, Some(before)) = (flaw, before.upgrade()) {
            before.disturb();
        }
        let inner = self.inner.connect(request).await?;
        Ok(Arc::new(FlawedConnection::new(flaw, inner, Arc::clone(shared), state)))
    }
}

/// Waits twice, and leaves the counter raised when it is dropped meanwhile.
async fn unsafely(broken: &AtomicUsize) {
    struct Guard<'a>(&'a AtomicUsize, bool);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            if !self.1 {
                self.0.fetch_add(1, SeqCst);
            }
        }
    }
    let mut guard = Guard(broken, false);
    yield_now().await;
    yield_now().await;
    guard.1 = true;
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
