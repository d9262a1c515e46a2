use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use futures::executor::block_on;
use futures::future::BoxFuture;

use super::Patience;
use crate::backend::software::{Fault, KeyManager, Method};
use crate::backend::{ConnectionErrorCode, StoreName};
use crate::catalog::Ledger;
use crate::clock::{Clock, ManualClock};
use crate::identity::Identity;
use crate::store::{AnyKeyStore, ConnectionState, Kept, StoreBuilder, StoreRecord};

type Told = Arc<Mutex<Vec<ConnectionErrorCode>>>;

const TRANSIENT: Fault = Fault::Refuse(ConnectionErrorCode::XksProxyNotReachable);
const DEFINITE: Fault = Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied);

/// A store that was connected when its process ended, on a key manager that fails so.
fn restarted(faults: &[Fault], clock: impl Clock + Clone) -> (KeyManager, Ledger, AnyKeyStore, Told) {
    let manager = KeyManager::new();
    let ledger = Ledger::ephemeral(Identity::nobody());
    let builder = || StoreBuilder::new(Arc::new(manager.clone())).clock(clock.clone());
    let name = StoreName::new("root").unwrap();
    let store = block_on(builder().create(&ledger, name)).unwrap();
    drop(block_on(store.connect().into_future()).unwrap());
    faults.iter().for_each(|fault| manager.inject(Method::Connect, fault.clone()));

    let told = Told::default();
    let heard = Arc::clone(&told);
    let patience = Patience {
        told: Some(Arc::new(move |error| heard.lock().unwrap().push(error.code()))),
        ..Patience::default()
    };
    let stored = block_on(ledger.list::<StoreRecord>(None, None, 1)).unwrap().remove(0);
    let store = builder().patience(patience).open_listed(&ledger, stored).unwrap();
    (manager, ledger, store, told)
}

fn kept(ledger: &Ledger) -> (Kept, u64) {
    let stored = block_on(ledger.list::<StoreRecord>(None, None, 1)).unwrap().remove(0);
    (stored.record.state, stored.version)
}

fn poll(store: &mut AnyKeyStore) -> Poll<ConnectionState> {
    Pin::new(store).poll_settled(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_passes_by_itself_is_waited_for_and_written_down_nowhere() {
    let clock = ManualClock::new();
    let (manager, ledger, mut store, told) = restarted(&[TRANSIENT; 5], clock.clone());
    let (before, calls) = (kept(&ledger), manager.calls(Method::Connect));
    for (tries, seconds) in (1..).zip([1, 2, 4, 8, 16]) {
        assert!(poll(&mut store).is_pending());
        assert_eq!((store.state(), clock.sleepers()), (ConnectionState::Connecting, 1));
        assert_eq!(told.lock().unwrap().len(), tries);
        assert_eq!(manager.calls(Method::Connect), calls + u64::try_from(tries).unwrap());
        assert_eq!(kept(&ledger), before);
        clock.advance(Duration::from_secs(seconds));
    }
    assert_eq!(poll(&mut store), Poll::Ready(ConnectionState::Connected));
    assert_eq!(*told.lock().unwrap(), [ConnectionErrorCode::XksProxyNotReachable; 5]);
    assert_eq!(kept(&ledger), before);
}

#[test]
fn a_definite_cause_ends_it_at_once() {
    let clock = ManualClock::new();
    let (_, ledger, mut store, told) = restarted(&[TRANSIENT, DEFINITE], clock.clone());
    assert!(poll(&mut store).is_pending());
    clock.advance(Duration::from_secs(1));
    assert_eq!(poll(&mut store), Poll::Ready(ConnectionState::Failed));
    let code = ConnectionErrorCode::XksProxyAccessDenied;
    assert_eq!((store.connection_error().unwrap().code(), kept(&ledger).0), (code, Kept::Failed(code)));
    assert_eq!(told.lock().unwrap().len(), 1, "the last is the store's own");
}

#[test]
fn a_disconnect_ends_the_wait_at_once() {
    let clock = ManualClock::new();
    let (manager, ledger, mut store, _) = restarted(&[TRANSIENT], clock.clone());
    assert!(poll(&mut store).is_pending());
    let calls = manager.calls(Method::Connect);
    store.disconnect().unwrap();
    assert_eq!(clock.sleepers(), 0);
    assert_eq!(poll(&mut store), Poll::Ready(ConnectionState::Disconnected));
    assert_eq!((kept(&ledger).0, manager.calls(Method::Connect)), (Kept::Disconnected, calls));
    // From then on it is a store like any other.
    manager.inject(Method::Connect, TRANSIENT);
    store.connect().unwrap();
    assert_eq!(poll(&mut store), Poll::Ready(ConnectionState::Failed));
}

#[test]
fn who_does_not_ask_for_patience_has_none() {
    let manager = KeyManager::new();
    let ledger = Ledger::ephemeral(Identity::nobody());
    let builder = || StoreBuilder::new(Arc::new(manager.clone()));
    let store = block_on(builder().create(&ledger, StoreName::new("root").unwrap())).unwrap();
    let store = block_on(store.connect().into_future()).unwrap();
    let id = store.id().clone();
    drop(store);
    manager.inject(Method::Connect, TRANSIENT);
    let mut store = block_on(builder().open(&ledger, &id)).unwrap();
    assert_eq!(block_on(store.settled()), ConnectionState::Failed);
}

#[test]
fn pauses_double_up_to_the_longest_and_none_is_cut_by_more_than_half() {
    let patience = Patience::default();
    for _ in 0..100 {
        let whole = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(Duration::from_secs);
        for (pause, whole) in patience.pauses().zip(whole) {
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
    }
    let first: std::collections::HashSet<_> = (0..100).filter_map(|_| patience.pauses().next()).collect();
    assert!(first.len() > 10, "all come back at once");
    let endless = Patience { first: Duration::MAX, longest: Duration::MAX, told: None };
    assert_eq!(endless.pauses().take(100).filter(|pause| *pause < Duration::MAX / 2).count(), 0);
}

/// A clock that panics when somebody wants to sleep a little.
#[derive(Debug, Clone)]
struct Broken(ManualClock);

impl Clock for Broken {
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn monotonic(&self) -> Instant {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        assert!(duration > Duration::from_secs(1), "it is broken");
        self.0.sleep(duration)
    }
}

#[test]
fn a_clock_that_panics_ends_it_with_the_cause() {
    let (_, _, mut store, _) = restarted(&[TRANSIENT], Broken(ManualClock::new()));
    assert_eq!(poll(&mut store), Poll::Ready(ConnectionState::Failed));
    assert_eq!(store.connection_error().unwrap().code(), ConnectionErrorCode::XksProxyNotReachable);
}
