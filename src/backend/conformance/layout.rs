//! That anybody with the key can read what the connection wrote, and the other way round.
//!
//! A connection that authenticated something else would still agree with itself.

use super::Suite;
use super::gcm;
use super::link::pattern;
use crate::backend::{
    BackendErrorKind as Kind, Ciphertext, CiphertextMetadata, InitializationVector, authenticated_data,
};
use crate::conformance::{Expect as _, Outcome, checks, ensure, failed, not_applicable};

checks!("layout": ciphertext_can_be_read, own_ciphertext_is_read, sixteen_byte_vector);

/// As short as the shortest and as long as the longest that every connection takes.
const AAD_LENGTHS: [usize; 4] = [0, 1, 256, 8192];

async fn ciphertext_can_be_read(suite: &Suite) -> Outcome {
    let key = material(suite)?;
    let link = suite.connect().await?;
    for length in AAD_LENGTHS {
        let (plaintext, aad) = (pattern(40, 9), pattern(length, 10));
        let ciphertext = link.encrypt(&suite.keys.usable, &plaintext, &aad).await.or_fail("encrypt")?;
        let joined = joined(&aad, ciphertext.metadata)?;
        let (vector, tag) = (ciphertext.initialization_vector, ciphertext.authentication_tag);
        let Ok(opened) = gcm::open(key, vector.as_bytes(), &joined, &ciphertext.bytes, tag) else {
            return failed("the suite's own AES-GCM failed");
        };
        ensure(opened.as_ref() == Some(&plaintext), || {
            format!("with {length} bytes of AAD, the tag does not cover authenticated_data(aad, metadata)")
        })?;
    }
    Ok(())
}

async fn own_ciphertext_is_read(suite: &Suite) -> Outcome {
    for length in AAD_LENGTHS {
        let (plaintext, aad) = (pattern(40, 11), pattern(length, 12));
        let vector = pattern(12, 13);
        reads_own(suite, &vector, &plaintext, &aad).await?;
    }
    Ok(())
}

async fn sixteen_byte_vector(suite: &Suite) -> Outcome {
    let vector = pattern(16, 14);
    if suite.sixteen_byte_iv {
        return reads_own(suite, &vector, &pattern(40, 15), b"aad").await;
    }
    let link = suite.connect().await?;
    let key = &suite.keys.usable;
    let mut foreign = link.encrypt(key, b"plaintext", b"").await.or_fail("encrypt")?;
    foreign.initialization_vector = initialization_vector(&vector)?;
    let refusal = link.decrypt(key, &foreign, b"").await;
    // Source: facts on XKS, 2.3: it decrypts or finds the ciphertext invalid.
    refusal.refused_as(&[Kind::InvalidCiphertext], "decrypt with an initialization vector of 16 bytes")?;
    link.still_works("after an initialization vector of 16 bytes").await
}

/// The connection decrypts what the suite encrypts, with such metadata as the connection itself writes.
async fn reads_own(suite: &Suite, vector: &[u8], plaintext: &[u8], aad: &[u8]) -> Outcome {
    let key = material(suite)?;
    let link = suite.connect().await?;
    let usable = &suite.keys.usable;
    let metadata = link.encrypt(usable, plaintext, aad).await.or_fail("encrypt")?.metadata;
    let Ok((bytes, tag)) = gcm::seal(key, vector, &joined(aad, metadata)?, plaintext) else {
        return failed("the suite's own AES-GCM failed");
    };
    let ciphertext = Ciphertext::new(bytes, initialization_vector(vector)?, tag).with_metadata(metadata);
    link.opens(usable, &ciphertext, plaintext, aad).await
}

fn material(suite: &Suite) -> Outcome<&[u8]> {
    match &suite.key_material {
        Some(key) => Ok(key.expose()),
        None => not_applicable("the key itself was not given (Suite::usable_key_material)"),
    }
}

fn joined(aad: &[u8], metadata: CiphertextMetadata) -> Outcome<Vec<u8>> {
    authenticated_data(aad, metadata.as_bytes()).or_else(|error| failed(error.to_string()))
}

fn initialization_vector(bytes: &[u8]) -> Outcome<InitializationVector> {
    InitializationVector::new(bytes).or_else(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests;
