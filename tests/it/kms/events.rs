//! What becomes of connections is told to whoever listens: in order, wholly, and until the driver ends.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{BackendErrorKind, Change, ConnectionErrorCode, StoreName};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{ConnectionEvent, ConnectionEvents, Kms};
use custom_key_store::{ConnectionState, StoreId};
use futures::future::{Either, join_all, select};
use futures::{FutureExt as _, StreamExt as _, pin_mut};

use super::restart;
use super::support::{builder, connect, drive, external, run, turn, until};
use crate::support::ledger;

use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Failed};

async fn next(events: &mut ConnectionEvents) -> ConnectionEvent {
    events.next().await.unwrap()
}

/// What has been told already.
fn told(events: &mut ConnectionEvents) -> Vec<ConnectionEvent> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

async fn cycle(kms: &Kms, id: &StoreId) {
    connect(kms, id).await;
    kms.disconnect_custom_key_store(id).await.unwrap();
    until(kms, id, Disconnected).await;
}

#[test]
fn each_event_says_which_store_went_from_where_to_where_when_and_why() {
    let (manager, clock) = (KeyManager::new(), ManualClock::new());
    futures::executor::block_on(async {
        let (kms, driver) = builder(&ledger(), &manager).clock(clock.clone()).open().await.unwrap();
        drive(driver, async {
            let id = kms.create_custom_key_store(external("root")).await.unwrap();
            let mut events = kms.events();
            let mut expect = async |second, from, to, code, name: &str| {
                let event = next(&mut events).await;
                assert_eq!((&event.store, event.name.as_str()), (&id, name));
                assert_eq!((event.from, event.to, event.code), (from, to, code));
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
                assert_eq!((event.time, event.missed), (time, 0));
            };
            manager.inject(Method::Connect, Fault::Hang);
            kms.connect_custom_key_store(&id).await.unwrap();
            expect(0, Disconnected, Connecting, None, "root").await;
            // It hangs, and is given up.
            while manager.calls(Method::Connect) < 2 {
                turn().await;
            }
            clock.advance(Duration::from_secs(60));
            let code = Some(ConnectionErrorCode::XksProxyTimedOut);
            expect(60, Connecting, Failed, code, "root").await;
            clock.advance(Duration::from_secs(1));
            kms.disconnect_custom_key_store(&id).await.unwrap();
            expect(61, Failed, Disconnecting, None, "root").await;
            expect(61, Disconnecting, Disconnected, None, "root").await;
            // It has the name that it has at that moment.
            clock.advance(Duration::from_secs(1));
            let renamed = Change::new().name(StoreName::new("renamed").unwrap());
            kms.update_custom_key_store(&id, renamed).await.unwrap();
            kms.connect_custom_key_store(&id).await.unwrap();
            expect(62, Disconnected, Connecting, None, "renamed").await;
        })
        .await;
    });
}

/// What a caller is not told, and the operator's log needs.
#[test]
fn a_connection_that_failed_says_to_whoever_listens_what_was_found_and_holds_no_secret() {
    run(|kms, manager| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let mut events = kms.events();
        manager.inject(Method::Connect, Fault::Fail(BackendErrorKind::Unreachable));
        kms.connect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, Failed).await;
        let [begun, failed] = &told(&mut events)[..] else { panic!("not two events") };
        assert!(begun.error.is_none() && begun.code.is_none());
        let error = failed.error.as_ref().unwrap();
        assert_eq!(Some(error.code()), failed.code);
        let said: Vec<_> =
            std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect();
        assert!(said[0].contains("scripted") && said[1].contains("cannot be reached"), "{said:?}");
        let all = format!("{failed:?} {said:?}");
        assert!(!all.contains("sssss") && !all.contains("correcthorse"), "{all}");

        // Equality goes by what happened, and not by how it is told.
        let mut short = failed.clone();
        short.error = None;
        assert_eq!(short, *failed);
        short.code = None;
        assert_ne!(short, *failed);

        // Nothing is left over from it.
        kms.disconnect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, Disconnected).await;
        assert!(told(&mut events).iter().all(|event| event.error.is_none()));
    });
}

#[test]
fn an_attempt_after_a_restart_that_is_followed_by_another_says_why_it_failed() {
    restart::run(async |world| {
        let connected = async |kms: Kms, _| {
            let id = kms.create_custom_key_store(external("root")).await.unwrap();
            connect(&kms, &id).await;
            id
        };
        let id = world.process(connected).await;
        // The first fails before anybody listens.
        let unreachable = || Some(Fault::Fail(BackendErrorKind::Unreachable));
        let refused = Some(Fault::Refuse(ConnectionErrorCode::InvalidCredentials));
        world.manager.script(Method::Connect, [unreachable(), unreachable(), refused]);
        let again = async |kms: Kms, _| {
            let mut events = kms.events();
            world.clock.advance(Duration::from_secs(1));
            let tried = next(&mut events).await;
            assert_eq!((tried.store, tried.from, tried.to), (id.clone(), Connecting, Connecting));
            assert!(tried.code.is_some_and(ConnectionErrorCode::is_transient));
            assert!(tried.error.unwrap().to_string().contains("scripted"));
            world.clock.advance(Duration::from_secs(2));
            let failed = next(&mut events).await;
            assert_eq!(
                (failed.from, failed.to, failed.code),
                (Connecting, Failed, Some(ConnectionErrorCode::InvalidCredentials))
            );
        };
        world.process(again).await;
    });
}

#[test]
fn what_changes_no_state_is_no_event() {
    run(|kms, _| async move {
        let mut events = kms.events();
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        assert_eq!(told(&mut events), []);
        connect(&kms, &id).await;
        assert_eq!(told(&mut events).len(), 2);
        kms.connect_custom_key_store(&id).await.unwrap();
        kms.update_custom_key_store(&id, Change::new().name(StoreName::new("new").unwrap())).await.unwrap();
        kms.delete_custom_key_store(&id).await.unwrap_err();
        assert_eq!(told(&mut events), []);
        kms.disconnect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, Disconnected).await;
        assert_eq!(told(&mut events).len(), 2);
        kms.disconnect_custom_key_store(&id).await.unwrap_err();
        kms.delete_custom_key_store(&id).await.unwrap();
        assert_eq!(told(&mut events), []);
    });
}

#[test]
fn all_who_listen_are_told_the_same_from_the_moment_at_which_they_begin() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let mut one = kms.events();
        connect(&kms, &id).await;
        let mut other = kms.events();
        kms.disconnect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, Disconnected).await;
        let (one, other) = (told(&mut one), told(&mut other));
        let path: Vec<_> = one.iter().map(|event| event.to).collect();
        assert_eq!(path, [Connecting, Connected, Disconnecting, Disconnected]);
        assert_eq!(one[2..], other);
    });
}

/// More are waiting than wait: the oldest are lost, and nobody is kept waiting.
#[test]
fn who_does_not_listen_for_a_while_is_told_how_much_was_missed() {
    const BACKLOG: usize = 4096;
    const OF_A_CYCLE: usize = 4;
    run(|kms, _| async move {
        let mut ids = Vec::new();
        for number in 0..40 {
            ids.push(kms.create_custom_key_store(external(&format!("store-{number}"))).await.unwrap());
        }
        let (mut patient, mut absent) = (kms.events(), kms.events());
        let mut all: Vec<ConnectionEvent> = Vec::new();
        while all.len() <= BACKLOG {
            join_all(ids.iter().map(|id| cycle(&kms, id))).await;
            all.extend(told(&mut patient));
        }
        assert!(all.iter().all(|event| event.missed == 0));
        assert_eq!(all.len() % (ids.len() * OF_A_CYCLE), 0);

        let mut late = told(&mut absent);
        assert_eq!(late.len(), BACKLOG);
        let lost = all.len() - BACKLOG;
        assert_eq!(std::mem::take(&mut late[0].missed), u64::try_from(lost).unwrap());
        assert_eq!(late, all[lost..]);
        // Who listens again misses nothing any more.
        cycle(&kms, &ids[0]).await;
        assert!(told(&mut absent).iter().all(|event| event.missed == 0));
    });
}

#[test]
fn the_events_end_with_the_driver_and_are_told_to_the_last() {
    futures::executor::block_on(async {
        for in_good_order in [true, false] {
            let (kms, mut driver) = builder(&ledger(), &KeyManager::new()).open().await.unwrap();
            let mut events = kms.events();
            {
                let life = async {
                    let id = kms.create_custom_key_store(external("root")).await.unwrap();
                    connect(&kms, &id).await;
                };
                pin_mut!(life);
                let Either::Right(_) = select(&mut driver, life).await else { panic!("no driver ends so") };
            }
            if in_good_order {
                kms.shut_down();
                driver.await;
            } else {
                drop(driver);
            }
            assert_eq!(next(&mut events).await.to, Connecting);
            assert_eq!(next(&mut events).await.to, Connected);
            assert_eq!(events.next().await, None);
            assert_eq!(events.next().await, None);
            assert_eq!(kms.events().next().await, None, "there is nobody who would tell");
        }
    });
}

/// Many tasks connect and disconnect the same stores on several threads: whoever listens sees each store go where it can
/// go from where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_store_are_in_order_whoever_moves_it() {
    const STORES: usize = 4;
    let (kms, driver) = builder(&ledger(), &KeyManager::new()).open().await.unwrap();
    let driving = tokio::spawn(driver);
    let mut ids = Vec::new();
    for number in 0..STORES {
        ids.push(kms.create_custom_key_store(external(&format!("store-{number}"))).await.unwrap());
    }
    let mut events = kms.events();
    let tasks = (0..4).map(|task| {
        let (kms, ids) = (kms.clone(), ids.clone());
        tokio::spawn(async move {
            for turn in 0..50 {
                let id = &ids[(task + turn) % STORES];
                // Refused or not: others do the same.
                let _ = kms.connect_custom_key_store(id).await;
                let _ = kms.disconnect_custom_key_store(id).await;
            }
        })
    });
    for ended in join_all(tasks).await {
        ended.unwrap();
    }
    for id in &ids {
        let _ = kms.disconnect_custom_key_store(id).await;
        until(&kms, id, Disconnected).await;
    }
    kms.shut_down();
    driving.await.unwrap();
    let mut states = vec![Disconnected; STORES];
    let mut count = 0;
    while let Some(event) = events.next().await {
        let state = &mut states[ids.iter().position(|id| *id == event.store).unwrap()];
        assert_eq!((event.from, event.missed), (*state, 0));
        let is_a_move = matches!(
            (event.from, event.to),
            (Disconnected, Connecting)
                | (Connecting, Connected | Disconnecting)
                | (Connected, Disconnecting)
                | (Disconnecting, Disconnected)
        );
        assert!(is_a_move, "{event:?}");
        *state = event.to;
        count += 1;
    }
    assert_eq!(states, [Disconnected; STORES]);
    assert!(count > 2 * STORES);
}
