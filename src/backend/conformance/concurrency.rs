//! Many calls at once, on one connection.

use futures_util::future::join_all;

use super::Suite;
use super::link::pattern;
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("concurrency": round_trips, decryptions, all_methods);

/// Every result goes to the call that it belongs to.
async fn round_trips(suite: &Suite) -> Outcome {
    let link = &suite.connect().await?;
    let calls = (0..suite.concurrent_calls).map(|number| async move {
        // Equal lengths, so that a result which went astray is not found out by its length.
        let plaintext = numbered(number);
        link.round_trip(&plaintext, b"aad").await
    });
    join_all(calls).await.into_iter().try_for_each(|outcome| outcome.map(drop))
}

async fn decryptions(suite: &Suite) -> Outcome {
    let link = &suite.connect().await?;
    let key = &suite.keys.usable;
    let mut ciphertexts = Vec::new();
    for number in 0..suite.concurrent_calls {
        ciphertexts.push(link.encrypt(key, &numbered(number), b"aad").await.or_fail("encrypt")?);
    }
    let answers = join_all(ciphertexts.iter().map(|ciphertext| link.decrypt(key, ciphertext, b"aad"))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let opened = answer.or_fail("decrypt")?;
        ensure(opened.expose() == numbered(number), || "decrypt: the plaintext of another call".into())?;
    }
    Ok(())
}

/// Calls of different kinds do not get in each other's way.
async fn all_methods(suite: &Suite) -> Outcome {
    let link = &suite.connect().await?;
    let key = &suite.keys.usable;
    let calls = (0..suite.concurrent_calls).map(|number| async move {
        match number % 4 {
            0 => link.describe(key).await.or_fail("describe_key").map(drop),
            1 => link.health().await.or_fail("health").map(drop),
            2 if suite.generates_random => {
                link.generate_random(32).await.or_fail("generate_random").map(drop)
            }
            _ => link.round_trip(&numbered(number), b"").await.map(drop),
        }
    });
    join_all(calls).await.into_iter().collect()
}

/// Like no plaintext of another number.
fn numbered(number: usize) -> Vec<u8> {
    let mut plaintext = number.to_be_bytes().to_vec();
    plaintext.extend(pattern(48, 21));
    plaintext
}
