//! The orderly goodbye.

use super::Suite;
use crate::backend::{BackendError, BackendErrorKind as Kind};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("closing": idempotent, closed_for_all, reconnects);

async fn idempotent(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    link.still_works("connected").await?;
    for call in ["close", "second close", "third close"] {
        let closed = link.connection.close().await.or_fail(call)?;
        let running = closed.still_running;
        ensure(running == 0, || format!("{call}: {running} calls still running, but all had ended"))?;
    }
    Ok(())
}

/// Every method answers `Closed`, whatever it is asked.
async fn closed_for_all(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let key = &suite.keys.usable;
    let ciphertext = link.encrypt(key, b"plaintext", b"").await.or_fail("encrypt")?;
    // Whether the goodbye itself goes well is another check.
    let _ = link.connection.close().await;

    let closed = &[Kind::Closed];
    link.describe(key).await.refused_as(closed, "describe_key after close")?;
    link.encrypt(key, b"plaintext", b"").await.refused_as(closed, "encrypt after close")?;
    link.decrypt(key, &ciphertext, b"").await.refused_as(closed, "decrypt after close")?;
    link.health().await.refused_as(closed, "health after close")?;
    optional(link.generate_key().await, suite.generates_keys, "generate_key after close")?;
    let absent = suite.keys.absent_key()?;
    optional(link.delete_key(absent).await, suite.generates_keys, "delete_key after close")?;
    optional(link.generate_random(32).await, suite.generates_random, "generate_random after close")
}

async fn reconnects(suite: &Suite) -> Outcome {
    for _ in 0..2 {
        let link = suite.connect().await?;
        link.still_works("after connections were closed").await?;
        // Whether the goodbye itself goes well is another check.
        let _ = link.connection.close().await;
    }
    suite.connect().await?.still_works("after connections were closed").await
}

/// A method that is not implemented does not know that the connection is closed.
fn optional<T>(answer: Result<T, BackendError>, implemented: bool, call: &str) -> Outcome {
    let kinds: &[Kind] = if implemented { &[Kind::Closed] } else { &[Kind::Closed, Kind::Unsupported] };
    answer.refused_as(kinds, call)
}
