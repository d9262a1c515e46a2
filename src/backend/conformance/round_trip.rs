//! What is encrypted comes back, whatever its length, and no two ciphertexts are alike.

use std::collections::HashSet;

use super::Suite;
use super::link::pattern;
use crate::backend::BackendErrorKind as Kind;
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("round_trip": verified, unverified, empty, beyond_the_limits, no_two_alike, across_connections);

/// The lengths of an inner AES block, of a data key, of KMS's largest plaintext and of the protocol's largest.
fn lengths(suite: &Suite) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (largest_plaintext, largest_aad) = (suite.largest_plaintext, suite.largest_aad);
    [1, 15, 16, 32, 4096, largest_plaintext]
        .into_iter()
        .flat_map(move |plaintext| [0, 1, largest_aad].into_iter().map(move |aad| (plaintext, aad)))
}

async fn verified(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    for (plaintext, aad) in lengths(suite) {
        link.round_trip(&pattern(plaintext, 1), &pattern(aad, 2)).await?;
    }
    Ok(())
}

async fn unverified(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let key = &suite.keys.usable;
    for (plaintext, aad) in lengths(suite) {
        let (plaintext, aad) = (pattern(plaintext, 3), pattern(aad, 4));
        let ciphertext =
            link.encrypt_unverified(key, &plaintext, &aad).await.or_fail("unverified encrypt")?;
        link.opens(key, &ciphertext, &plaintext, &aad).await?;
    }
    Ok(())
}

/// No protocol says whether an empty plaintext is taken. An orderly refusal is as good as a round trip.
async fn empty(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let key = &suite.keys.usable;
    for aad in [&b""[..], b"aad"] {
        match link.encrypt(key, b"", aad).await {
            Ok(ciphertext) => link.opens(key, &ciphertext, b"", aad).await?,
            refusal => {
                refusal.refused_as(&[Kind::InvalidRequest, Kind::Unsupported], "encrypt of nothing")?;
            }
        }
    }
    link.still_works("after an empty plaintext").await
}

/// More than is promised works, or is `Unsupported` (source: row XKS-P-49).
async fn beyond_the_limits(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let key = &suite.keys.usable;
    let ordinary = link.encrypt(key, b"ordinary", b"").await.or_fail("encrypt")?;

    let (plaintext, aad) = (suite.largest_plaintext, suite.largest_aad);
    for (plaintext, aad) in [(plaintext + 1, 0), (1 << 20, 0), (32, aad + 1), (32, u16::MAX.into())] {
        let call = format!("encrypt {plaintext} bytes with {aad} of AAD");
        let (plaintext, aad) = (pattern(plaintext, 5), pattern(aad, 6));
        match link.encrypt(key, &plaintext, &aad).await {
            Ok(ciphertext) => link.opens(key, &ciphertext, &plaintext, &aad).await?,
            refusal => refusal.refused_as(&[Kind::Unsupported], call)?,
        }

        // Where so much is taken after all, it is merely not what was encrypted.
        let mut enlarged = ordinary.clone();
        enlarged.bytes = plaintext;
        let call = format!("decrypt {} bytes with {} of AAD", enlarged.bytes.len(), aad.len());
        let refusal = link.decrypt(key, &enlarged, &aad).await;
        refusal.refused_as(&[Kind::Unsupported, Kind::InvalidCiphertext], call)?;
    }

    // Its length does not fit into the authenticated data, so it cannot work.
    let aad = pattern(usize::from(u16::MAX) + 1, 6);
    let refusal = link.encrypt(key, b"plaintext", &aad).await;
    refusal.refused_as(&[Kind::Unsupported], "encrypt with 65,536 bytes of AAD")?;
    let refusal = link.decrypt(key, &ordinary, &aad).await;
    refusal.refused_as(&[Kind::Unsupported, Kind::InvalidCiphertext], "decrypt with 65,536 bytes of AAD")?;
    link.still_works("after too much data").await
}

async fn no_two_alike(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let plaintext = pattern(32, 7);
    let (mut vectors, mut ciphertexts) = (HashSet::new(), HashSet::new());
    for _ in 0..16 {
        let ciphertext = link.round_trip(&plaintext, b"aad").await?;
        ensure(ciphertext.bytes != plaintext, || "the ciphertext is the plaintext".into())?;
        ensure(vectors.insert(ciphertext.initialization_vector), || {
            "the same initialization vector twice".into()
        })?;
        ensure(ciphertexts.insert(ciphertext.bytes), || "the same ciphertext twice".into())?;
    }
    Ok(())
}

/// A ciphertext outlives the connection that it was made on.
async fn across_connections(suite: &Suite) -> Outcome {
    let plaintext = pattern(32, 8);
    let ciphertext = suite.connect().await?.round_trip(&plaintext, b"aad").await?;
    suite.connect().await?.opens(&suite.keys.usable, &ciphertext, &plaintext, b"aad").await
}
