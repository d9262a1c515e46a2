//! Data keys that are kept for use again.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use quick_cache::Equivalent;

use super::error::EnvelopeError;
use super::flight::Flights;
use super::materials::{Materials, Origin};
use super::source::{DataKeys, FreshKey};
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::Clock;
use crate::crypto::EncryptionContext;
use crate::error::Error;
use crate::key::KeyArn;
use crate::panics::{Panicked, caught};
use crate::secret::SecretBytes;

/// How long, and for how much, a data key is used; see the builder.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) max_age: Duration,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    pub(super) max_entries: usize,
    pub(super) encrypt_while_disconnected: bool,
}

/// Which data key: the one to seal with under this context, or the one that is wrapped like this for a context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    ToSeal(Box<[u8]>),
    ToOpen { context: Box<[u8]>, wrapped: Box<[u8]> },
}

/// What a data key to open with is found by: compared whole, so that no two are taken for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wrapping<'a> {
    context: &'a [u8],
    wrapped: &'a [u8],
}

impl Hash for Wrapping<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The end, where the authentication of what is wrapped lies, tells nearly all apart.
        let start = self.wrapped.len().saturating_sub(48);
        state.write(&self.wrapped[start..]);
    }
}

/// Data keys to open with are their own names.
struct Opens(Arc<Materials>);

impl Opens {
    fn wrapping(&self) -> Wrapping<'_> {
        Wrapping { context: &self.0.context, wrapped: &self.0.wrapped }
    }
}

impl Hash for Opens {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wrapping().hash(state);
    }
}

impl PartialEq for Opens {
    fn eq(&self, other: &Self) -> bool {
        self.wrapping() == other.wrapping()
    }
}

impl Eq for Opens {}

impl Equivalent<Opens> for Wrapping<'_> {
    fn equivalent(&self, key: &Opens) -> bool {
        *self == key.wrapping()
    }
}

type Kept<K> = quick_cache::sync::Cache<K, Arc<Materials>>;
type Answer = Result<Arc<Materials>, EnvelopeError>;

/// The data keys of one envelope: one source, one algorithm.
pub(super) struct Cache {
    pub(super) source: Arc<dyn DataKeys>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// The current data key for each context, in its canonical form.
    sealing: Kept<Box<[u8]>>,
    opening: Kept<Opens>,
    flights: Flights<Wanted, Answer>,
    revocations: AtomicU64,
    counters: Counters,
}

/// On cache lines of their own, so that counting does not hold up who only reads what lies beside.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    generated: AtomicU64,
    unwrapped: AtomicU64,
}

/// What became of the data keys of an envelope so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How often a data key was there already.
    pub hits: u64,
    /// How often it was not, whoever then fetched it.
    pub misses: u64,
    /// Data keys that the source was asked to make.
    pub generated: u64,
    /// Data keys that the source was asked to unwrap.
    pub unwrapped: u64,
    /// Data keys that are kept now; one that both seals and opens counts twice.
    pub kept: usize,
}

impl Cache {
    pub(super) fn new(source: Arc<dyn DataKeys>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let sealing = kept(limits.max_entries);
        let opening = kept(limits.max_entries);
        Self {
            source,
            clock,
            limits,
            sealing,
            opening,
            flights: Flights::default(),
            revocations: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// A data key to seal `length` bytes with.
    pub(super) async fn to_seal(self: &Arc<Self>, context: &EncryptionContext, length: u64) -> Answer {
        let place = context.canonical();
        let mut found = self.sealing.get(place);
        loop {
            if let Some(materials) = &found {
                if self.is_current(materials, true)? && self.take(materials, length) {
                    count(&self.counters.hits);
                    return Ok(Arc::clone(materials));
                }
                self.sealing.remove_if(place, |kept| Arc::ptr_eq(kept, materials));
            }
            let wanted = Wanted::ToSeal(place.into());
            let start = || {
                let (cache, context) = (Arc::clone(self), context.clone());
                guarded(async move { cache.generate(&context).await })
            };
            // Looked at once more where no other can land in between.
            match self.flights.join(wanted, || self.sealing.peek(place), start) {
                Ok(landed) => found = Some(landed),
                Err(flight) => {
                    count(&self.counters.misses);
                    let materials = flight.await?;
                    if self.take(&materials, length) {
                        return Ok(materials);
                    }
                    // Those who waited too have used it up: a data key for this message alone beats waiting in line.
                    let (cache, context) = (Arc::clone(self), context.clone());
                    return guarded(async move { cache.make(&context).await }).await;
                }
            }
        }
    }

    /// The data key that was wrapped like this.
    pub(super) async fn to_open(self: &Arc<Self>, context: &EncryptionContext, wrapped: &[u8]) -> Answer {
        let key = self.source.wrapped_by(wrapped).map_err(refused)?;
        let place = Wrapping { context: context.canonical(), wrapped };
        let mut found = self.opening.get(&place);
        loop {
            if let Some(materials) = &found {
                if self.is_current(materials, false)? {
                    count(&self.counters.hits);
                    return Ok(Arc::clone(materials));
                }
                self.opening.remove_if(&place, |kept| Arc::ptr_eq(kept, materials));
            }
            let start = || {
                let (cache, context, wrapped) = (Arc::clone(self), context.clone(), wrapped.to_vec());
                let key = key.clone();
                guarded(async move { cache.unwrap(key, &context, wrapped).await })
            };
            let wanted = Wanted::ToOpen { context: place.context.into(), wrapped: wrapped.into() };
            match self.flights.join(wanted, || self.opening.peek(&place), start) {
                Ok(landed) => found = Some(landed),
                Err(flight) => {
                    count(&self.counters.misses);
                    return flight.await;
                }
            }
        }
    }

    /// Forgets every data key. What is being fetched is not kept either.
    pub(super) fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.sealing.clear();
        self.opening.clear();
    }

    /// Wipes what may not be used any more.
    pub(super) fn prune(&self) {
        self.sealing.retain(|_, materials| self.is_fresh(materials).is_some());
        self.opening.retain(|_, materials| self.is_fresh(materials).is_some());
    }

    pub(super) fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            hits: read(&self.counters.hits),
            misses: read(&self.counters.misses),
            generated: read(&self.counters.generated),
            unwrapped: read(&self.counters.unwrapped),
            kept: self.sealing.len() + self.opening.len(),
        }
    }

    fn take(&self, materials: &Materials, length: u64) -> bool {
        materials.take(length, self.limits.max_messages, self.limits.max_bytes)
    }

    /// Whether the data key may be used still.
    fn is_current(&self, materials: &Materials, to_seal: bool) -> Result<bool, EnvelopeError> {
        match self.is_fresh(materials) {
            Some(Connected(false)) if to_seal && !self.limits.encrypt_while_disconnected => {
                Err(Error::NOT_CONNECTED.into())
            }
            fresh => Ok(fresh.is_some()),
        }
    }

    /// Whether the KMS key can be reached, unless the data key has had its day.
    fn is_fresh(&self, materials: &Materials) -> Option<Connected> {
        let Origin { key, generation, revocations, born } = &materials.origin;
        let standing = self.source.standing(key);
        let fresh = *generation == standing.generation
            && *revocations == self.revocations.load(Ordering::Acquire)
            && self.clock.monotonic().saturating_duration_since(*born) < self.limits.max_age;
        fresh.then_some(Connected(standing.connected))
    }

    /// A new data key that is kept for others too.
    async fn generate(&self, context: &EncryptionContext) -> Answer {
        let materials = self.make(context).await?;
        if self.may_keep(&materials) {
            self.sealing.insert(context.canonical().into(), Arc::clone(&materials));
            // What was just written is often read soon.
            self.opening.insert(Opens(Arc::clone(&materials)), Arc::clone(&materials));
            self.forget_if_revoked(&materials);
        }
        Ok(materials)
    }

    async fn make(&self, context: &EncryptionContext) -> Answer {
        // Before the source is asked: what changes meanwhile makes it outdated.
        let origin = self.origin(self.source.key().clone());
        count(&self.counters.generated);
        let FreshKey { plaintext, wrapped } = self.source.generate(context).await.map_err(refused)?;
        materials(&plaintext, wrapped, context, origin)
    }

    async fn unwrap(&self, key: KeyArn, context: &EncryptionContext, wrapped: Vec<u8>) -> Answer {
        let origin = self.origin(key);
        count(&self.counters.unwrapped);
        let plaintext = self.source.unwrap(&wrapped, context).await.map_err(refused)?;
        let materials = materials(&plaintext, wrapped, context, origin)?;
        if self.may_keep(&materials) {
            self.opening.insert(Opens(Arc::clone(&materials)), Arc::clone(&materials));
            self.forget_if_revoked(&materials);
        }
        Ok(materials)
    }

    fn origin(&self, key: KeyArn) -> Origin {
        let generation = self.source.standing(&key).generation;
        let revocations = self.revocations.load(Ordering::SeqCst);
        Origin { key, generation, revocations, born: self.clock.monotonic() }
    }

    fn may_keep(&self, materials: &Materials) -> bool {
        self.limits.max_entries > 0
            && !self.source.is_changing(&materials.origin.key)
            && self.is_fresh(materials).is_some()
    }

    /// Takes back what a revocation has just missed. Nobody would use it, but it would lie there.
    fn forget_if_revoked(&self, materials: &Materials) {
        if self.revocations.load(Ordering::SeqCst) != materials.origin.revocations {
            self.prune();
        }
    }
}

/// Whether a KMS key can be reached.
struct Connected(bool);

fn kept<K: Eq + Hash>(entries: usize) -> Kept<K> {
    quick_cache::sync::Cache::new(entries)
}

fn materials(
    plaintext: &SecretBytes,
    wrapped: Vec<u8>,
    context: &EncryptionContext,
    origin: Origin,
) -> Answer {
    let made = Materials::new(plaintext, wrapped, context, origin);
    made.map(Arc::new).ok_or_else(|| {
        let error = BackendError::new(BackendErrorKind::InvalidResponse);
        Error::from(error.with_detail("a data key, or a wrapped one, of a length that none has")).into()
    })
}

/// What a source answers: whatever is wrong in cryptography is one kind.
fn refused(error: Error) -> EnvelopeError {
    match error.kind() {
        crate::ErrorKind::InvalidCiphertext => EnvelopeError::Invalid,
        _ => EnvelopeError::Source(error),
    }
}

/// A piece of a source's work whose panic is its answer; what it said is not repeated, since it may hold a secret.
fn guarded(work: impl Future<Output = Answer> + Send + 'static) -> BoxFuture<'static, Answer> {
    let panicked = || Err(Error::from(BackendError::new(BackendErrorKind::Panicked)).into());
    caught(work).map(move |answer| answer.unwrap_or_else(|Panicked| panicked())).boxed()
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("source", &self.source)
            .field("limits", &self.limits)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
