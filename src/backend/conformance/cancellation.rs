//! Dropping a future at any await: the connection must then be as good as before.
//!
//! Each call is dropped after no poll, after one, after two and so on, until it completes; each time both at
//! once and when it has been woken, since then a result may be on its way that nobody will fetch.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::poll_fn;

use super::Suite;
use super::link::{Link, pattern};
use super::outcome::{Expect as _, Outcome, checks, failed};
use crate::backend::{BackendError, BackendErrorKind as Kind, ConnectReason};
use crate::clock::Clock;

checks!("cancellation":
    connect, describe_key, encrypt, decrypt, generate_key, delete_key, generate_random, health, close,
    many_at_once,
);

/// How long to wait for a wake before polling nevertheless: longer than a call to a key manager nearby takes.
const NAP: Duration = Duration::from_millis(50);

async fn connect(suite: &Suite) -> Outcome {
    for (polls, woken) in moments(suite) {
        let call = suite.try_connect(ConnectReason::Resume);
        let completed = poll_and_drop(&*suite.clock, call, polls, woken).await.is_some();
        suite.connect().await?.still_works(&after("connect", polls, woken)).await?;
        if completed {
            break;
        }
    }
    Ok(())
}

async fn describe_key(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    cancelled(suite, &link, "describe_key", || link.describe(&suite.keys.usable)).await
}

async fn encrypt(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let plaintext = pattern(4096, 22);
    cancelled(suite, &link, "encrypt", || link.encrypt(&suite.keys.usable, &plaintext, b"aad")).await
}

async fn decrypt(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let ciphertext = link.round_trip(&pattern(4096, 23), b"aad").await?;
    cancelled(suite, &link, "decrypt", || link.decrypt(&suite.keys.usable, &ciphertext, b"aad")).await
}

async fn generate_key(suite: &Suite) -> Outcome {
    suite.needs_generated_keys()?;
    let link = suite.connect().await?;
    for (polls, woken) in moments(suite) {
        let made = poll_and_drop(&*suite.clock, link.generate_key(), polls, woken).await;
        link.still_works(&after("generate_key", polls, woken)).await?;
        if let Some(key) = made {
            let key = key.or_fail("generate_key")?;
            return link.delete_key(&key).await.or_fail("delete_key");
        }
    }
    Ok(())
}

/// Afterwards the key exists or does not; nothing in between.
async fn delete_key(suite: &Suite) -> Outcome {
    suite.needs_generated_keys()?;
    let link = suite.connect().await?;
    for (polls, woken) in moments(suite) {
        let key = link.generate_key().await.or_fail("generate_key")?;
        let deleted = poll_and_drop(&*suite.clock, link.delete_key(&key), polls, woken).await;
        let after = after("delete_key", polls, woken);
        link.still_works(&after).await?;
        match (link.delete_key(&key).await, deleted) {
            (again, Some(answer)) => {
                answer.or_fail("delete_key")?;
                return again.refused_as(&[Kind::KeyNotFound], "delete_key of a deleted key");
            }
            (Ok(()), None) => {}
            (again, None) => again.refused_as(&[Kind::KeyNotFound], format!("{after}, delete_key"))?,
        }
    }
    Ok(())
}

async fn generate_random(suite: &Suite) -> Outcome {
    suite.needs_random()?;
    let link = suite.connect().await?;
    cancelled(suite, &link, "generate_random", || link.generate_random(32)).await
}

async fn health(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    cancelled(suite, &link, "health", || link.health()).await
}

/// After a goodbye that was cut short the connection is dropped, which releases everything.
async fn close(suite: &Suite) -> Outcome {
    for (polls, woken) in moments(suite) {
        let link = suite.connect().await?;
        let closed = poll_and_drop(&*suite.clock, link.connection.close(), polls, woken).await;
        drop(link);
        suite.connect().await?.still_works(&after("close", polls, woken)).await?;
        if let Some(answer) = closed {
            return answer.or_fail("close").map(drop);
        }
    }
    Ok(())
}

/// Finds what each dropped call keeps a little of: sessions, permits, places in a queue.
async fn many_at_once(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let plaintext = pattern(32, 24);
    for polls in [1, 1, 2, 3] {
        let calls = (0..suite.concurrent_calls).map(|_| link.encrypt(&suite.keys.usable, &plaintext, b""));
        poll_and_drop(&*suite.clock, poll_all(calls), polls, false).await;
        link.still_works(&format!("after {} calls at once were dropped", suite.concurrent_calls)).await?;
    }
    Ok(())
}

/// Drops the call at every moment, and checks that the connection still works and that the call, made anew,
/// succeeds.
async fn cancelled<T, F>(suite: &Suite, link: &Link<'_>, name: &str, call: impl Fn() -> F + Sync) -> Outcome
where
    T: Send,
    F: Future<Output = Result<T, BackendError>> + Send,
{
    for (polls, woken) in moments(suite) {
        let answer = poll_and_drop(&*suite.clock, call(), polls, woken).await;
        link.still_works(&after(name, polls, woken)).await?;
        if let Some(answer) = answer {
            return answer.or_fail(name).map(drop);
        }
        if let Err(error) = call().await {
            return failed(format!("{}, {name}: failed with {error:?}", after(name, polls, woken)));
        }
    }
    Ok(())
}

/// Polls every call whenever it is polled. `join_all` stops early when calls wake themselves.
async fn poll_all<F: Future + Send>(calls: impl Iterator<Item = F> + Send) {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    poll_fn(|cx| {
        calls.retain_mut(|call| call.poll_unpin(cx).is_pending());
        if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// After how many polls, and whether after the wake that would have led to the next.
fn moments(suite: &Suite) -> impl Iterator<Item = (usize, bool)> + use<> {
    let polled = (1..=suite.cancellation_rounds).flat_map(|polls| [(polls, false), (polls, true)]);
    std::iter::once((0, false)).chain(polled)
}

fn after(call: &str, polls: usize, woken: bool) -> String {
    let woken = if woken { ", then woken" } else { "" };
    format!("after {call} was dropped (polled {polls} times{woken})")
}

/// Polls at most so many times, then drops; gives the output if there was one.
async fn poll_and_drop<T: Send>(
    clock: &dyn Clock,
    future: impl Future<Output = T> + Send,
    polls: usize,
    woken: bool,
) -> Option<T> {
    let mut future = pin!(future);
    for poll in 1..=polls {
        if let Some(output) = poll_fn(|cx| Poll::Ready(ready(future.as_mut().poll(cx)))).await {
            return Some(output);
        }
        if poll < polls || woken {
            wake_or_nap(clock).await;
        }
    }
    None
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Until whatever was polled before wakes this task, or a little while.
async fn wake_or_nap(clock: &dyn Clock) {
    let mut nap = clock.sleep(NAP);
    let mut polled = false;
    // The second poll is a wake: of the nap or, which comes to the same, of the call.
    poll_fn(|cx| {
        let over = nap.poll_unpin(cx).is_ready() || polled;
        polled = true;
        if over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
