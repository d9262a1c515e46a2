//! Keys that are made and deleted, random bytes, and health.

use std::collections::HashSet;

use super::Suite;
use super::link::pattern;
use crate::backend::{BackendErrorKind as Kind, HealthStatus, KeyDescription, KeySpec, KeyStatus, KeyUsages};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("management": generated_keys, unsupported_keys, random, unsupported_random, health);

async fn generated_keys(suite: &Suite) -> Outcome {
    suite.needs_generated_keys()?;
    let link = suite.connect().await?;
    let first = link.generate_key().await.or_fail("generate_key")?;
    let second = link.generate_key().await.or_fail("generate_key")?;
    ensure(first != second, || "generate_key: the same name twice".into())?;

    let expected = KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled);
    let plaintext = pattern(32, 20);
    for key in [&first, &second] {
        let described = link.describe(key).await.or_fail("describe_key of a generated key")?;
        ensure(described == expected, || format!("describe_key: expected {expected:?}, got {described:?}"))?;
        let ciphertext = link.encrypt(key, &plaintext, b"aad").await.or_fail("encrypt")?;
        link.opens(key, &ciphertext, &plaintext, b"aad").await?;
    }
    let ciphertext = link.encrypt(&first, &plaintext, b"aad").await.or_fail("encrypt")?;
    let mixed = link.decrypt(&second, &ciphertext, b"aad").await;
    mixed.refused_as(&[Kind::InvalidCiphertext], "decrypt under another generated key")?;

    // A key belongs to the key manager, not to the connection that made it.
    suite.connect().await?.opens(&first, &ciphertext, &plaintext, b"aad").await?;

    link.delete_key(&first).await.or_fail("delete_key")?;
    let gone = &[Kind::KeyNotFound];
    link.describe(&first).await.refused_as(gone, "describe_key of a deleted key")?;
    link.encrypt(&first, &plaintext, b"").await.refused_as(gone, "encrypt under a deleted key")?;
    link.decrypt(&first, &ciphertext, b"aad").await.refused_as(gone, "decrypt under a deleted key")?;
    link.delete_key(&first).await.refused_as(gone, "delete_key of a deleted key")?;

    let ciphertext = link.encrypt(&second, &plaintext, b"").await.or_fail("encrypt")?;
    link.opens(&second, &ciphertext, &plaintext, b"").await?;
    link.delete_key(&second).await.or_fail("delete_key")
}

/// Where keys are not made by us, none is deleted by us either.
async fn unsupported_keys(suite: &Suite) -> Outcome {
    suite.needs_no_generated_keys()?;
    let link = suite.connect().await?;
    link.generate_key().await.refused_as(&[Kind::Unsupported], "generate_key")?;
    // Never of a key that exists: a connection that fails this check might delete it.
    let absent = suite.keys.absent_key()?;
    link.delete_key(absent).await.refused_as(&[Kind::Unsupported], "delete_key")?;
    link.still_works("after unsupported calls").await
}

async fn random(suite: &Suite) -> Outcome {
    suite.needs_random()?;
    let link = suite.connect().await?;
    for length in [1, 32, 1024] {
        let drawn = link.generate_random(length).await.or_fail(format!("generate_random({length})"))?;
        let got = drawn.len();
        ensure(got == length, || format!("generate_random({length}): got {got} bytes"))?;
    }
    let first = link.generate_random(32).await.or_fail("generate_random")?;
    let second = link.generate_random(32).await.or_fail("generate_random")?;
    ensure(first != second, || "generate_random: the same 32 bytes twice".into())?;
    let (head, tail) = first.expose().split_at(first.len() / 2);
    ensure(head != tail, || "generate_random: 16 bytes repeated".into())
}

async fn unsupported_random(suite: &Suite) -> Outcome {
    suite.needs_no_random()?;
    let link = suite.connect().await?;
    link.generate_random(32).await.refused_as(&[Kind::Unsupported], "generate_random")?;
    link.still_works("after an unsupported call").await
}

async fn health(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    link.still_works("connected").await?;
    let health = link.health().await.or_fail("health")?;
    let count = health.instances.len();
    ensure((1..=10).contains(&count), || format!("health: {count} instances, expected 1 to 10"))?;
    let ids: HashSet<_> = health.instances.iter().map(|instance| &instance.id).collect();
    ensure(ids.len() == count, || "health: two instances with the same id".into())?;
    let fleet = health.proxy.as_ref().is_none_or(|proxy| proxy.fleet_size > 0);
    ensure(fleet, || "health: a proxy of no server".into())?;
    ensure(health.status() != HealthStatus::Unavailable, || "health: UNAVAILABLE, but it serves".into())
}
