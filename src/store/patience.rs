//! Connecting again and again, after a restart, as long as that makes sense.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::attempt::{Attempt, Contact};
use super::guard::{Shielded, discard};
use crate::backend::{ConnectReason, ConnectionError};
use crate::clock::Clock;
use crate::panics::caught;
use crate::primitive::random;

/// How a store that was connected when its process ended is connected again: with growing pauses, until it is connected
/// or the cause is one that does not [pass by itself](crate::backend::ConnectionErrorCode::is_transient).
#[derive(Clone)]
pub(crate) struct Patience {
    /// The pause after the first attempt; each is twice as long as the one before.
    pub(crate) first: Duration,
    /// No pause is longer.
    pub(crate) longest: Duration,
    /// Is told of each attempt that failed and is followed by another.
    pub(crate) told: Option<Observer>,
}

/// Hears why an attempt failed. Called wherever the store is polled: it must not block.
pub(crate) type Observer = Arc<dyn Fn(&ConnectionError) + Send + Sync>;

/// One second, doubled up to a minute; nobody is told.
impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), told: None }
    }
}

impl Patience {
    /// The pauses one after the other. Each is cut by up to a half, at random, so that many stores that lost the same
    /// key manager do not all come back at once.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        let longest = self.longest;
        let doubled = std::iter::successors(Some(self.first.min(longest)), move |pause| {
            Some(pause.saturating_mul(2).min(longest))
        });
        doubled.map(|pause| {
            let (half, [of_255]) = (pause / 2, random());
            half + half / 255 * u32::from(of_255)
        })
    }

    /// Connects, and again. Dropping the future ends it, wherever it is.
    pub(super) fn attempt(self, contact: Contact, reason: ConnectReason) -> Attempt {
        let attempts = async move {
            let mut pauses = self.pauses();
            loop {
                let error = match contact.attempt(reason).await {
                    Err(error) if error.code().is_transient() => error,
                    outcome => return outcome,
                };
                if let Some(told) = &self.told {
                    told(&error);
                }
                let pause = pauses.next().unwrap_or(self.longest);
                if !slept(&*contact.clock, pause).await {
                    return Err(error);
                }
                // Its source is foreign, and so is its destructor.
                discard(error);
            }
        };
        Shielded::new(attempts.boxed())
    }
}

/// Whether the time has passed. Of a clock that panics it is not known.
async fn slept(clock: &dyn Clock, pause: Duration) -> bool {
    caught(async { clock.sleep(pause).await }).await.is_ok()
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience")
            .field("first", &self.first)
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
