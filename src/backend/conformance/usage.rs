//! Keys that may not do everything, and the kinds of error that say so.

use super::Suite;
use super::link::Link;
use crate::backend::{BackendErrorKind as Kind, BackingKeyId, KeyDescription, KeySpec, KeyStatus, KeyUsages};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("usage": usable_key, absent_key, encrypt_only_key, decrypt_only_key, unusable_key, disabled_key);

async fn usable_key(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let expected = KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled);
    let described = link.describe(&suite.keys.usable).await.or_fail("describe_key")?;
    ensure(described == expected, || format!("describe_key: expected {expected:?}, got {described:?}"))
}

async fn absent_key(suite: &Suite) -> Outcome {
    let key = suite.keys.absent_key()?;
    let link = suite.connect().await?;
    link.describe(key).await.refused_as(&[Kind::KeyNotFound], "describe_key")?;
    refuses(&link, key, Kind::KeyNotFound, Kind::KeyNotFound).await
}

async fn encrypt_only_key(suite: &Suite) -> Outcome {
    let key = suite.keys.encrypt_only_key()?;
    let link = suite.connect().await?;
    described_with(&link, key, KeyUsages::ENCRYPT).await?;
    let ciphertext = link.encrypt_unverified(key, b"plaintext", b"").await.or_fail("unverified encrypt")?;
    // What it made itself is right in every other way.
    link.decrypt(key, &ciphertext, b"").await.refused_as(&[Kind::InvalidKeyUsage], "decrypt")?;
    // The proof that a verified encryption demands needs the other usage.
    link.encrypt(key, b"plaintext", b"").await.refused_as(&[Kind::InvalidKeyUsage], "verified encrypt")
}

async fn decrypt_only_key(suite: &Suite) -> Outcome {
    let key = suite.keys.decrypt_only_key()?;
    let link = suite.connect().await?;
    described_with(&link, key, KeyUsages::DECRYPT).await?;
    // Nobody can make it a ciphertext; that it finds one invalid shows that it may decrypt.
    refuses(&link, key, Kind::InvalidKeyUsage, Kind::InvalidCiphertext).await
}

async fn unusable_key(suite: &Suite) -> Outcome {
    let key = suite.keys.neither_key()?;
    let link = suite.connect().await?;
    described_with(&link, key, KeyUsages::NONE).await?;
    refuses(&link, key, Kind::InvalidKeyUsage, Kind::InvalidKeyUsage).await
}

/// A disabled key is described, and does nothing else.
async fn disabled_key(suite: &Suite) -> Outcome {
    let key = suite.keys.disabled_key()?;
    let link = suite.connect().await?;
    let described = link.describe(key).await.or_fail("describe_key")?;
    let status = described.status;
    ensure(status == KeyStatus::Disabled, || format!("describe_key: expected DISABLED, got {status}"))?;
    refuses(&link, key, Kind::InvalidKeyState, Kind::InvalidKeyState).await
}

async fn described_with(link: &Link<'_>, key: &BackingKeyId, usages: KeyUsages) -> Outcome {
    let described = link.describe(key).await.or_fail("describe_key")?;
    ensure(described.usages == usages && described.status == KeyStatus::Enabled, || {
        format!("describe_key: expected {usages:?} and ENABLED, got {described:?}")
    })
}

/// Both encryptions are refused as the one kind, and decryption of another key's ciphertext as the other.
async fn refuses(link: &Link<'_>, key: &BackingKeyId, encrypt: Kind, decrypt: Kind) -> Outcome {
    let genuine = link.round_trip(b"plaintext", b"").await?;
    link.encrypt(key, b"plaintext", b"").await.refused_as(&[encrypt], "verified encrypt")?;
    link.encrypt_unverified(key, b"plaintext", b"").await.refused_as(&[encrypt], "unverified encrypt")?;
    link.decrypt(key, &genuine, b"").await.refused_as(&[decrypt], "decrypt")?;
    link.still_works("after a refused key").await
}
