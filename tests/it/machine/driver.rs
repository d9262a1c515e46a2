//! Does to a real store what it does to the model, and compares after every step.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use custom_key_store::backend::software::{KeyManager, Method};
use custom_key_store::backend::{BackingKeyId, Change, KeyDescription, KeySpec, KeyStorePassword};
use custom_key_store::clock::{Clock as _, ManualClock};
use custom_key_store::{
    AnyKeyStore, CiphertextBlob, Connected, Connecting, ConnectionState, Description, DisconnectReport,
    Disconnected, Disconnecting, Error, ErrorKind, Failed, Goodbye, Handle, KeyId, KeyMetadata, KeyState,
    KeyStore, NewKey, PageRequest, SecretBytes, State, StoreName, UpdateError,
};
use futures::future::{BoxFuture, FutureExt as _};

use super::model::{self, Call, Honest, Model};
use super::op::{Edit, Op, Then, What};
use super::{context, credential, name, path};

pub(super) struct Driver {
    manager: KeyManager,
    /// How many keys the key manager has.
    backing_keys: usize,
    clock: ManualClock,
    began: Instant,
    /// Away only while it is typed.
    store: Option<AnyKeyStore>,
    model: Model,
    /// Every handle ever taken, with the epoch that it belongs to.
    handles: Vec<(Handle, usize)>,
    calls: Vec<Pending>,
    watchers: Vec<Watcher>,
    /// Every KMS key ever made, with the store that it belongs to.
    keys: Vec<(KeyId, usize)>,
    encrypted: Vec<Encrypted>,
    /// Whom the transition under way wakes; `None` before its first poll.
    transition: Option<Arc<Flag>>,
    /// What this sequence has led to, so that a test can tell whether its sequences lead anywhere.
    seen: BTreeSet<&'static str>,
}

/// The future of a call, and what the model knows of it.
struct Pending {
    future: BoxFuture<'static, Result<Answer, Error>>,
    what: Expected,
    call: Call,
    woken: Option<Arc<Flag>>,
}

/// A blob, what is in it, and where it was made.
#[derive(Clone)]
struct Encrypted {
    plaintext: Vec<u8>,
    blob: CiphertextBlob,
    store: usize,
    epoch: usize,
}

enum Answer {
    Created(KeyMetadata),
    Blob(CiphertextBlob),
    Plaintext(SecretBytes),
    Description(KeyDescription),
}

/// What an honest answer is.
enum Expected {
    CreatedOn(BackingKeyId),
    BlobOf(Vec<u8>),
    PlaintextOf(Encrypted),
    Description,
}

/// Somebody who waits for `Handle::closed()`.
struct Watcher {
    future: BoxFuture<'static, ()>,
    epoch: usize,
    woken: Arc<Flag>,
}

/// A waker that remembers that it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls once. The waker is a new one each time: only the last one that a future saw counts.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> (Poll<F::Output>, Arc<Flag>) {
    let flag = Arc::new(Flag::default());
    let waker = Arc::clone(&flag).into();
    (future.poll(&mut Context::from_waker(&waker)), flag)
}

impl Driver {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new();
        let manager = KeyManager::builder().clock(clock.clone()).credential(credential(0)).build();
        let mut driver = Self {
            manager,
            backing_keys: 0,
            began: clock.monotonic(),
            clock,
            store: None,
            model: Model::new(),
            handles: Vec::new(),
            calls: Vec::new(),
            watchers: Vec::new(),
            keys: Vec::new(),
            encrypted: Vec::new(),
            transition: None,
            seen: BTreeSet::new(),
        };
        driver.store = Some(driver.new_store());
        driver
    }

    /// Does all of it; what it has led to.
    pub(super) fn run(mut self, ops: Vec<Op>) -> BTreeSet<&'static str> {
        self.check();
        for op in ops {
            self.step(op);
            self.check();
        }
        self.end()
    }

    fn new_store(&self) -> AnyKeyStore {
        KeyStore::builder(self.manager.clone())
            .clock(self.clock.clone())
            .connect_timeout(Duration::from_secs(model::CONNECT_TIMEOUT))
            .call_timeout(Duration::from_secs(model::CALL_TIMEOUT))
            .drain_limit(Duration::from_secs(model::DRAIN_LIMIT))
            .close_timeout(Duration::from_secs(model::CLOSE_TIMEOUT))
            .ephemeral(StoreName::new(name(0)).unwrap())
            .into()
    }

    fn store(&self) -> &AnyKeyStore {
        self.store.as_ref().unwrap()
    }

    /// The store as a typed one, if it is in that state. To be put back with [`put`](Self::put).
    fn take<S: State>(&mut self) -> Option<KeyStore<S>> {
        match KeyStore::<S>::try_from(self.store.take()?) {
            Ok(store) => Some(store),
            Err(wrong) => {
                assert_eq!(wrong.store().state(), self.model.state());
                self.put(wrong.into_store());
                None
            }
        }
    }

    fn put(&mut self, store: impl Into<AnyKeyStore>) {
        self.store = Some(store.into());
    }
}

/// Steps.
impl Driver {
    fn step(&mut self, op: Op) {
        match op {
            Op::Inject(method, fault) => {
                self.model.inject(method, fault.clone());
                self.manager.inject(method, fault);
            }
            Op::Advance(seconds) => self.advance(seconds),
            Op::Connect => {
                let found = self.model.state();
                let moved = self.store.as_mut().unwrap().connect();
                assert_eq!(moved.is_ok(), self.model.connect());
                self.begun_or_refused(moved.err().map(|error| error.found()), found);
            }
            Op::Disconnect => {
                let found = self.model.state();
                let moved = self.store.as_mut().unwrap().disconnect();
                assert_eq!(moved.is_ok(), self.model.disconnect(model::DRAIN_LIMIT));
                self.begun_or_refused(moved.err().map(|error| error.found()), found);
            }
            Op::DisconnectWithin(seconds) => {
                if let Some(store) = self.take::<Connected>() {
                    self.model.disconnect(seconds);
                    self.put(store.disconnect_within(Duration::from_secs(seconds)));
                    self.transition = None;
                }
            }
            Op::PollOnce => {
                self.poll_store();
            }
            Op::Settle => self.settle(),
            Op::PollTyped => self.poll_typed(),
            Op::AwaitAndDrop => self.await_and_drop(),
            Op::Call { handle, what, then } => self.call(handle, what, then),
            Op::PollCall(index) => {
                if let Some(index) = wrap(index, self.calls.len()) {
                    self.poll_call(index);
                }
            }
            Op::DropCall(index) => {
                if let Some(index) = wrap(index, self.calls.len()) {
                    let dropped = self.calls.swap_remove(index);
                    self.model.drop_call(&dropped.call);
                }
            }
            Op::Probe { patient } => self.probe(patient),
            Op::Update { edit, patient } => self.update(edit, patient),
            Op::UpdateOfAnotherType => {
                if let Some(mut store) = self.take::<Disconnected>() {
                    let change = Change::new().password(KeyStorePassword::new("kmsPswd123").unwrap());
                    let outcome = store.update(change).now_or_never().unwrap();
                    assert!(matches!(outcome, Err(UpdateError::InvalidChange(_))), "{outcome:?}");
                    self.put(store);
                }
            }
            Op::Accept(number) => {
                self.model.accept(number);
                self.manager.set_credential(credential(number));
            }
            Op::DropStore => {
                self.saw(match self.model.state() {
                    ConnectionState::Disconnected => "dropped while DISCONNECTED",
                    ConnectionState::Connecting => "dropped while CONNECTING",
                    ConnectionState::Connected => "dropped while CONNECTED",
                    ConnectionState::Disconnecting => "dropped while DISCONNECTING",
                    ConnectionState::Failed => "dropped while FAILED",
                });
                drop(self.store.take());
                self.replace_store();
            }
        }
    }

    fn replace_store(&mut self) {
        assert!(self.store.is_none());
        self.model.drop_store();
        self.store = Some(self.new_store());
        self.transition = None;
    }

    fn begun_or_refused(&mut self, refused: Option<ConnectionState>, found: ConnectionState) {
        match refused {
            None => self.transition = None,
            Some(state) => {
                assert_eq!(state, found);
                self.saw("an illegal move");
            }
        }
    }

    fn advance(&mut self, seconds: u64) {
        self.model.now += seconds;
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// `settled()`, polled once and dropped; whether the store is in a state that lasts.
    fn poll_store(&mut self) -> bool {
        let before = self.model.state();
        let (polled, flag) = {
            let mut settled = self.store.as_mut().unwrap().settled().boxed();
            poll(settled.as_mut())
        };
        let lasting = self.model.poll();
        match polled {
            Poll::Ready(state) => assert_eq!((state, true), (self.model.state(), lasting)),
            Poll::Pending => {
                assert!(!lasting, "pending, expected {:?}", self.model.state);
                self.transition = Some(flag);
            }
        }
        self.arrived(before);
        lasting
    }

    /// Polled until it is in a state that lasts; nothing takes longer than draining and a goodbye.
    fn settle(&mut self) {
        for _ in 0..3 {
            if self.poll_store() {
                return;
            }
            self.advance(model::PATIENCE);
        }
        panic!("it never settles: {:?}", self.model.state);
    }

    fn poll_typed(&mut self) {
        if let Some(mut store) = self.take::<Connecting>() {
            let (polled, flag) = {
                let mut settled = store.settled().boxed();
                poll(settled.as_mut())
            };
            assert_eq!(polled.is_ready(), self.model.poll_in_place());
            if let Poll::Ready(state) = polled {
                self.saw("an outcome that nobody has taken yet");
                let model::State::Connecting(model::Attempt::Over(outcome)) = &self.model.state else {
                    panic!("{:?}", self.model.state)
                };
                assert_eq!(state == ConnectionState::Connected, outcome.is_ok());
            }
            self.transition = Some(flag);
            self.put(store);
        } else if let Some(mut store) = self.take::<Disconnecting>() {
            let (polled, flag) = {
                let mut settled = store.settled().boxed();
                poll(settled.as_mut())
            };
            assert_eq!(polled.is_ready(), self.model.poll_in_place());
            if let Poll::Ready(report) = polled {
                let model::State::Disconnecting(model::Farewell::Over(expected)) = &self.model.state else {
                    panic!("{:?}", self.model.state)
                };
                assert_eq!(in_model_terms(&report), *expected);
            }
            self.transition = Some(flag);
            self.put(store);
        }
    }

    fn await_and_drop(&mut self) {
        let before = self.model.state();
        if let Some(store) = self.take::<Connecting>() {
            let mut settle = store.into_future();
            let (polled, _) = poll(Pin::new(&mut settle));
            drop(settle);
            match polled {
                Poll::Ready(Ok(store)) => self.put(store),
                Poll::Ready(Err(error)) => {
                    let code = error.code();
                    self.put(error.into_store());
                    self.model.poll();
                    assert_eq!(Some(code), self.model.error_code());
                    return;
                }
                Poll::Pending => self.saw("an attempt dropped with its store"),
            }
        } else if let Some(store) = self.take::<Disconnecting>() {
            let mut settle = store.into_future();
            let (polled, _) = poll(Pin::new(&mut settle));
            drop(settle);
            match polled {
                Poll::Ready(store) => self.put(store),
                Poll::Pending => self.saw("a farewell dropped with its store"),
            }
        } else {
            return;
        }
        assert_eq!(self.store.is_some(), self.model.poll());
        if self.store.is_some() {
            self.arrived(before);
        } else {
            self.replace_store();
        }
    }

    /// After a poll: takes a handle to everything that has just been connected, has a store make its first key, and takes
    /// note of the rest.
    fn arrived(&mut self, before: ConnectionState) {
        if before == self.model.state() {
            return;
        }
        match &self.model.state {
            model::State::Connected { epoch, .. } => {
                let epoch = *epoch;
                let handle = self.store().handle().unwrap();
                let watched = handle.clone();
                let mut future = async move { watched.closed().await }.boxed();
                let (polled, woken) = poll(future.as_mut());
                assert!(polled.is_pending());
                self.watchers.push(Watcher { future, epoch, woken });
                self.handles.push((handle, epoch));
                if self.keys.last().is_none_or(|(_, store)| *store != self.model.store) {
                    self.call(0, What::Create, Then::Await);
                }
            }
            model::State::Failed(_) => self.saw("a failed attempt"),
            model::State::Disconnected(Some(report)) => {
                let seen = [
                    (report.completed > 0, "completed"),
                    (report.dropped > 0, "dropped"),
                    (report.abandoned > 0, "abandoned"),
                    (report.still_running > 0, "still running"),
                    (report.goodbye == model::Goodbye::TimedOut, "a goodbye cut off"),
                    (matches!(report.goodbye, model::Goodbye::Failed(_)), "a goodbye that failed"),
                ];
                for (_, what) in seen.into_iter().filter(|(seen, _)| *seen) {
                    self.saw(what);
                }
            }
            _ => {}
        }
    }

    fn saw(&mut self, what: &'static str) {
        self.seen.insert(what);
    }
}

/// Calls.
impl Driver {
    fn call(&mut self, handle: usize, what: What, then: Then) {
        let Some(handle) = wrap(handle, self.handles.len()) else { return };
        let (handle, epoch) = self.handles[handle].clone();
        let own = self.model.store_of(epoch);
        let (future, expected, store) = match what {
            What::Create => {
                let key = self.new_backing_key();
                let expected = Expected::CreatedOn(key.clone());
                let call = async move { handle.create_key(&NewKey::external(key)).await };
                (call.map(|answer| answer.map(Answer::Created)).boxed(), expected, own)
            }
            What::Encrypt(index) => {
                let Some(index) = wrap(index, self.keys.len()) else { return };
                let (key, store) = self.keys[index];
                let plaintext = format!("plaintext {}", self.encrypted.len()).into_bytes();
                let expected = Expected::BlobOf(plaintext.clone());
                let call = async move { handle.encrypt(&key, &plaintext, &context()).await };
                (call.map(|answer| answer.map(Answer::Blob)).boxed(), expected, store)
            }
            What::Decrypt(index) => {
                let Some(index) = wrap(index, self.encrypted.len()) else { return };
                let encrypted = self.encrypted[index].clone();
                let (blob, store) = (encrypted.blob.clone(), encrypted.store);
                let call = async move { handle.decrypt(blob.as_bytes(), &context()).await };
                let expected = Expected::PlaintextOf(encrypted);
                (call.map(|answer| answer.map(Answer::Plaintext)).boxed(), expected, store)
            }
            What::Describe => {
                let key = self.new_backing_key();
                let call = async move { handle.describe_backing_key(&key).await };
                (call.map(|answer| answer.map(Answer::Description)).boxed(), Expected::Description, own)
            }
        };
        let call = Call::new(epoch, what, store);
        self.calls.push(Pending { future, what: expected, call, woken: None });
        let index = self.calls.len() - 1;
        match then {
            Then::Keep => {}
            Then::PollAndKeep => {
                self.poll_call(index);
            }
            Then::Await => {
                if !self.poll_call(index) {
                    self.advance(model::PATIENCE);
                    assert!(self.poll_call(index), "a call outlives its timeout");
                }
            }
        }
    }

    /// In the key manager: no KMS key refers to it yet.
    fn new_backing_key(&mut self) -> BackingKeyId {
        self.backing_keys += 1;
        let key = BackingKeyId::new(format!("key-{}", self.backing_keys)).unwrap();
        self.manager.create_key(key.clone());
        key
    }

    /// Polls a call once and forgets it when it is over; whether it is.
    fn poll_call(&mut self, index: usize) -> bool {
        let pending = &mut self.calls[index];
        let was_in_flight = pending.call.is_in_flight();
        let (polled, flag) = poll(pending.future.as_mut());
        let expected = self.model.poll_call(&mut pending.call);
        let Poll::Ready(answer) = polled else {
            assert_eq!(expected, None, "a call is pending");
            pending.woken = Some(flag);
            return false;
        };
        // Its future goes only now, so that an answer alone has to take it out of every count.
        let pending = self.calls.swap_remove(index);
        let kind = answer.as_ref().map(|_| ()).map_err(Error::kind);
        assert_eq!(Some(kind), expected.map(|outcome| outcome.map(|_| ())));
        match kind {
            Err(ErrorKind::NotConnected) if was_in_flight => self.saw("an abandoned call"),
            Err(ErrorKind::NotConnected) => self.saw("a call that came too late"),
            Err(ErrorKind::KeyNotFound) => self.saw("a call on another store's key"),
            Err(_) => self.saw("a call that failed"),
            Ok(()) if self.model.is_revoked(pending.call.epoch()) => self.saw("a call that was waited for"),
            Ok(()) => self.saw("a call that worked"),
        }
        let honest = expected == Some(Ok(Honest::Yes));
        let epoch = pending.call.epoch();
        match (answer, pending.what) {
            (Ok(Answer::Created(key)), Expected::CreatedOn(backing_key)) => {
                assert_eq!(key.xks_key_id, Some(backing_key));
                self.keys.push((key.key_id, self.model.store_of(epoch)));
                self.saw("a key that was made");
            }
            (Err(_), Expected::CreatedOn(_)) => self.saw("a key that was not made"),
            (Ok(Answer::Blob(blob)), Expected::BlobOf(plaintext)) => {
                let store = self.model.store_of(epoch);
                self.encrypted.push(Encrypted { plaintext, blob, store, epoch });
            }
            (Ok(Answer::Plaintext(plaintext)), Expected::PlaintextOf(encrypted)) => {
                assert_eq!(plaintext.expose(), encrypted.plaintext);
                if encrypted.epoch != epoch {
                    self.saw("a blob that outlives its connection");
                }
            }
            (Ok(Answer::Description(description)), Expected::Description) => {
                assert_eq!(description.spec == KeySpec::Aes256, honest);
            }
            (Ok(_), _) => panic!("an answer to another question"),
            (Err(_), _) => {}
        }
        true
    }
}

/// What a store does without changing its state.
impl Driver {
    fn probe(&mut self, patient: bool) {
        let Some(store) = self.take::<Disconnected>() else { return };
        let outcome = self.drive(store.probe(), patient);
        self.put(store);
        let outcome = outcome.map(|outcome| outcome.map(|_| ()).map_err(|error| error.code()));
        assert_eq!(outcome, self.model.probe(patient));
        self.saw(match outcome {
            Some(Ok(())) => "a probe that worked",
            Some(Err(_)) => "a probe that failed",
            None => "a probe that was dropped",
        });
    }

    fn update(&mut self, edit: Edit, patient: bool) {
        let in_flight = self.calls.iter().any(|pending| pending.call.is_in_flight());
        let (outcome, expected) = if let Some(mut store) = self.take::<Disconnected>() {
            let outcome = self.drive(store.update(edit.change()), patient);
            self.put(store);
            (outcome, self.model.update(edit, patient))
        } else if let Some(mut store) = self.take::<Connected>() {
            let outcome = self.drive(store.update(edit.change()), patient);
            self.put(store);
            let expected = self.model.live_update(edit, patient);
            match (outcome.is_some(), self.model.retired()) {
                (_, 0) => {}
                (true, _) => self.saw("a connection that waits for its last call"),
                (false, _) => self.saw("an update dropped after it had happened"),
            }
            if in_flight && matches!(outcome, Some(Ok(()))) {
                self.saw("an update under load");
            }
            (outcome, expected)
        } else {
            return;
        };
        let outcome = outcome.map(|outcome| {
            outcome.map_err(|error| match error {
                UpdateError::Refused(error) => error.code(),
                other => panic!("{other}"),
            })
        });
        assert_eq!(outcome, expected);
        self.saw(match outcome {
            Some(Ok(())) => "an update that worked",
            Some(Err(_)) => "an update that was refused",
            None => "an update that was dropped",
        });
    }

    /// Polls to the end, and lets time pass when nothing else happens. Impatiently, it is dropped instead.
    fn drive<T>(&self, future: impl Future<Output = T>, patient: bool) -> Option<T> {
        let mut future = std::pin::pin!(future);
        // Connecting, health and goodbye, or connecting, and a goodbye to each of the replaced connections.
        for _ in 0..45 {
            match poll(future.as_mut()).0 {
                Poll::Ready(output) => return Some(output),
                Poll::Pending if patient => self.clock.advance(Duration::from_secs(model::PATIENCE)),
                Poll::Pending => return None,
            }
        }
        panic!("it never ends")
    }
}

/// What must hold after every step.
impl Driver {
    fn check(&mut self) {
        assert_eq!(self.clock.monotonic() - self.began, Duration::from_secs(self.model.now));
        assert_eq!(self.manager.open_connections(), self.model.open_connections());
        self.check_store();
        self.check_keys();
        self.check_handles();
        self.check_wakes();
    }

    fn check_store(&mut self) {
        let (store, model) = (self.store(), &self.model);
        assert_eq!(store.state(), model.state());
        assert_eq!(store.handle().is_some(), model.state() == ConnectionState::Connected);
        assert_eq!(store.connection_error().map(|error| error.code()), model.error_code());

        let description = store.describe();
        assert_eq!(description.connection_state, model.state());
        assert_eq!(description.connection_error_code, model.error_code());
        assert_eq!(description.custom_key_store_name.as_str(), name(model.settings.name));
        let proxy = description.xks_proxy_configuration.as_ref().unwrap();
        assert_eq!(proxy.uri_path, path(model.settings.path));
        assert_eq!(proxy.access_key_id, credential(model.settings.credential).access_key_id);

        let json = serde_json::to_value(&description).unwrap();
        assert_eq!(json["ConnectionState"], model.state().as_str());
        assert_eq!(
            json.get("ConnectionErrorCode").map(|code| code.as_str().unwrap()),
            model.error_code().map(|code| code.as_str())
        );
        assert_eq!(serde_json::from_value::<Description>(json).unwrap(), description);

        // Into the one typed store that it is, and into none of the others.
        let typed = [
            self.there_and_back::<Disconnected>(|store, driver| {
                let model::State::Disconnected(report) = &driver.model.state else { panic!() };
                assert_eq!(store.disconnect_report().map(in_model_terms), *report);
            }),
            self.there_and_back::<Connecting>(|_, _| ()),
            self.there_and_back::<Connected>(|store, _| assert!(store.handle().is_connected())),
            self.there_and_back::<Disconnecting>(|_, _| ()),
            self.there_and_back::<Failed>(|store, driver| {
                assert_eq!(Some(store.error_code()), driver.model.error_code());
            }),
        ];
        assert_eq!(typed.iter().filter(|typed| **typed).count(), 1);
    }

    /// The store has the keys that it made, whatever became of the connections, and no others.
    fn check_keys(&self) {
        let page = PageRequest::first(PageRequest::MAX_LIMIT).unwrap();
        let keys = self.store().keys();
        let listed = keys.list(&page).now_or_never().unwrap().unwrap().items;
        let made = self.keys.iter().filter(|(_, store)| *store == self.model.store).map(|(key, _)| *key);
        assert_eq!(listed.iter().map(|key| key.key_id).collect::<BTreeSet<_>>(), made.collect());
        let connected = self.model.state() == ConnectionState::Connected;
        let state = if connected { KeyState::Enabled } else { KeyState::Unavailable };
        assert!(listed.iter().all(|key| key.key_state == state), "{listed:?}");
    }

    fn there_and_back<S: State>(&mut self, look: impl FnOnce(&KeyStore<S>, &Self)) -> bool {
        let Some(store) = self.take::<S>() else { return false };
        assert_eq!(store.state(), self.model.state());
        look(&store, self);
        self.put(store);
        true
    }

    /// Every stale handle is stale at once and for ever, and reaches nobody.
    fn check_handles(&mut self) {
        let key = BackingKeyId::new("key-1").unwrap();
        let asked = self.manager.calls(Method::DescribeKey);
        for (handle, epoch) in &self.handles {
            let revoked = self.model.is_revoked(*epoch);
            assert_eq!(handle.is_connected(), !revoked);
            if revoked {
                let answer = handle.describe_backing_key(&key).now_or_never().unwrap();
                assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotConnected);
            }
        }
        assert_eq!(self.manager.calls(Method::DescribeKey), asked);

        for watcher in &mut self.watchers {
            let revoked = self.model.is_revoked(watcher.epoch);
            assert!(!revoked || watcher.woken.is_up(), "nobody told a watcher of `closed()`");
            let (polled, woken) = poll(watcher.future.as_mut());
            assert_eq!(polled.is_ready(), revoked);
            watcher.woken = woken;
        }
        let model = &self.model;
        self.watchers.retain(|watcher| !model.is_revoked(watcher.epoch));
    }

    /// Whatever would get on if it were polled has been told so: nothing waits for ever.
    fn check_wakes(&self) {
        for Pending { call, woken, .. } in &self.calls {
            if let Some(woken) = woken {
                let mut after = call.clone();
                let ready = self.model.clone().poll_call(&mut after).is_some();
                assert!(!ready || woken.is_up(), "nobody woke {call:?}");
            }
        }
        if let Some(woken) = &self.transition
            && !self.model.is_over()
        {
            let mut after = self.model.clone();
            after.poll();
            assert!(after == self.model || woken.is_up(), "nobody woke {:?}", self.model.state);
        }
    }

    /// Whatever has happened to the store: connected again, it decrypts all that it has encrypted.
    fn read_back(&mut self) {
        self.model.heal();
        self.manager.heal();
        self.step(Op::Accept(self.model.settings.credential));
        self.step(Op::Settle);
        if self.model.state() != ConnectionState::Disconnected {
            self.step(Op::Disconnect);
            self.step(Op::Settle);
        }
        self.step(Op::Connect);
        self.step(Op::Settle);
        self.decrypt_everything();
        self.check();
    }

    /// What this store encrypted; the keys of others are unknown here.
    fn decrypt_everything(&mut self) {
        let before = self.calls.len();
        for index in 0..self.encrypted.len() {
            self.call(0, What::Decrypt(index), Then::PollAndKeep);
        }
        assert_eq!(self.calls.len(), before);
    }

    /// Drops the store under whatever is in flight, and finds everything in its place.
    fn end(mut self) -> BTreeSet<&'static str> {
        if !self.calls.iter().any(|pending| pending.call.is_in_flight()) {
            self.read_back();
        }
        drop(self.store.take());
        self.replace_store();
        self.check();
        while !self.calls.is_empty() {
            assert!(self.poll_call(0), "a call outlives its store");
        }
        self.check();
        assert_eq!(self.manager.open_connections(), 0);
        assert_eq!(self.clock.sleepers(), 0);

        // Whatever has happened: a new store on the same key manager works.
        self.model.heal();
        self.manager.heal();
        self.step(Op::Accept(0));
        self.step(Op::Connect);
        self.step(Op::Settle);
        self.call(0, What::Encrypt(0), Then::PollAndKeep);
        assert_eq!(self.encrypted.last().map(|encrypted| encrypted.store), Some(self.model.store));
        self.decrypt_everything();
        self.step(Op::Disconnect);
        self.step(Op::Settle);
        self.check();
        assert_eq!(self.model.state, model::State::Disconnected(Some(model::Report::nothing())));
        assert_eq!(self.manager.open_connections(), 0);
        self.seen
    }
}

/// The place of one of several things, counted from the newest.
fn wrap(index: usize, length: usize) -> Option<usize> {
    index.checked_rem(length).map(|back| length - 1 - back)
}

fn in_model_terms(report: &DisconnectReport) -> model::Report {
    model::Report {
        completed: report.completed,
        dropped: report.dropped,
        abandoned: report.abandoned,
        still_running: report.still_running,
        goodbye: match &report.goodbye {
            Goodbye::Said(closed) => model::Goodbye::Said { still_running: closed.still_running },
            Goodbye::Failed(error) => model::Goodbye::Failed(error.kind()),
            Goodbye::TimedOut => model::Goodbye::TimedOut,
            other => panic!("{other}"),
        },
        seconds: report.duration.as_secs(),
    }
}
