//! The connections that nobody uses at the moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lane::Lane;

/// Keeps idle lanes, the one used last on top.
///
/// Lanes are dropped outside the lock, since closing a socket is a system call.
pub(super) struct Pool {
    /// `None` once the pool is closed.
    idle: Mutex<Option<Vec<Lane>>>,
    pub(super) limits: PoolLimits,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Duration,
}

/// The pool was closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolClosed;

impl Pool {
    pub(super) const fn new(limits: PoolLimits) -> Self {
        Self { idle: Mutex::new(Some(Vec::new())), limits }
    }

    /// The lane that was used last, unless it has been idle for too long; then all are, and go.
    pub(super) fn take(&self, now: Instant) -> Result<Option<Lane>, PoolClosed> {
        let mut idle = self.lock();
        let lanes = idle.as_mut().ok_or(PoolClosed)?;
        match lanes.pop() {
            Some(lane) if self.is_too_old(&lane, now) => {
                let old = std::mem::take(lanes);
                drop(idle);
                drop((lane, old));
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Drops the lanes that nothing was heard from after `silent_since`, when a request was sent that nobody answered.
    ///
    /// A peer may become a black hole: it was switched off, or a firewall or load balancer between has forgotten its
    /// connections. Nothing then tells a dead lane from an idle one, and each would cost a call its whole deadline. A
    /// reused lane on which not one byte came within a deadline makes those suspect that are as old. It is no proof,
    /// for the peer may only be slow: so a lane that was heard since stays. What a mistake costs are lanes that nobody
    /// had needed for a whole deadline; nothing is opened in their place before a call needs it.
    pub(super) fn distrust(&self, silent_since: Instant) {
        let mut idle = self.lock();
        let suspects: Vec<Lane> = match idle.as_mut() {
            Some(lanes) => lanes.extract_if(.., |lane| lane.idle_since <= silent_since).collect(),
            None => Vec::new(),
        };
        drop(idle);
        drop(suspects);
    }

    /// Keeps the first lane, for a request that follows at once and whatever the limits.
    pub(super) fn begin_with(&self, lane: Lane) {
        if let Some(lanes) = self.lock().as_mut() {
            lanes.push(lane);
        }
    }

    /// Keeps a lane that is ready for another request, if there is room; the oldest go when their time is over.
    pub(super) fn give(&self, mut lane: Lane, now: Instant) {
        lane.idle_since = now;
        let mut idle = self.lock();
        let Some(lanes) = idle.as_mut() else {
            drop(idle);
            return drop(lane);
        };
        let old = lanes.iter().take_while(|lane| self.is_too_old(lane, now)).count();
        let old: Vec<Lane> = lanes.drain(..old).collect();
        let refused = if lanes.len() < self.limits.max_idle {
            lanes.push(lane);
            None
        } else {
            Some(lane)
        };
        drop(idle);
        drop((old, refused));
    }

    /// Drops what is idle, now, and keeps nothing any more.
    pub(super) fn close(&self) {
        let lanes = self.lock().take();
        drop(lanes);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    fn is_too_old(&self, lane: &Lane, now: Instant) -> bool {
        !lane.is_new() && now.saturating_duration_since(lane.idle_since) >= self.limits.idle_timeout
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Lane>>> {
        // Nothing here can panic half-way.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
