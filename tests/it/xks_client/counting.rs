//! What is counted: XKS-C-75.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::BackendErrorKind;
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::ProxyOperation;
use futures::FutureExt as _;

use super::fixture::{call, failing, guarded, plain, plain_with};
use super::server::Reply;

const OP: ProxyOperation = ProxyOperation::Encrypt;

#[tokio::test]
async fn requests_are_counted_by_how_they_ended() {
    let (server, proxy, connection) = plain().await;
    let counters = proxy.counters();
    failing(&server, &*connection, OP, Reply::error(429, "ThrottlingException")).await;
    failing(&server, &*connection, OP, Reply::error(404, "KeyNotFoundException")).await;
    failing(&server, &*connection, OP, Reply::json(200, "{}")).await;

    let counts = counters.counts();
    assert_eq!((counts.requests, counts.successes, counts.dropped), (7, 4, 0));
    assert_eq!((counts.throttles(), counts.retryable_errors(), counts.lasting_errors()), (1, 1, 2));
    assert_eq!(counts.errors(BackendErrorKind::KeyNotFound), 1);
    assert_eq!(counts.errors(BackendErrorKind::InvalidResponse), 1);
    assert_eq!(counts.latency.count(), 7);
    assert_eq!((counts.connections_opened, counts.retries), (1, 0));
    assert_eq!(counts.certificate_expiry, None, "there is no TLS");
    assert_eq!(counts.managers.len(), 2);
    assert_eq!(proxy.clone().counters().counts(), counts);
}

/// A request that nobody waited for has no latency.
#[tokio::test]
async fn a_dropped_request_is_counted_as_that() {
    let (server, proxy, connection) = plain().await;
    let counters = proxy.counters();
    server.will(Reply::RawThenNothing(Vec::new()));
    let dropped = tokio::spawn(async move { call(&*connection, OP).await });
    guarded(server.seen()).await;
    dropped.abort();
    assert!(guarded(dropped).await.unwrap_err().is_cancelled());
    let counts = counters.counts();
    assert_eq!((counts.requests, counts.successes, counts.dropped), (2, 1, 1));
    assert_eq!(counts.latency.count(), 1);
}

/// However far a call has come when it is dropped, it is counted once and the next one gets its own answer.
#[tokio::test]
async fn a_call_can_be_dropped_at_any_point() {
    // Each opens a connection, or none does.
    for kept in [0, 64] {
        let (_server, proxy, connection) = plain_with(|settings| settings.max_idle_connections(kept)).await;
        let counters = proxy.counters();
        let mut dropped = 0;
        for polls in 0..20 {
            let mut work = Box::pin(call(&*connection, OP));
            let mut ended = false;
            for _ in 0..polls {
                ended = ended || (&mut work).now_or_never().is_some_and(|outcome| outcome.is_ok());
                if ended {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(work);
            dropped += u64::from(polls > 0 && !ended);
            // The client checks sizes and integrity: another's answer would be an error.
            guarded(call(&*connection, ProxyOperation::Decrypt)).await.unwrap();
            let counts = counters.counts();
            assert_eq!(counts.dropped, dropped, "after {polls} polls");
            assert_eq!(counts.requests, counts.successes + counts.dropped, "after {polls} polls");
        }
        assert!(dropped > 0);
    }
}

#[tokio::test]
async fn a_timeout_is_counted_at_its_full_length() {
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let timed = clock.clone();
    let (server, proxy, connection) =
        plain_with(move |settings| settings.clock(timed).deadline(Duration::from_millis(250))).await;
    let counters = proxy.counters();
    server.will(Reply::RawThenNothing(Vec::new()));
    let slow = tokio::spawn(async move { call(&*connection, OP).await });
    guarded(server.seen()).await;
    clock.advance(Duration::from_millis(250));
    assert!(guarded(slow).await.unwrap().is_err());

    let counts = counters.counts();
    let bucket = counts.latency.buckets().find(|(end, _)| *end == Some(Duration::from_millis(250)));
    assert_eq!(bucket.map(|(_, count)| count), Some(1));
    assert_eq!(counts.latency.total(), Duration::from_millis(250));
    let now = counts.credential_since + Duration::from_secs(60);
    assert_eq!(counts.credential_since, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    assert_eq!(counts.credential_age(now), Duration::from_secs(60));
}
