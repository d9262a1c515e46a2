//! The health check: deep, cached for a while, never latching, never stale.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared as Joint, WeakShared, try_join};

use super::answer::Failure;
use super::service::Shared;
use super::tenant::{Inner, Link};
use super::upstream;
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, DecryptRequest, EncryptRequest, Health, HealthRequest,
    HealthStatus, RequestMetadata,
};
use crate::clock::Clock;
use crate::json::EncodedBody;
use crate::secret::SecretBytes;
use crate::xks::ProxyOperation;
use crate::xks::wire::{ParsedMetadata, health_body};

/// What is encrypted and decrypted to see whether that works.
const PROBE: &[u8] = b"is anybody there";

/// The check of one tenant.
///
/// A good result is given again until it is too old, counted from when its check began. A bad one is given only to
/// those who waited for it: the next request finds out for itself, so nothing sticks. There is one check at a time,
/// however many ask.
pub(super) struct HealthCheck {
    key: Option<BackingKeyId>,
    age: Duration,
    last: ArcSwapOption<Good>,
    /// The check under way. Weak: when all who wait for it go away, so does it.
    flight: Mutex<Option<Flight>>,
}

struct Good {
    began: Instant,
    link: LinkId,
    health: Health,
}

/// Which connection it was, without keeping one that was exchanged alive.
struct LinkId(Weak<Link>);

impl LinkId {
    fn of(link: &Arc<Link>) -> Self {
        Self(Arc::downgrade(link))
    }

    /// No other can be at the same place, as long as there is a `Weak` of it.
    fn is(&self, link: &Arc<Link>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(link))
    }
}

type Outcome = Result<Arc<Good>, BackendError>;

struct Flight {
    link: LinkId,
    check: WeakShared<BoxFuture<'static, Outcome>>,
}

impl HealthCheck {
    pub(super) const fn new(key: Option<BackingKeyId>, age: Duration) -> Self {
        Self { key, age, last: ArcSwapOption::const_empty(), flight: Mutex::new(None) }
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        shared: &Shared,
        tenant: &Inner,
        metadata: &ParsedMetadata<'_>,
    ) -> Result<EncodedBody, Failure> {
        let failed = |error| Failure::upstream(&error, ProxyOperation::GetHealthStatus);
        let link = tenant.connection.load_full();
        let good = match self.kept(&link, shared.clock.monotonic()) {
            Some(good) => good,
            None => self.check(shared, link, metadata).await.map_err(failed)?,
        };
        health_body(&good.health, &shared.description).map_err(failed)
    }

    /// The last good result, if it is young enough and of this connection.
    fn kept(&self, link: &Arc<Link>, now: Instant) -> Option<Arc<Good>> {
        let good = self.last.load_full()?;
        let young = now.saturating_duration_since(good.began) < self.age;
        (young && good.link.is(link)).then_some(good)
    }

    /// Joins the check that is under way, or begins one.
    async fn check(&self, shared: &Shared, link: Arc<Link>, metadata: &ParsedMetadata<'_>) -> Outcome {
        let check = {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            // One that has just ended may have left its result.
            if let Some(good) = self.kept(&link, shared.clock.monotonic()) {
                return Ok(good);
            }
            let under_way = flight.as_ref().filter(|flight| flight.link.is(&link));
            // A check that has failed is over, even if somebody still has to pick its result up.
            let under_way =
                under_way.and_then(|flight| flight.check.upgrade()).filter(|check| check.peek().is_none());
            if let Some(check) = under_way {
                check
            } else {
                let id = LinkId::of(&link);
                let check = self.begin(shared, link, metadata);
                let weak = check.downgrade();
                *flight = weak.map(|check| Flight { link: id, check });
                check
            }
        };
        let outcome = check.await;
        // That nobody serves is found out anew each time, like every other bad result.
        if let Ok(good) = &outcome
            && good.health.status() != HealthStatus::Unavailable
        {
            self.keep(good);
        }
        outcome
    }

    fn begin(
        &self,
        shared: &Shared,
        link: Arc<Link>,
        metadata: &ParsedMetadata<'_>,
    ) -> Joint<BoxFuture<'static, Outcome>> {
        let clock = Arc::clone(&shared.clock);
        let (key, deadline) = (self.key.clone(), shared.deadline);
        let operation = metadata.operation.clone();
        let request_id = metadata.request_id.clone();
        async move {
            let metadata = RequestMetadata::new("custom-key-store health check", &operation, &request_id);
            let began = clock.monotonic();
            let health = probe(&*clock, deadline, &link, key.as_ref(), metadata).await?;
            Ok(Arc::new(Good { began, link: LinkId::of(&link), health }))
        }
        .boxed()
        .shared()
    }

    /// Several may hold the same result, and one may be late with an older one.
    fn keep(&self, good: &Arc<Good>) {
        self.last.rcu(|last| match last {
            Some(last) if last.began > good.began => Some(Arc::clone(last)),
            _ => Some(Arc::clone(good)),
        });
    }
}

/// Asks the connection how it is and, at the same time, encrypts and decrypts (XKS-P-93 to XKS-P-96).
async fn probe(
    clock: &dyn Clock,
    deadline: Duration,
    link: &Link,
    key: Option<&BackingKeyId>,
    metadata: RequestMetadata<'_>,
) -> Result<Health, BackendError> {
    let connection = &*link.0;
    let work = async {
        let round_trip = async {
            let Some(key) = key else { return Ok(()) };
            let encrypt = EncryptRequest::new(metadata, key, PROBE).unverified();
            let ciphertext = connection.encrypt(&encrypt).await?;
            let decrypt = DecryptRequest::new(metadata, key, &ciphertext);
            let plaintext = connection.decrypt(&decrypt).await?.plaintext;
            if plaintext == SecretBytes::from(PROBE) {
                Ok(())
            } else {
                Err(BackendErrorKind::IntegrityCheckFailed.into())
            }
        };
        let request = HealthRequest::new(metadata);
        let (health, ()) = try_join(connection.health(&request), round_trip).await?;
        Ok(health)
    };
    upstream::ask(clock, deadline, work).await
}
