//! Dropping a future at any await: the connection must then be as good as before.

use super::Suite;
use super::link::{Link, pattern};
use crate::backend::{BackendError, BackendErrorKind as Kind, ConnectReason};
use crate::conformance::{Expect as _, Moment, Outcome, checks, failed, moments, poll_all, poll_and_drop};

checks!("cancellation":
    connect, describe_key, encrypt, decrypt, generate_key, delete_key, generate_random, health, close,
    many_at_once,
);

async fn connect(suite: &Suite) -> Outcome {
    for moment in moments(suite.cancellation_rounds) {
        let call = suite.try_connect(ConnectReason::Resume);
        let completed = poll_and_drop(&*suite.clock, call, moment).await.is_some();
        suite.connect().await?.still_works(&moment.after("connect")).await?;
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
    for moment in moments(suite.cancellation_rounds) {
        let made = poll_and_drop(&*suite.clock, link.generate_key(), moment).await;
        link.still_works(&moment.after("generate_key")).await?;
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
    for moment in moments(suite.cancellation_rounds) {
        let key = link.generate_key().await.or_fail("generate_key")?;
        let deleted = poll_and_drop(&*suite.clock, link.delete_key(&key), moment).await;
        let after = moment.after("delete_key");
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
    for moment in moments(suite.cancellation_rounds) {
        let link = suite.connect().await?;
        let closed = poll_and_drop(&*suite.clock, link.connection.close(), moment).await;
        drop(link);
        suite.connect().await?.still_works(&moment.after("close")).await?;
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
        poll_and_drop(&*suite.clock, poll_all(calls), Moment { polls, woken: false }).await;
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
    for moment in moments(suite.cancellation_rounds) {
        let answer = poll_and_drop(&*suite.clock, call(), moment).await;
        link.still_works(&moment.after(name)).await?;
        if let Some(answer) = answer {
            return answer.or_fail(name).map(drop);
        }
        if let Err(error) = call().await {
            return failed(format!("{}, {name}: failed with {error:?}", moment.after(name)));
        }
    }
    Ok(())
}
