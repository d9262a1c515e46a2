//! Connecting: for every reason, more than once, and again after connections were merely dropped.

use std::time::Duration;

use super::Suite;
use crate::backend::ConnectReason;
use crate::conformance::{Outcome, checks, failed};

checks!("connecting": connects, connects_for_every_reason, two_at_once, dropping_releases, late);

/// For the one reason for which a password may be changed. Without it no other check is made.
async fn connects(suite: &Suite) -> Outcome {
    match suite.try_connect(ConnectReason::Connect).await {
        Ok(_) => Ok(()),
        Err(error) => failed(format!("connect: failed with {error:?}")),
    }
}

async fn connects_for_every_reason(suite: &Suite) -> Outcome {
    use ConnectReason as Reason;
    for reason in [Reason::Create, Reason::Connect, Reason::Update, Reason::Probe, Reason::Resume] {
        match suite.try_connect(reason).await {
            Ok(connection) => {
                suite.link(connection).still_works(&format!("connected for {reason:?}")).await?
            }
            Err(error) => return failed(format!("connect for {reason:?}: failed with {error:?}")),
        }
    }
    Ok(())
}

/// A live update connects anew before the old connection is closed, and may give up the new one.
async fn two_at_once(suite: &Suite) -> Outcome {
    let first = suite.connect().await?;
    let second = suite.connect().await?;
    first.still_works("with a second connection").await?;
    second.still_works("as the second connection").await?;

    // Whether the goodbye itself goes well is another check.
    let _ = first.connection.close().await;
    drop(first);
    second.still_works("after another connection was closed").await?;

    drop(suite.connect().await?);
    second.still_works("after another connection was dropped").await
}

async fn dropping_releases(suite: &Suite) -> Outcome {
    for _ in 0..8 {
        let link = suite.connect().await?;
        link.still_works("after connections were dropped without being closed").await?;
    }
    Ok(())
}

/// No time at all: the attempt may succeed or fail, but it ends, and with a code of its store type.
async fn late(suite: &Suite) -> Outcome {
    let mut request = suite.connect_request(ConnectReason::Resume);
    request.timeout = Duration::ZERO;
    let Err(error) = suite.backend.connect(&request).await else { return Ok(()) };

    let store_type = suite.backend.configuration().store_type();
    match error.code().store_type() {
        Some(other) if other != store_type => {
            failed(format!("{} is a code of stores of type {other}, not of {store_type}", error.code()))
        }
        _ => Ok(()),
    }
}
