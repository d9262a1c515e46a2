//! Whatever is changed, decryption fails, and says the same of every change.
//!
//! That the error is silent (no text, no source) is enforced by [`BackendError`] itself for this kind.
//!
//! [`BackendError`]: crate::backend::BackendError

use super::Suite;
use super::link::{Link, pattern};
use crate::backend::{
    BackendErrorKind as Kind, BackingKeyId, Ciphertext, CiphertextMetadata, InitializationVector,
};
use crate::conformance::{Expect as _, Outcome, Stop, checks, ensure, failed, not_applicable};

checks!("tampering":
    ciphertext, authentication_tag, initialization_vector, metadata, authenticated_data, border, another_key,
);

const AAD: &[u8] = b"purpose=conformance";

async fn ciphertext(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let last = bench.genuine.bytes.len() - 1;
    let mut changes = Vec::new();
    for place in [0, last / 2, last] {
        let change = bench.with(|changed| flip(&mut changed.bytes, place));
        changes.push((format!("a bit of byte {place}"), change));
    }
    changes.push(("shortened by a byte".into(), bench.with(|changed| changed.bytes.truncate(last))));
    changes.push(("lengthened by a byte".into(), bench.with(|changed| changed.bytes.push(0))));
    changes.push(("emptied".into(), bench.with(|changed| changed.bytes.clear())));
    let other = bench.link.round_trip(&pattern(64, 17), AAD).await?;
    changes.push(("that of another".into(), bench.with(|changed| changed.bytes = other.bytes)));
    bench.refuses(&suite.keys.usable, changes, AAD).await
}

async fn authentication_tag(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let mut changes: Vec<_> = (0..16)
        .map(|place| {
            let change = bench.with(|changed| flip(&mut changed.authentication_tag, place));
            (format!("a bit of byte {place}"), change)
        })
        .collect();
    changes.push(("all zeros".into(), bench.with(|changed| changed.authentication_tag = [0; 16])));
    bench.refuses(&suite.keys.usable, changes, AAD).await
}

async fn initialization_vector(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let genuine = bench.genuine.initialization_vector;
    let mut variants = Vec::new();
    for place in 0..genuine.as_bytes().len() {
        let mut bytes = genuine.as_bytes().to_vec();
        flip(&mut bytes, place);
        variants.push((format!("a bit of byte {place}"), bytes));
    }
    // The other of the two lengths, filled up with zeros or cut off.
    let mut resized = genuine.as_bytes().to_vec();
    resized.resize(28 - resized.len(), 0);
    variants.push((format!("of {} bytes", resized.len()), resized));

    let mut changes = Vec::new();
    for (what, bytes) in variants {
        match InitializationVector::new(&bytes) {
            Ok(vector) => changes.push((what, bench.with(|changed| changed.initialization_vector = vector))),
            Err(error) => return failed(error.to_string()),
        }
    }
    bench.refuses(&suite.keys.usable, changes, AAD).await
}

/// Changed, dropped, shortened, lengthened, or added where there was none.
async fn metadata(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let genuine = bench.genuine.metadata.as_bytes();
    let mut variants = Vec::new();
    for place in 0..genuine.len() {
        let mut bytes = genuine.to_vec();
        flip(&mut bytes, place);
        variants.push((format!("a bit of byte {place}"), bytes));
    }
    if let Some((_, shorter)) = genuine.split_last() {
        variants.push(("shortened by a byte".into(), shorter.to_vec()));
        variants.push(("dropped".into(), Vec::new()));
    }
    if genuine.len() < CiphertextMetadata::MAX_LEN {
        variants.push(("lengthened by a byte".into(), [genuine, b"\0"].concat()));
    }
    let changes = variants.into_iter().map(|(what, bytes)| Ok((what, bench.with_metadata(&bytes)?)));
    let changes = changes.collect::<Outcome<Vec<_>>>()?;
    bench.refuses(&suite.keys.usable, changes, AAD).await
}

async fn authenticated_data(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let (mut first, mut last) = (AAD.to_vec(), AAD.to_vec());
    flip(&mut first, 0);
    flip(&mut last, AAD.len() - 1);
    let (shorter, _) = AAD.split_at(AAD.len() - 1);
    let longer = [AAD, b"\0"].concat();
    for (what, aad) in [
        ("a bit of the first byte", &*first),
        ("a bit of the last byte", &*last),
        ("shortened by a byte", shorter),
        ("lengthened by a byte", &*longer),
        ("dropped", b""),
        ("another", b"purpose=something else"),
    ] {
        let unchanged = vec![(what.into(), bench.genuine.clone())];
        bench.refuses(&suite.keys.usable, unchanged, aad).await?;
    }

    // Where there was none, none may be added.
    let bare = bench.link.round_trip(&pattern(32, 18), b"").await?;
    bench.refuses(&suite.keys.usable, vec![("added".into(), bare)], AAD).await
}

/// A byte that moves from the one to the other leaves the two in a row as they were.
async fn border(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let metadata = bench.genuine.metadata.as_bytes();
    let mut moved = false;
    if let Some((first, rest)) = metadata.split_first() {
        let change = vec![("from metadata to AAD".into(), bench.with_metadata(rest)?)];
        bench.refuses(&suite.keys.usable, change, &[AAD, &[*first]].concat()).await?;
        moved = true;
    }
    if let (Some((last, rest)), true) = (AAD.split_last(), metadata.len() < CiphertextMetadata::MAX_LEN) {
        let longer = [&[*last], metadata].concat();
        let change = vec![("from AAD to metadata".into(), bench.with_metadata(&longer)?)];
        bench.refuses(&suite.keys.usable, change, rest).await?;
        moved = true;
    }
    ensure(moved, || "no byte could be moved".into())
}

/// Under a key that it was not encrypted with.
async fn another_key(suite: &Suite) -> Outcome {
    let bench = Bench::new(suite).await?;
    let mut tried = false;
    // A key that may only decrypt will do as well.
    for key in [suite.keys.another_key(), suite.keys.decrypt_only_key()].into_iter().flatten() {
        let unchanged = vec![(format!("under key {key}"), bench.genuine.clone())];
        bench.refuses(key, unchanged, AAD).await?;
        tried = true;
    }
    if tried { Ok(()) } else { not_applicable("no second key was given (Keys::another)") }
}

/// A genuine ciphertext, to be changed.
struct Bench<'a> {
    link: Link<'a>,
    genuine: Ciphertext,
}

impl<'a> Bench<'a> {
    async fn new(suite: &'a Suite) -> Outcome<Self> {
        let link = suite.connect().await?;
        let genuine = link.round_trip(&pattern(64, 16), AAD).await?;
        Ok(Self { link, genuine })
    }

    fn with(&self, change: impl FnOnce(&mut Ciphertext)) -> Ciphertext {
        let mut changed = self.genuine.clone();
        change(&mut changed);
        changed
    }

    fn with_metadata(&self, bytes: &[u8]) -> Outcome<Ciphertext> {
        match CiphertextMetadata::new(bytes) {
            Ok(metadata) => Ok(self.with(|changed| changed.metadata = metadata)),
            Err(error) => failed(error.to_string()),
        }
    }

    /// Each is refused in the same way. All are tried, since which of them are not says where the fault lies.
    async fn refuses(&self, key: &BackingKeyId, changes: Vec<(String, Ciphertext)>, aad: &[u8]) -> Outcome {
        let mut faults = Vec::new();
        for (what, changed) in changes {
            let answer = self.link.decrypt(key, &changed, aad).await;
            match answer.refused_as(&[Kind::InvalidCiphertext], what) {
                Ok(()) => {}
                Err(Stop::Failed(fault)) => faults.push(fault),
                Err(stop) => return Err(stop),
            }
        }
        ensure(faults.is_empty(), || faults.join("; "))?;
        self.link.still_works("after a refused ciphertext").await
    }
}

fn flip(bytes: &mut [u8], place: usize) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 0x80;
    }
}
