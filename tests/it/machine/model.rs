//! What a store promises, as a machine that has neither futures nor threads: time is a number, a connection is
//! a row in a table, and what is under way is data.

use custom_key_store::ErrorKind;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{
    BackendErrorKind, ConnectionError, ConnectionErrorCode, CustomKeyStoreType, LiveChange,
};
use custom_key_store::{ConnectionState, StoreName};

use super::op::{Edit, What};
use super::{credential, name, path};

/// The limits of the store, in seconds, all different so that no two are mistaken for each other.
pub(super) const CONNECT_TIMEOUT: u64 = 60;
pub(super) const CALL_TIMEOUT: u64 = 5;
pub(super) const DRAIN_LIMIT: u64 = 10;
pub(super) const CLOSE_TIMEOUT: u64 = 7;

/// How long whoever waits lets pass before it looks again: longer than any limit and any delay.
pub(super) const PATIENCE: u64 = 61;

type LinkId = usize;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) state: State,
    /// What the store is called and configured with.
    pub(super) settings: Settings,
    /// The credential that the key manager accepts.
    accepted: u8,
    /// Faults that nobody has met yet.
    faults: Vec<(Method, Fault)>,
    /// Every connection that ever was.
    links: Vec<Link>,
    /// Every time that a store became `CONNECTED`.
    epochs: Vec<Epoch>,
    /// How many stores there were before this one.
    pub(super) store: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) name: u8,
    pub(super) path: u8,
    pub(super) credential: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Disconnected(Option<Report>),
    Connecting(Attempt),
    Connected {
        epoch: usize,
        /// Connections that a live update has replaced, and how many calls were in flight on each then.
        retired: Vec<(LinkId, u64)>,
    },
    Disconnecting(Farewell),
    Failed(ConnectionErrorCode),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) completed: u64,
    pub(super) dropped: u64,
    pub(super) abandoned: u64,
    pub(super) still_running: u64,
    pub(super) goodbye: Goodbye,
    pub(super) seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goodbye {
    Said { still_running: u64 },
    Failed(BackendErrorKind),
    TimedOut,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attempt {
    UnderWay(Wait),
    Over(Result<LinkId, ConnectionErrorCode>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Farewell {
    Draining { links: Vec<LinkId>, in_flight: u64, limit: u64, since: Option<u64> },
    Closing { links: Vec<LinkId>, report: Report, since: Option<u64> },
    Over(Report),
}

/// Something that the key manager was asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wait {
    Unpolled,
    UnderWay { until: Option<u64>, limit: u64 },
    Over(Met),
}

/// What it met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Met {
    Works,
    Damaged,
    Refuses(ConnectionErrorCode),
    Fails(BackendErrorKind),
    TakesTooLong,
}

/// A connection.
#[derive(Debug, Clone, PartialEq)]
struct Link {
    /// The store holds it.
    held: bool,
    /// The key manager was told, or is being told.
    closed: bool,
    /// How far that is: it is told once, whoever begins it.
    goodbye: Wait,
    shut: bool,
    abandoned: bool,
    /// Calls that have begun and whose futures are neither resolved nor dropped. Each holds the connection.
    calls: u64,
    /// Those that were dropped while they were being waited for.
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Epoch {
    link: LinkId,
    revoked: bool,
    store: usize,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    epoch: usize,
    what: What,
    /// The store whose key it is about.
    store: usize,
    link: Option<LinkId>,
    wait: Wait,
}

impl Call {
    pub(super) const fn new(epoch: usize, what: What, store: usize) -> Self {
        Self { epoch, what, store, link: None, wait: Wait::Unpolled }
    }

    pub(super) const fn epoch(&self) -> usize {
        self.epoch
    }

    pub(super) const fn is_in_flight(&self) -> bool {
        self.link.is_some()
    }
}

/// How a call ends: with an honest answer, with a damaged one, or with an error.
pub(super) type Outcome = Result<Honest, ErrorKind>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Honest {
    Yes,
    No,
}

/// Looking at it.
impl Model {
    pub(super) const fn new() -> Self {
        Self {
            now: 0,
            state: State::Disconnected(None),
            settings: Settings { name: 0, path: 0, credential: 0 },
            accepted: 0,
            faults: Vec::new(),
            links: Vec::new(),
            epochs: Vec::new(),
            store: 0,
        }
    }

    pub(super) const fn state(&self) -> ConnectionState {
        match self.state {
            State::Disconnected(_) => ConnectionState::Disconnected,
            State::Connecting(_) => ConnectionState::Connecting,
            State::Connected { .. } => ConnectionState::Connected,
            State::Disconnecting(_) => ConnectionState::Disconnecting,
            State::Failed(_) => ConnectionState::Failed,
        }
    }

    pub(super) const fn error_code(&self) -> Option<ConnectionErrorCode> {
        match self.state {
            State::Failed(code) => Some(code),
            _ => None,
        }
    }

    pub(super) fn store_of(&self, epoch: usize) -> usize {
        self.epochs[epoch].store
    }

    pub(super) fn is_revoked(&self, epoch: usize) -> bool {
        self.epochs[epoch].revoked
    }

    pub(super) fn open_connections(&self) -> usize {
        self.links.iter().filter(|link| !link.closed && (link.held || link.calls > 0)).count()
    }

    /// Whether the outcome of the transition is known to whoever polled last, and only has to be taken.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Connecting(Attempt::Over(_)) | State::Disconnecting(Farewell::Over(_)))
    }
}

/// The key manager.
impl Model {
    pub(super) fn inject(&mut self, method: Method, fault: Fault) {
        self.faults.push((method, fault));
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    pub(super) const fn accept(&mut self, credential: u8) {
        self.accepted = credential;
    }

    /// One poll of a call of this method.
    fn progress(&mut self, wait: &mut Wait, method: Method) {
        let now = self.now;
        match wait {
            Wait::Unpolled => {
                let place = self.faults.iter().position(|(of, _)| *of == method);
                let fault = place.map(|place| self.faults.remove(place).1);
                let limit = now + limit(method);
                *wait = match fault {
                    None => Wait::Over(Met::Works),
                    Some(Fault::Corrupt) => Wait::Over(Met::Damaged),
                    Some(Fault::Refuse(code)) => Wait::Over(Met::Refuses(code)),
                    Some(Fault::Fail(kind)) => Wait::Over(Met::Fails(kind)),
                    Some(Fault::Panic) => Wait::Over(Met::Fails(BackendErrorKind::Panicked)),
                    Some(Fault::Hang) => Wait::UnderWay { until: None, limit },
                    Some(Fault::Delay(delay)) => Wait::UnderWay { until: Some(now + delay.as_secs()), limit },
                    Some(other) => unreachable!("{other:?} is not generated"),
                };
            }
            Wait::UnderWay { until: Some(until), .. } if *until <= now => *wait = Wait::Over(Met::Works),
            Wait::UnderWay { limit, .. } if *limit <= now => *wait = Wait::Over(Met::TakesTooLong),
            Wait::UnderWay { .. } | Wait::Over(_) => {}
        }
    }

    /// A call of this method to its end; `None` when it would have to be waited for and nobody is patient.
    fn whole(&mut self, method: Method, patient: bool) -> Option<Met> {
        let mut wait = Wait::Unpolled;
        self.progress(&mut wait, method);
        if !matches!(wait, Wait::Over(_)) && patient {
            self.now += PATIENCE;
            self.progress(&mut wait, method);
        }
        match wait {
            Wait::Over(met) => Some(met),
            _ => None,
        }
    }

    /// What an attempt comes to that met this.
    fn attempted(&mut self, met: Met, credential: u8) -> Result<LinkId, ConnectionErrorCode> {
        match met {
            Met::Works if credential != self.accepted => Err(ConnectionErrorCode::InvalidCredentials),
            Met::Works => {
                self.links.push(Link::new());
                Ok(self.links.len() - 1)
            }
            Met::Damaged => Err(code_of(BackendErrorKind::InvalidResponse)),
            Met::Refuses(code) => Err(match code.store_type() {
                Some(CustomKeyStoreType::AwsCloudhsm) => ConnectionErrorCode::InternalError,
                _ => code,
            }),
            Met::Fails(kind) => Err(code_of(kind)),
            Met::TakesTooLong => Err(code_of(BackendErrorKind::TimedOut)),
        }
    }
}

/// Transitions.
impl Model {
    /// Whether it is a legal move.
    pub(super) fn connect(&mut self) -> bool {
        let legal = matches!(self.state, State::Disconnected(_));
        if legal {
            self.state = State::Connecting(Attempt::UnderWay(Wait::Unpolled));
        }
        legal
    }

    /// Whether it is a legal move.
    pub(super) fn disconnect(&mut self, limit: u64) -> bool {
        let nothing = Report::nothing();
        let farewell = match &self.state {
            State::Disconnected(_) | State::Disconnecting(_) => return false,
            State::Connecting(Attempt::Over(Ok(link))) => {
                Farewell::Closing { links: vec![*link], report: nothing, since: None }
            }
            State::Connecting(_) | State::Failed(_) => Farewell::Over(nothing),
            State::Connected { epoch, retired } => {
                let epoch = &mut self.epochs[*epoch];
                epoch.revoked = true;
                let current = &mut self.links[epoch.link];
                current.shut = true;
                let in_flight = current.calls + retired.iter().map(|(_, calls)| calls).sum::<u64>();
                let links = [epoch.link].into_iter().chain(retired.iter().map(|(link, _)| *link)).collect();
                Farewell::Draining { links, in_flight, limit, since: None }
            }
        };
        self.state = State::Disconnecting(farewell);
        true
    }

    /// One poll that takes the store on when the transition is over; whether it is in a state that lasts.
    pub(super) fn poll(&mut self) -> bool {
        self.poll_in_place();
        match &self.state {
            State::Connecting(Attempt::Over(Ok(link))) => {
                self.epochs.push(Epoch { link: *link, revoked: false, store: self.store });
                self.state = State::Connected { epoch: self.epochs.len() - 1, retired: Vec::new() };
            }
            State::Connecting(Attempt::Over(Err(code))) => self.state = State::Failed(*code),
            State::Disconnecting(Farewell::Over(report)) => {
                self.state = State::Disconnected(Some(report.clone()));
            }
            _ => {}
        }
        !matches!(self.state, State::Connecting(_) | State::Disconnecting(_))
    }

    /// One poll that leaves the store in its transient state; whether the transition is over.
    pub(super) fn poll_in_place(&mut self) -> bool {
        // Nothing looks at the state meanwhile.
        self.state = match std::mem::replace(&mut self.state, State::Disconnected(None)) {
            State::Connecting(attempt) => State::Connecting(self.poll_attempt(attempt)),
            State::Disconnecting(farewell) => State::Disconnecting(self.poll_farewell(farewell)),
            lasting => lasting,
        };
        self.is_over()
    }

    fn poll_attempt(&mut self, attempt: Attempt) -> Attempt {
        match attempt {
            Attempt::UnderWay(mut wait) => {
                self.progress(&mut wait, Method::Connect);
                match wait {
                    Wait::Over(met) => Attempt::Over(self.attempted(met, self.settings.credential)),
                    wait => Attempt::UnderWay(wait),
                }
            }
            over @ Attempt::Over(_) => over,
        }
    }

    fn poll_farewell(&mut self, farewell: Farewell) -> Farewell {
        match farewell {
            Farewell::Draining { links, in_flight, limit, since } => {
                let since = since.unwrap_or(self.now);
                if links.iter().any(|link| self.links[*link].calls > 0) && self.now < since + limit {
                    return Farewell::Draining { links, in_flight, limit, since: Some(since) };
                }
                let mut report = Report::nothing();
                for link in &links {
                    let link = &mut self.links[*link];
                    link.abandoned = true;
                    report.abandoned += link.calls;
                    report.dropped += link.dropped;
                }
                report.completed = in_flight - report.abandoned - report.dropped;
                self.poll_farewell(Farewell::Closing { links, report, since: Some(since) })
            }
            Farewell::Closing { links, mut report, since } => {
                let since = since.unwrap_or(self.now);
                let goodbyes: Vec<_> = links.iter().map(|link| self.close(*link)).collect();
                let Some(said) = goodbyes.into_iter().collect::<Option<Vec<Goodbye>>>() else {
                    return Farewell::Closing { links, report, since: Some(since) };
                };
                for link in links {
                    self.links[link].held = false;
                }
                report.still_running = said.iter().map(|goodbye| goodbye.still_running()).sum();
                let failure = said.iter().find(|goodbye| !matches!(goodbye, Goodbye::Said { .. }));
                report.goodbye = *failure.unwrap_or(&said[0]);
                report.seconds = self.now - since;
                Farewell::Over(report)
            }
            over @ Farewell::Over(_) => over,
        }
    }

    /// One poll of a goodbye, which goes on where it is, whoever began it. The connection is closed when it begins.
    fn close(&mut self, link: LinkId) -> Option<Goodbye> {
        let mut wait = self.links[link].goodbye.clone();
        self.progress(&mut wait, Method::Close);
        let goodbye = wait.goodbye();
        (self.links[link].closed, self.links[link].goodbye) = (true, wait);
        goodbye
    }

    /// Drops the store and puts a new one in its place.
    pub(super) fn drop_store(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.held) {
            link.held = false;
            link.shut = true;
            link.abandoned = true;
        }
        for epoch in &mut self.epochs {
            epoch.revoked = true;
        }
        self.settings = Settings::default();
        self.state = State::Disconnected(None);
        self.store += 1;
    }
}

/// Calls.
impl Model {
    /// One poll; `None` when it gives no result.
    pub(super) fn poll_call(&mut self, call: &mut Call) -> Option<Outcome> {
        let link = match call.link {
            Some(link) => link,
            // Counts before the state of the store.
            None if self.epochs[call.epoch].store != call.store => return Some(Err(ErrorKind::KeyNotFound)),
            None if self.epochs[call.epoch].revoked => return Some(Err(ErrorKind::NotConnected)),
            None => self.epochs[call.epoch].link,
        };
        if call.link.replace(link).is_none() {
            self.links[link].calls += 1;
        }
        let outcome = if self.links[link].abandoned {
            Err(ErrorKind::NotConnected)
        } else {
            self.progress(&mut call.wait, call.what.method());
            let Wait::Over(met) = call.wait else { return None };
            match (met, call.what) {
                (Met::Works, _) => Ok(Honest::Yes),
                // Encryptions are verified.
                (Met::Damaged, What::Encrypt(_)) => {
                    Err(ErrorKind::Backend(BackendErrorKind::IntegrityCheckFailed))
                }
                // What is right in every bit cannot be the ciphertext of another plaintext.
                (Met::Damaged, What::Decrypt(_)) => {
                    Err(ErrorKind::Backend(BackendErrorKind::InvalidResponse))
                }
                (Met::Damaged, What::Create) => Err(ErrorKind::UnsuitableExternalKey),
                (Met::Damaged, What::Describe) => Ok(Honest::No),
                // Nor invalid; and who gives none is told of none.
                (Met::Fails(BackendErrorKind::InvalidCiphertext), _) => {
                    Err(ErrorKind::Backend(BackendErrorKind::InvalidResponse))
                }
                (Met::Fails(kind), _) => Err(ErrorKind::Backend(kind)),
                (Met::Refuses(_), _) => Err(ErrorKind::Backend(BackendErrorKind::Internal)),
                (Met::TakesTooLong, _) => Err(ErrorKind::Backend(BackendErrorKind::TimedOut)),
            }
        };
        self.links[link].calls -= 1;
        call.link = None;
        Some(outcome)
    }

    pub(super) fn drop_call(&mut self, call: &Call) {
        if let Some(link) = call.link {
            let link = &mut self.links[link];
            link.calls -= 1;
            if link.shut && !link.abandoned {
                link.dropped += 1;
            }
        }
    }
}

/// What a disconnected or connected store does without changing its state; `None` when it was given up.
impl Model {
    pub(super) fn probe(&mut self, patient: bool) -> Option<Result<(), ConnectionErrorCode>> {
        self.probe_with(self.settings.credential, patient)
    }

    fn probe_with(&mut self, credential: u8, patient: bool) -> Option<Result<(), ConnectionErrorCode>> {
        let met = self.whole(Method::Connect, patient)?;
        let link = match self.attempted(met, credential) {
            Ok(link) => link,
            Err(code) => return Some(Err(code)),
        };
        let outcome = self.whole(Method::Health, patient).and_then(|health| {
            self.links[link].closed = true;
            self.whole(Method::Close, patient)?;
            Some(match health {
                Met::Works => Ok(()),
                Met::Fails(kind) => Err(code_of(kind)),
                Met::TakesTooLong => Err(code_of(BackendErrorKind::TimedOut)),
                Met::Damaged | Met::Refuses(_) => unreachable!("not generated"),
            })
        });
        self.links[link].held = false;
        outcome
    }

    /// An update while disconnected.
    pub(super) fn update(&mut self, edit: Edit, patient: bool) -> Option<Result<(), ConnectionErrorCode>> {
        if edit.concerns_backend()
            && let Err(code) =
                self.probe_with(edit.credential.unwrap_or(self.settings.credential), patient)?
        {
            return Some(Err(code));
        }
        self.settings.apply(edit);
        Some(Ok(()))
    }

    /// An update while connected. Given up while it waits for the old connection, it has happened.
    pub(super) fn live_update(
        &mut self,
        edit: Edit,
        patient: bool,
    ) -> Option<Result<(), ConnectionErrorCode>> {
        if !edit.concerns_backend() {
            self.settings.apply(edit);
            return Some(Ok(()));
        }
        let met = self.whole(Method::Connect, patient)?;
        let new = match self.attempted(met, edit.credential.unwrap_or(self.settings.credential)) {
            Ok(link) => link,
            Err(code) => return Some(Err(code)),
        };
        self.settings.apply(edit);
        let State::Connected { epoch, retired } = &mut self.state else {
            unreachable!("live updates are made while connected")
        };
        let old = std::mem::replace(&mut self.epochs[*epoch].link, new);
        self.links[old].shut = true;
        retired.push((old, self.links[old].calls));

        let links: Vec<LinkId> = retired.iter().map(|(link, _)| *link).collect();
        // Those that have calls in flight when there is no more time are left to the next update or the disconnect.
        let (drained, busy): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|link| self.links[*link].calls == 0);
        let (mut left, mut waits) = (drained, !busy.is_empty());
        loop {
            let (said, under_way): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|link| self.close(*link).is_some());
            let State::Connected { retired, .. } = &mut self.state else { unreachable!() };
            retired.retain(|(link, _)| !said.contains(link));
            said.into_iter().for_each(|link| self.links[link].held = false);
            match (under_way.is_empty() && !waits, patient) {
                (true, _) => return Some(Ok(())),
                (false, true) => self.now += PATIENCE,
                (false, false) => return None,
            }
            (left, waits) = (under_way, false);
        }
    }

    /// How many replaced connections wait for their goodbye.
    pub(super) fn retired(&self) -> usize {
        match &self.state {
            State::Connected { retired, .. } => retired.len(),
            _ => 0,
        }
    }
}

impl Link {
    const fn new() -> Self {
        let goodbye = Wait::Unpolled;
        Self { held: true, closed: false, goodbye, shut: false, abandoned: false, calls: 0, dropped: 0 }
    }
}

impl Report {
    pub(super) const fn nothing() -> Self {
        let goodbye = Goodbye::Said { still_running: 0 };
        Self { completed: 0, dropped: 0, abandoned: 0, still_running: 0, goodbye, seconds: 0 }
    }
}

impl Goodbye {
    const fn still_running(self) -> u64 {
        match self {
            Self::Said { still_running } => still_running,
            Self::Failed(_) | Self::TimedOut => 0,
        }
    }
}

impl Wait {
    fn goodbye(&self) -> Option<Goodbye> {
        let Self::Over(met) = self else { return None };
        Some(match met {
            Met::Works => Goodbye::Said { still_running: 0 },
            Met::Damaged => Goodbye::Said { still_running: 1 },
            Met::Fails(kind) => Goodbye::Failed(*kind),
            Met::TakesTooLong => Goodbye::TimedOut,
            Met::Refuses(_) => unreachable!("not generated"),
        })
    }
}

impl Settings {
    fn apply(&mut self, edit: Edit) {
        let Edit { name, path, credential } = edit;
        self.name = name.unwrap_or(self.name);
        self.path = path.unwrap_or(self.path);
        self.credential = credential.unwrap_or(self.credential);
    }
}

impl Edit {
    const fn concerns_backend(self) -> bool {
        self.path.is_some() || self.credential.is_some()
    }

    pub(super) fn change(self) -> LiveChange {
        let mut change = LiveChange::new();
        if let Some(number) = self.name {
            change = change.name(StoreName::new(name(number)).unwrap());
        }
        if let Some(number) = self.path {
            change = change.uri_path(path(number));
        }
        if let Some(number) = self.credential {
            change = change.credential(credential(number));
        }
        change
    }
}

fn limit(method: Method) -> u64 {
    match method {
        Method::Connect => CONNECT_TIMEOUT,
        Method::Close => CLOSE_TIMEOUT,
        _ => CALL_TIMEOUT,
    }
}

/// The table is the library's own; what is checked here is that it is used.
fn code_of(kind: BackendErrorKind) -> ConnectionErrorCode {
    ConnectionError::from_call(CustomKeyStoreType::ExternalKeyStore, kind.into()).code()
}
