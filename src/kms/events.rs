//! What becomes of connections, told to whoever listens.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use futures_util::Stream;

use crate::backend::{ConnectionError, ConnectionErrorCode, StoreName};
use crate::store::ConnectionState;
use crate::store_id::StoreId;

/// How many events wait for one who does not listen for a while.
const BACKLOG: usize = 4096;

/// A custom key store went from one connection state to another; or it stays `CONNECTING`, since an attempt after a restart
/// has failed for a cause that may pass, and another follows.
///
/// Two are equal that say the same of the same store, whatever else the [errors](Self::error) of the two hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// The store.
    pub store: StoreId,
    /// Its name at that moment.
    pub name: StoreName,
    /// The state that it was in.
    pub from: ConnectionState,
    /// The state that it is in now.
    pub to: ConnectionState,
    /// Why it failed, or why an attempt did that is followed by another.
    pub code: Option<ConnectionErrorCode>,
    /// The same with what was found and what lies beneath it, for the log of whoever operates this: its text and its chain of
    /// [sources](std::error::Error::source) say what those who call are not told. It holds no secret. A store that had failed
    /// before a restart has its code alone.
    pub error: Option<ConnectionError>,
    /// When.
    pub time: SystemTime,
    /// How many events before this one were lost, since nobody took them: more than 4,096 were waiting.
    pub missed: u64,
}

impl PartialEq for ConnectionEvent {
    fn eq(&self, other: &Self) -> bool {
        let Self { store, name, from, to, code, error: _, time, missed } = self;
        (store, name, from, to) == (&other.store, &other.name, &other.from, &other.to)
            && (code, time, missed) == (&other.code, &other.time, &other.missed)
    }
}

impl Eq for ConnectionEvent {}

/// The events of connections, from the moment at which it was made by [`Kms::events`](super::Kms::events). Ends with the
/// driver.
///
/// It is a [`Stream`] of the crate `futures-util`, whose `StreamExt` (that of `futures` is the same) has `next`, in a task of
/// the application's:
///
/// ```
/// use custom_key_store::kms::ConnectionEvents;
/// use futures_util::StreamExt as _;
///
/// /// Run it as a task: `tokio::spawn(watch(kms.events()))`.
/// async fn watch(mut events: ConnectionEvents) {
///     while let Some(event) = events.next().await {
///         match &event.error {
///             Some(error) => eprintln!("{}: {error}, and is {}", event.name, event.to),
///             None => println!("{} is {}", event.name, event.to),
///         }
///     }
/// }
/// ```
#[must_use = "events are told to who polls"]
pub struct ConnectionEvents(Arc<Mutex<Listener>>);

#[derive(Default)]
struct Listener {
    waiting: VecDeque<ConnectionEvent>,
    has_ended: bool,
    waker: Option<Waker>,
}

/// Those who listen.
#[derive(Default)]
pub(super) struct Events(Mutex<Listeners>);

#[derive(Default)]
struct Listeners {
    listening: Vec<Weak<Mutex<Listener>>>,
    have_ended: bool,
}

/// Who is to be woken, when no lock is held any more: a waker may run anything.
#[must_use]
#[derive(Default)]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl Events {
    pub(super) fn listen(&self) -> ConnectionEvents {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = Listener { has_ended: listeners.have_ended, ..Listener::default() };
        let listener = Arc::new(Mutex::new(listener));
        listeners.listening.retain(|listener| listener.strong_count() > 0);
        listeners.listening.push(Arc::downgrade(&listener));
        ConnectionEvents(listener)
    }

    /// Ends what is listened to, now and later.
    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).have_ended = true;
        self.each(|listener| listener.has_ended = true).wake();
    }

    /// Tells all who listen. Whoever calls this holds what orders the events.
    pub(super) fn tell(&self, event: &ConnectionEvent) -> Wakers {
        self.each(|listener| {
            if listener.waiting.len() == BACKLOG {
                // The oldest, and what it knew of those before it.
                let lost = 1 + listener.waiting.pop_front().map_or(0, |lost| lost.missed);
                if let Some(first) = listener.waiting.front_mut() {
                    first.missed += lost;
                }
            }
            listener.waiting.push_back(event.clone());
        })
    }

    fn each(&self, change: impl Fn(&mut Listener)) -> Wakers {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listening: Vec<_> = listeners.listening.iter().filter_map(Weak::upgrade).collect();
        drop(listeners);
        let changed = |listener: Arc<Mutex<Listener>>| {
            let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut listener);
            listener.waker.take()
        };
        Wakers(listening.into_iter().filter_map(changed).collect())
    }
}

impl Stream for ConnectionEvents {
    type Item = ConnectionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ConnectionEvent>> {
        let waker = cx.waker().clone();
        let mut listener = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = listener.waiting.pop_front() {
            return Poll::Ready(Some(event));
        }
        if listener.has_ended {
            return Poll::Ready(None);
        }
        let old = listener.waker.replace(waker);
        drop(listener);
        drop(old);
        Poll::Pending
    }
}

impl fmt::Debug for ConnectionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionEvents")
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
