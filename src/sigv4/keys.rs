//! Signing keys: derived from a secret for one day and Region, and kept.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key, Tag};
use zeroize::Zeroizing;

use super::date::Day;
use super::names::TERMINATOR;
use super::scope::Scope;
use crate::SecretBytes;

/// How many days there can be at once: around midnight that of the request is not always ours.
const DAYS: usize = 2;

/// A secret access key and the signing keys derived from it lately: as many as can be in use at once, one for each day
/// and scope. Each credential has its own, so that how many of those there are does not matter.
///
/// A verifier derives a key only for its own scope and for days within the allowed skew, so nobody can fill the
/// cache. AWS-LC wipes a key when it is freed; the links of the chain on the way to it are its tags, which nobody
/// wipes.
pub(crate) struct SigningKeys {
    secret: SecretBytes,
    kept: ArcSwap<Vec<Arc<SigningKey>>>,
    most: usize,
}

struct SigningKey {
    day: Day,
    scope: Scope,
    key: Key,
}

impl SigningKeys {
    /// For one scope. `secret` is the text of any secret access key, as its owner wrote it down.
    pub(crate) fn new(secret: SecretBytes) -> Self {
        Self { secret, kept: ArcSwap::default(), most: DAYS }
    }

    /// The same for so many scopes, such as one for each Region.
    pub(crate) const fn for_scopes(mut self, scopes: usize) -> Self {
        self.most = scopes.saturating_mul(DAYS);
        self
    }

    /// Signs with the key for this day and scope, which is kept or derived.
    pub(super) fn sign(&self, day: Day, scope: &Scope, text: &[u8]) -> Tag {
        let kept = self.kept.load();
        if let Some(found) = kept.iter().find(|key| key.day == day && key.scope == *scope) {
            return hmac::sign(&found.key, text);
        }
        let new = Arc::new(derive(&self.secret, day, scope));
        let tag = hmac::sign(&new.key, text);
        // Two threads may both derive: the later one wins, which costs a derivation and nothing else.
        self.kept.store(Arc::new([new].into_iter().chain(kept.iter().cloned()).take(self.most).collect()));
        tag
    }

    /// The days of those that are kept, the newest first.
    #[cfg(test)]
    pub(super) fn days(&self) -> Vec<Day> {
        self.kept.load().iter().map(|key| key.day).collect()
    }

    /// Which are kept: the same ones again, unless one was derived meanwhile.
    #[cfg(test)]
    pub(super) fn kept(&self) -> Vec<*const u8> {
        self.kept.load().iter().map(|key| Arc::as_ptr(key).cast()).collect()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(redacted)")
    }
}

/// The chain of HMACs that begins with the secret as text, never decoded (XKS-C-24).
fn derive(secret: &SecretBytes, day: Day, scope: &Scope) -> SigningKey {
    let start = Zeroizing::new([b"AWS4", secret.expose()].concat());
    let mut key = Key::new(HMAC_SHA256, &start);
    for part in
        [&day, scope.region.as_str().as_bytes(), scope.service.as_str().as_bytes(), TERMINATOR.as_bytes()]
    {
        key = Key::new(HMAC_SHA256, hmac::sign(&key, part).as_ref());
    }
    SigningKey { day, scope: scope.clone(), key }
}
