//! Backends, wakers and executors that misbehave: the store keeps its promises all the same.

use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    Backend, BackendError, BackendErrorKind, Change, Ciphertext, Closed, ConnectRequest, Connection,
    ConnectionError, ConnectionErrorCode, DecryptRequest, Decrypted, DescribeKeyRequest, EncryptRequest,
    Health, HealthRequest, InitializationVector, InvalidChange, KeyDescription, KeySpec, KeyStatus,
    KeyUsages, LiveChange, MemoryVault, RequestId, StoreConfiguration, UriPath, Vault,
};
use custom_key_store::clock::{Clock, ManualClock, SystemClock};
use custom_key_store::{
    AnyKeyStore, Caller, CiphertextBlob, Connected, ConnectionState, ErrorKind, KeyId, KeyStore, SecretBytes,
    UpdateError,
};
use futures::executor::block_on;

use crate::support::{
    connected, connected_with_key, kms_key, manager, name, no_context, poll_once, timed_with_key,
};

type Hook = Box<dyn FnOnce() + Send>;

/// What a test makes of `encrypt`; everything else is plain. Every key that it is asked about is a usable one.
#[derive(Default)]
struct Stage {
    /// Run by the destructor of the future of `encrypt`, which never resolves while this is set.
    when_dropped: Mutex<Option<Hook>>,
    /// Blocks the thread inside one poll of `encrypt`: first entered, then left.
    inside_poll: Mutex<Option<(Arc<Barrier>, Arc<Barrier>)>>,
    polling: AtomicBool,
    polls: AtomicUsize,
    closes: AtomicUsize,
    started: AtomicU64,
    ended: AtomicU64,
    panics_in_configuration: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    vaults: Mutex<Vec<Option<SecretBytes>>>,
}

/// What a connection was told of a request.
#[derive(Debug, PartialEq)]
struct Seen {
    principal: String,
    operation: String,
    id: RequestId,
    source: [Option<String>; 2],
    via: Option<String>,
}

struct Line(Arc<Stage>);

struct Desk(Arc<Stage>);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

#[async_trait]
impl Backend for Desk {
    fn configuration(&self) -> StoreConfiguration {
        assert!(!self.0.panics_in_configuration.load(Ordering::SeqCst), "told to panic");
        KeyManager::new().configuration()
    }

    fn reconfigured(&self, _: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        unreachable!("told to panic")
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let record = request.vault.read().await.unwrap();
        self.0.vaults.lock().unwrap().push(record);
        Ok(Arc::new(Line(Arc::clone(&self.0))))
    }
}

struct Leaving<'s>(&'s Stage);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let hook = self.0.when_dropped.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
    }
}

#[async_trait]
impl Connection for Line {
    async fn describe_key(&self, _: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        Ok(KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled))
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let stage = &*self.0;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let metadata = request.metadata;
        stage.seen.lock().unwrap().push(Seen {
            principal: metadata.principal.to_owned(),
            operation: metadata.operation.to_string(),
            id: metadata.request_id.clone(),
            source: [owned(metadata.source_vpc), owned(metadata.source_vpc_endpoint)],
            via: owned(metadata.via_service),
        });
        stage.polls.fetch_add(1, Ordering::SeqCst);
        stage.started.fetch_add(1, Ordering::SeqCst);
        let leaving = Leaving(stage);
        if stage.when_dropped.lock().unwrap().is_some() {
            pending::<()>().await;
        }
        let barriers = stage.inside_poll.lock().unwrap().clone();
        if let Some((entered, leave)) = barriers {
            stage.polling.store(true, Ordering::SeqCst);
            entered.wait();
            leave.wait();
            stage.polling.store(false, Ordering::SeqCst);
        }
        drop(leaving);
        stage.ended.fetch_add(1, Ordering::SeqCst);
        Ok(Ciphertext::new(vec![0; request.plaintext.len()], InitializationVector::from([0; 12]), [0; 16]))
    }

    async fn decrypt(&self, _: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        Err(BackendErrorKind::Unsupported.into())
    }

    async fn health(&self, _: &HealthRequest<'_>) -> Result<Health, BackendError> {
        Err(BackendErrorKind::Unsupported.into())
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        assert!(!self.0.polling.load(Ordering::SeqCst), "closed while a poll is running");
        self.0.closes.fetch_add(1, Ordering::SeqCst);
        Ok(Closed::new())
    }
}

fn stage() -> Arc<Stage> {
    Arc::default()
}

fn desk(stage: &Arc<Stage>) -> Desk {
    Desk(Arc::clone(stage))
}

/// A connected store with that stage behind it and one KMS key.
fn staged(stage: &Arc<Stage>, clock: impl Clock) -> (KeyStore<Connected>, KeyId) {
    block_on(async {
        let store = KeyStore::builder(desk(stage)).clock(clock).drain_limit(Duration::from_secs(60));
        let store = store.ephemeral(name()).connect().await.unwrap();
        let id = kms_key(&store).await;
        (store, id)
    })
}

type Call = Pin<Box<dyn Future<Output = Result<CiphertextBlob, custom_key_store::Error>> + Send>>;

fn encrypting(store: &KeyStore<Connected>, id: KeyId) -> Call {
    let handle = store.handle();
    Box::pin(async move { handle.encrypt(&id, b"plaintext", &no_context()).await })
}

#[test]
fn a_poll_in_progress_is_waited_for_and_its_result_thrown_away() {
    let stage = stage();
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    *stage.inside_poll.lock().unwrap() = Some((Arc::clone(&entered), Arc::clone(&leave)));
    let (store, id) = staged(&stage, SystemClock);

    let call = encrypting(&store, id);
    let caller = std::thread::spawn(move || block_on(call));
    entered.wait(); // the poll is running, and blocks its thread

    let mut disconnect = store.disconnect_within(Duration::ZERO).into_future();
    assert!(poll_once(&mut disconnect).is_pending(), "it waits for the poll");
    leave.wait();
    let store = block_on(disconnect);

    assert_eq!(caller.join().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    let report = store.disconnect_report().unwrap();
    assert_eq!((report.completed, report.dropped, report.abandoned), (0, 0, 1));
    assert_eq!(stage.polls.load(Ordering::SeqCst), 1, "the backend is not polled again");
}

/// While a call's future is being dropped, is the disconnect over already, or the connection closed?
fn overtaken(end_the_call: impl FnOnce(Call, &ManualClock)) -> (bool, usize) {
    let (stage, clock) = (stage(), ManualClock::new());
    *stage.when_dropped.lock().unwrap() = Some(Box::new(|| {}));
    let (store, id) = staged(&stage, clock.clone());
    let mut call = encrypting(&store, id);
    assert!(poll_once(&mut call).is_pending());
    let mut disconnect = store.disconnect().into_future();
    assert!(poll_once(&mut disconnect).is_pending());

    let (told, seen) = mpsc::channel();
    let disconnect = Arc::new(Mutex::new(Some(disconnect)));
    let (polled, closes) = (Arc::clone(&disconnect), Arc::clone(&stage));
    *stage.when_dropped.lock().unwrap() = Some(Box::new(move || {
        let mut place = polled.lock().unwrap();
        let over = poll_once(place.as_mut().unwrap()).is_ready();
        if over {
            *place = None;
        }
        told.send((over, closes.closes.load(Ordering::SeqCst))).unwrap();
    }));
    end_the_call(call, &clock);
    seen.recv_timeout(Duration::from_secs(10)).unwrap()
}

#[test]
fn a_disconnect_is_not_over_while_the_future_of_a_call_that_ends_is_being_dropped() {
    let dropped = overtaken(|call, _| drop(call));
    assert_eq!(dropped, (false, 0));
    let timed_out = overtaken(|mut call, clock| {
        clock.advance(Duration::from_secs(5));
        assert!(poll_once(&mut call).is_ready());
    });
    assert_eq!(timed_out, (false, 0));
}

#[test]
fn a_future_that_panics_when_it_is_dropped_spoils_neither_the_answer_nor_the_disconnect() {
    let (stage, clock) = (stage(), ManualClock::new());
    *stage.when_dropped.lock().unwrap() = Some(Box::new(|| unreachable!("told to panic")));
    let (store, id) = staged(&stage, clock.clone());
    let mut call = encrypting(&store, id);
    assert!(poll_once(&mut call).is_pending());
    clock.advance(Duration::from_secs(5));
    let error = block_on(call).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::TimedOut));
    let store = block_on(store.disconnect().into_future());
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);
}

#[test]
fn a_backend_that_panics_outside_of_connect_does_not_lose_the_store() {
    let stage = stage();
    block_on(async {
        let store = KeyStore::ephemeral(name(), desk(&stage));
        stage.panics_in_configuration.store(true, Ordering::SeqCst);
        assert_eq!(store.describe().connection_state, ConnectionState::Disconnected);
        let mut store: AnyKeyStore = store.into();
        store.connect().unwrap();
        assert_eq!(store.settled().await, ConnectionState::Connected);
        let mut store: KeyStore<Connected> = store.try_into().unwrap();
        let id = kms_key(&store).await;
        let change = LiveChange::new().uri_path(UriPath::new("/blue/kms/xks/v1").unwrap());
        match store.update(change).await.unwrap_err() {
            UpdateError::Refused(error) => assert_eq!(error.code(), ConnectionErrorCode::InternalError),
            other => unreachable!("{other:?}"),
        }
        assert!(store.encrypt(&id, b"plaintext", &no_context()).await.is_ok());
    });
}

/// A task whose executor is gone: whoever holds its waker holds its future, and waking it does nothing.
struct Orphan(Mutex<Option<Call>>);

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_task_whose_executor_is_gone_is_let_go_by_the_disconnect() {
    let (manager, clock, store, id) = block_on(timed_with_key());
    manager.inject(Method::Encrypt, Fault::Hang);
    let task = Arc::new(Orphan(Mutex::new(Some(encrypting(&store, id)))));
    let alive = Arc::downgrade(&task);
    let waker = Waker::from(Arc::clone(&task));
    {
        let mut call = task.0.lock().unwrap();
        assert!(call.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop((waker, task));
    clock.advance(Duration::from_secs(5)); // its timer lets go of the waker
    let store = block_on(store.disconnect_within(Duration::ZERO).into_future());
    assert!(alive.upgrade().is_none(), "gate, waker, task and connection hold each other for ever");
    assert_eq!(manager.open_connections(), 0);
    drop(store);
}

#[test]
fn replacing_a_waker_may_drop_another_call() {
    let (done, waited) = mpsc::channel();
    std::thread::spawn(move || {
        let manager = manager();
        let (store, id) = block_on(connected_with_key(&manager));
        manager.always(Method::Encrypt, Fault::Hang);
        let (mut moved, mut owned) = (encrypting(&store, id), encrypting(&store, id));
        let task = Arc::new(Orphan(Mutex::new(None)));
        let waker = Waker::from(Arc::clone(&task));
        assert!(moved.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(poll_once(&mut owned).is_pending());
        *task.0.lock().unwrap() = Some(owned);
        drop((waker, task));
        // The last reference to the task, and with it a call of the same gate, goes here.
        assert!(poll_once(&mut moved).is_pending());
        done.send(()).unwrap();
    });
    assert!(waited.recv_timeout(Duration::from_secs(20)).is_ok(), "a deadlock");
}

struct Grenade;

impl Wake for Grenade {
    fn wake(self: Arc<Self>) {
        unreachable!("told to panic")
    }
}

#[test]
fn a_waker_that_panics_neither_loses_the_store_nor_keeps_others_asleep() {
    let store = block_on(connected(&manager()));
    let (bad, good) = (store.handle(), store.handle());
    let mut bad = Box::pin(async move { bad.closed().await });
    assert!(bad.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Grenade)))).is_pending());
    let good = std::thread::spawn(move || block_on(good.closed()));
    let store = catch_unwind(AssertUnwindSafe(|| store.disconnect())).unwrap();
    good.join().unwrap();
    assert_eq!(block_on(store.into_future()).state(), ConnectionState::Disconnected);
}

#[test]
fn a_forgotten_handle_keeps_nothing_of_the_connection_alive() {
    let stage = stage();
    let weak: Weak<Stage> = Arc::downgrade(&stage);
    block_on(async {
        let store = KeyStore::ephemeral(name(), desk(&stage)).connect().await.unwrap();
        let forgotten = store.handle();
        assert_eq!(weak.strong_count(), 3, "ours, the backend's and the connection's");
        let store = store.disconnect().await;
        assert_eq!(weak.strong_count(), 2, "the connection is gone, the handle is not");
        drop((store, forgotten));
    });
}

#[tokio::test]
async fn a_wait_for_the_end_that_is_dropped_leaves_no_waker_behind() {
    let store = connected(&manager()).await;
    let handle = store.handle();
    let task = Arc::new(Orphan(Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&task));
    {
        let mut closed = Box::pin(handle.closed());
        assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(Arc::strong_count(&task), 3);
    }
    assert_eq!(Arc::strong_count(&task), 2);
}

#[tokio::test]
async fn the_key_manager_learns_who_calls_and_every_request_has_an_id_of_its_own() {
    let stage = stage();
    let store = KeyStore::builder(desk(&stage)).principal("the application").ephemeral(name());
    let store = store.connect().await.unwrap();
    let id = kms_key(&store).await;
    let caller = Caller::new("arn:aws:iam::111122223333:role/app")
        .with_source("vpc-1", "vpce-1")
        .with_via_service("ebs.amazonaws.com");
    let handle = store.handle();
    handle.encrypt(&id, b"plaintext", &no_context()).await.unwrap();
    handle.on_behalf_of(caller).encrypt(&id, b"plaintext", &no_context()).await.unwrap();

    let mut seen = stage.seen.lock().unwrap();
    let (second, first) = (seen.pop().unwrap(), seen.pop().unwrap());
    assert_ne!(first.id, second.id);
    let plain = Seen {
        principal: "the application".into(),
        operation: "Encrypt".into(),
        id: first.id.clone(),
        source: [None, None],
        via: None,
    };
    assert_eq!(first, plain);
    let on_behalf = Seen {
        principal: "arn:aws:iam::111122223333:role/app".into(),
        operation: "Encrypt".into(),
        id: second.id.clone(),
        source: [Some("vpc-1".into()), Some("vpce-1".into())],
        via: Some("ebs.amazonaws.com".into()),
    };
    assert_eq!(second, on_behalf);
}

#[tokio::test]
async fn the_vault_of_the_builder_is_the_one_that_the_backend_is_given() {
    let (stage, vault) = (stage(), Arc::new(MemoryVault::new()));
    vault.write(SecretBytes::from(b"record".as_slice())).await.unwrap();
    let store = KeyStore::builder(desk(&stage)).vault(vault).ephemeral(name());
    let _store = store.connect().await.unwrap().disconnect().await;
    assert_eq!(*stage.vaults.lock().unwrap(), [Some(SecretBytes::from(b"record".as_slice()))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_the_report_agrees_with_what_the_backend_saw() {
    for round in 0..50 {
        let stage = stage();
        let store = KeyStore::ephemeral(name(), desk(&stage)).connect().await.unwrap();
        let id = kms_key(&store).await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let handle = store.handle();
                tokio::spawn(async move {
                    let mut delivered = 0_u64;
                    loop {
                        match handle.encrypt(&id, b"plaintext", &no_context()).await {
                            Ok(_) => delivered += 1,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::NotConnected);
                                return (delivered, u64::from(error.may_have_taken_effect()));
                            }
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        while stage.ended.load(Ordering::SeqCst) < 20 {
            tokio::task::yield_now().await;
        }
        let limit = if round % 2 == 0 { Duration::ZERO } else { Duration::from_secs(5) };
        let store = store.disconnect_within(limit).await;
        let started_by_then = stage.started.load(Ordering::SeqCst);
        let report = store.disconnect_report().unwrap().clone();

        let (mut delivered, mut cut_off) = (0, 0);
        for task in tasks {
            let (of_task, cut) = task.await.unwrap();
            delivered += of_task;
            cut_off += cut;
        }
        assert_eq!(stage.started.load(Ordering::SeqCst), started_by_then, "nothing begins after the report");
        assert_eq!(cut_off, report.abandoned, "{report}");
        assert_eq!(delivered + cut_off, started_by_then, "every call that reached the backend has one end");
        assert_eq!(report.dropped, 0, "{report}");
    }
}

#[test]
fn a_clock_that_is_moved_too_far_stays_usable() {
    let clock = ManualClock::new();
    let before = clock.monotonic();
    for _ in 0..3 {
        clock.advance(Duration::MAX);
    }
    assert!(clock.monotonic() > before);
}

#[tokio::test]
async fn the_longest_durations_are_no_harm() {
    for manual in [false, true] {
        let manager = manager();
        let mut builder = KeyStore::builder(manager.clone())
            .connect_timeout(Duration::MAX)
            .call_timeout(Duration::MAX)
            .drain_limit(Duration::MAX)
            .close_timeout(Duration::MAX);
        if manual {
            let clock = ManualClock::new();
            clock.advance(Duration::from_secs(10));
            builder = builder.clock(clock);
        }
        manager.inject(Method::Encrypt, Fault::Delay(Duration::from_millis(1)));
        let store = builder.ephemeral(name()).connect().await.unwrap();
        let id = kms_key(&store).await;
        store.encrypt(&id, b"plaintext", &no_context()).await.unwrap();
        let _store = store.disconnect().await;
    }
}

#[tokio::test]
async fn a_code_of_the_other_store_type_becomes_internal_error() {
    #[derive(Debug)]
    struct Confused;
    #[async_trait]
    impl Backend for Confused {
        fn configuration(&self) -> StoreConfiguration {
            KeyManager::new().configuration()
        }
        fn reconfigured(&self, _: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
            Err(InvalidChange::Unsupported { property: "anything" })
        }
        async fn connect(&self, _: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
            Err(ConnectionError::new(ConnectionErrorCode::UserLockedOut))
        }
    }
    let error = KeyStore::ephemeral(name(), Confused).connect().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
    let source = std::error::Error::source(error.connection_error()).unwrap().to_string();
    assert!(source.starts_with("USER_LOCKED_OUT"), "{source}");
}

#[test]
fn an_id_equals_itself_read_back() {
    for _ in 0..100 {
        let id = RequestId::generate();
        assert_eq!(RequestId::from(id.to_string().as_str()), id);
    }
    for text in
        ["", "any text", "1e9f3c60-0000-0000-0000-0000000000AB", "1e9f3c60-0000-0000-0000-0000000000ab"]
    {
        assert_eq!(RequestId::from(text).to_string(), text);
    }
    let made: std::collections::HashSet<RequestId> = (0..10_000).map(|_| RequestId::generate()).collect();
    assert_eq!(made.len(), 10_000);
}

/// Panics when it is dropped, unless a panic is under way.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            unreachable!("told to panic");
        }
    }
}

/// A backend that misbehaves in one way.
#[derive(Debug)]
enum Odd {
    /// The future of `connect` hangs, and panics when it is dropped.
    HangsAndPanicsWhenDropped,
    /// `connect` panics with a payload that panics when it is dropped.
    PanicsTwice,
    /// An update gives a backend of the other store type.
    ChangesItsType,
    /// The backend panics when it is dropped.
    PanicsWhenDropped,
}

impl Drop for Odd {
    fn drop(&mut self) {
        if matches!(self, Self::PanicsWhenDropped) {
            drop(Bomb);
        }
    }
}

#[async_trait]
impl Backend for Odd {
    fn configuration(&self) -> StoreConfiguration {
        KeyManager::new().configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        match self {
            Self::ChangesItsType => Ok(Arc::new(crate::support::cluster())),
            _ => KeyManager::new().reconfigured(change),
        }
    }

    async fn connect(&self, _: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        match self {
            Self::HangsAndPanicsWhenDropped => {
                let _bomb = Bomb;
                pending().await
            }
            Self::PanicsTwice => std::panic::panic_any(Bomb),
            Self::ChangesItsType | Self::PanicsWhenDropped => Ok(Arc::new(Line(stage()))),
        }
    }
}

#[test]
fn a_destructor_of_a_future_that_panics_does_not_leave_the_store_when_a_caller_drops_it() {
    let stage = stage();
    *stage.when_dropped.lock().unwrap() = Some(Box::new(|| unreachable!("told to panic")));
    let (store, id) = staged(&stage, SystemClock);
    let mut call = encrypting(&store, id);
    assert!(poll_once(&mut call).is_pending());
    drop(call);

    let mut connecting = KeyStore::ephemeral(name(), Odd::HangsAndPanicsWhenDropped).connect();
    assert!(poll_once(&mut Box::pin(connecting.settled())).is_pending());
    let store = block_on(connecting.disconnect().into_future());
    let mut attempt = store.connect().into_future();
    assert!(poll_once(&mut attempt).is_pending());
    drop(attempt);
}

#[test]
fn a_panic_whose_payload_panics_is_a_failure_like_any_other() {
    let error = block_on(KeyStore::ephemeral(name(), Odd::PanicsTwice).connect().into_future()).unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
}

#[test]
fn an_update_cannot_change_the_type_of_a_store() {
    block_on(async {
        let mut store = KeyStore::ephemeral(name(), Odd::ChangesItsType).connect().await.unwrap();
        let before = store.describe();
        let change = LiveChange::new().uri_path(UriPath::new("/blue/kms/xks/v1").unwrap());
        let error = store.update(change).await.unwrap_err();
        assert!(matches!(error, UpdateError::Refused(_)), "{error:?}");
        assert_eq!(store.describe(), before);
    });
}

#[test]
fn an_update_is_whole_even_if_the_old_backend_panics_when_it_is_dropped() {
    block_on(async {
        let mut store = KeyStore::ephemeral(name(), Odd::PanicsWhenDropped).connect().await.unwrap();
        let change = LiveChange::new()
            .name(custom_key_store::StoreName::new("new").unwrap())
            .uri_path(UriPath::new("/blue/kms/xks/v1").unwrap());
        let updated = AssertUnwindSafe(store.update(change));
        let outcome = futures::FutureExt::catch_unwind(updated).await;
        assert!(outcome.is_err(), "the destructor of a backend is let through, as a mock needs it");
        assert_eq!(store.name().as_str(), "new");
        assert_eq!(store.describe().xks_proxy_configuration.unwrap().uri_path.as_str(), "/blue/kms/xks/v1");
        assert!(store.health().await.is_ok(), "on the new connection; the old one has no health");
    });
}

/// A waker that panics when its last clone is dropped.
struct Firework;

impl Wake for Firework {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Firework {
    fn drop(&mut self) {
        drop(Bomb);
    }
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_leaves_the_count_right() {
    let (manager, clock, store, id) = block_on(timed_with_key());
    manager.inject(Method::Encrypt, Fault::Hang);
    let mut call = encrypting(&store, id);
    let waker = Waker::from(Arc::new(Firework));
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    // Gate and timer both hold it; whichever lets go last meets the panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
    let mut disconnect = store.disconnect().into_future();
    assert!(poll_once(&mut disconnect).is_ready(), "the call is gone and counted no more");
    drop(clock);
}

#[test]
fn a_waker_that_panics_stops_neither_clock() {
    let manual = ManualClock::new();
    let (mut bad, mut good) = (manual.sleep(Duration::from_secs(1)), manual.sleep(Duration::from_secs(1)));
    let grenade = Waker::from(Arc::new(Grenade));
    let task = Arc::new(Counted::default());
    assert!(bad.as_mut().poll(&mut Context::from_waker(&grenade)).is_pending());
    assert!(good.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&task)))).is_pending());
    manual.advance(Duration::from_secs(1));
    assert_eq!(task.0.load(Ordering::SeqCst), 1);

    // The machine's timer is one thread for the whole process.
    let clock = SystemClock;
    let mut bad = clock.sleep(Duration::from_millis(100));
    assert!(bad.as_mut().poll(&mut Context::from_waker(&grenade)).is_pending());
    for _ in 0..3 {
        block_on(clock.sleep(Duration::from_millis(50)));
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Counted(AtomicU64);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
