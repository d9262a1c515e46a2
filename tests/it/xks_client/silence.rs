//! A peer that has become a black hole: what one silent connection says of those that are idle, and what it does not.

use std::sync::Arc;
use std::time::Duration;

use custom_key_store::backend::{BackendError, BackendErrorKind, Connection};
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::{ProxyOperation, XksProxy};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::fixture::{call, guarded, plain_with};
use super::server::{Reply, Server};

const OP: ProxyOperation = ProxyOperation::Encrypt;
const DEADLINE: Duration = Duration::from_millis(250);
const IDLE: usize = 8;

/// A server, and a client with so many idle connections to it, whose time stands still.
async fn with_idle(number: usize) -> (ManualClock, Server, XksProxy, Arc<dyn Connection>) {
    let clock = ManualClock::new();
    let (server, proxy, connection) =
        plain_with(|settings| settings.clock(clock.clone()).deadline(DEADLINE)).await;
    // None is answered before all are asked: each has a connection of its own, the first that of the health check.
    let permits = Arc::new(Semaphore::new(0));
    (0..number).for_each(|_| server.will(Reply::HonestAfter(Arc::clone(&permits))));
    let calls: Vec<_> = (0..number).map(|_| spawn(&connection)).collect();
    for _ in 0..number {
        guarded(server.seen()).await;
    }
    permits.add_permits(number);
    for call in calls {
        guarded(call).await.unwrap().unwrap();
    }
    assert_eq!(server.accepted(), number);
    (clock, server, proxy, connection)
}

fn spawn(connection: &Arc<dyn Connection>) -> JoinHandle<Result<(), BackendError>> {
    let connection = Arc::clone(connection);
    tokio::spawn(async move { call(&*connection, OP).await })
}

/// Lets the call's deadline pass.
async fn times_out(clock: &ManualClock, slow: JoinHandle<Result<(), BackendError>>) {
    clock.advance(DEADLINE);
    let error = guarded(slow).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::TimedOut);
}

/// XKS-C-38: the idle connections of before are not tried one after the other.
#[tokio::test]
async fn one_call_is_lost_to_a_black_hole_and_not_one_for_each_idle_connection() {
    // Not a moment lies between the last answer and the silent request: in doubt a connection is suspect.
    let (clock, server, proxy, connection) = with_idle(IDLE).await;
    let last_dark = server.goes_dark();

    let mut lost = 0;
    for _ in 0..2 * IDLE {
        let asked = spawn(&connection);
        if guarded(server.seen()).await.connection > last_dark {
            guarded(asked).await.unwrap().unwrap();
        } else {
            times_out(&clock, asked).await;
            lost += 1;
        }
    }
    assert_eq!(lost, 1);
    let counts = proxy.counters().counts();
    assert_eq!(counts.errors(BackendErrorKind::TimedOut), 1);
    assert_eq!(server.accepted(), IDLE + 1, "and one new connection carries them all");
}

/// Those that are under way when it begins are lost, and no more.
#[tokio::test]
async fn calls_that_are_in_flight_together_are_all_that_a_black_hole_costs() {
    let (clock, server, _proxy, connection) = with_idle(IDLE).await;
    clock.advance(Duration::from_secs(1));
    server.goes_dark();
    let together: Vec<_> = (0..3).map(|_| spawn(&connection)).collect();
    for _ in 0..3 {
        guarded(server.seen()).await;
    }
    for asked in together {
        times_out(&clock, asked).await;
    }
    for _ in 0..IDLE {
        guarded(call(&*connection, OP)).await.unwrap();
        assert_eq!(guarded(server.seen()).await.connection, IDLE + 1);
    }
}

/// What was heard after the silent request had been sent has shown that it lives.
#[tokio::test]
async fn one_slow_answer_leaves_the_connections_that_were_heard_meanwhile() {
    let (clock, server, _proxy, connection) = with_idle(2).await;
    server.will(Reply::RawThenNothing(Vec::new()));
    let slow = spawn(&connection);
    guarded(server.seen()).await;
    clock.advance(Duration::from_millis(1));
    guarded(call(&*connection, OP)).await.unwrap();
    guarded(server.seen()).await;
    times_out(&clock, slow).await;

    guarded(call(&*connection, OP)).await.unwrap();
    assert!(guarded(server.seen()).await.connection <= 2);
    assert_eq!(server.accepted(), 2);
}

/// A peer that has begun to answer is slow and not gone.
#[tokio::test]
async fn an_answer_that_has_begun_is_no_silence() {
    let (clock, server, _proxy, connection) = with_idle(2).await;
    server.will(Reply::RawThenNothing(b"HTTP/1.1 200 OK\r\n".to_vec()));
    let slow = spawn(&connection);
    guarded(server.seen()).await;
    // A round trip on the other: what was sent before it has arrived. No time passes, so it proves nothing itself.
    guarded(call(&*connection, OP)).await.unwrap();
    times_out(&clock, slow).await;

    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 2, "the other idle connection is used");
}

/// The network has just carried a new connection's handshake, so its silence says nothing of the others.
#[tokio::test]
async fn a_new_connection_that_is_silent_says_nothing_of_the_idle() {
    let (clock, server, _proxy, connection) = with_idle(1).await;
    let permits = Arc::new(Semaphore::new(0));
    server.will(Reply::HonestAfter(Arc::clone(&permits)));
    let held = spawn(&connection);
    assert_eq!(guarded(server.seen()).await.connection, 1);
    server.will(Reply::RawThenNothing(Vec::new()));
    let slow = spawn(&connection);
    assert_eq!(guarded(server.seen()).await.connection, 2);
    permits.add_permits(1);
    guarded(held).await.unwrap().unwrap();
    times_out(&clock, slow).await;

    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(guarded(server.seen()).await.connection, 1);
}
