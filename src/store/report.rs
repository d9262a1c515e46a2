//! What became of everything when a store was disconnected.

use std::fmt;
use std::time::Duration;

use crate::backend::{BackendError, Closed};
use crate::catalog::CatalogError;

/// The outcome of a disconnect.
///
/// Of the calls that were in flight when `disconnect()` was called, each is counted once: it completed, its
/// caller dropped it, or it was abandoned. (Calls on a connection that a live update has replaced and that was
/// not closed yet are counted from the update on.) When the report exists, no result is delivered any more and
/// no future of the backend is polled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DisconnectReport {
    /// Calls that were given their answer, good or bad.
    pub completed: u64,
    /// Calls whose callers dropped them while they were being waited for.
    pub dropped: u64,
    /// Calls that took longer than the drain limit and were answered `NotConnected`. Whether they took effect
    /// in the key manager is unknown.
    pub abandoned: u64,
    /// Of the abandoned calls, those that the key manager, or a C library, goes on executing. Their results
    /// are thrown away.
    pub still_running: u64,
    /// How the key manager took the goodbye. Whatever it says, the connection is gone.
    pub goodbye: Goodbye,
    /// How long it took, from its first poll.
    pub duration: Duration,
    /// Why it could not be written down, if it could not: after a restart the store would connect again. It is
    /// disconnected all the same; [`record`](crate::KeyStore::record) tries again.
    pub unrecorded: Option<CatalogError>,
}

/// Nothing was in flight, and nobody had to be told.
impl Default for DisconnectReport {
    fn default() -> Self {
        Self::of_goodbye(Goodbye::Said(Closed::new()), Duration::ZERO)
    }
}

impl DisconnectReport {
    /// Nothing was in flight.
    pub(super) const fn of_goodbye(goodbye: Goodbye, duration: Duration) -> Self {
        let still_running = goodbye.still_running();
        Self { completed: 0, dropped: 0, abandoned: 0, still_running, goodbye, duration, unrecorded: None }
    }
}

impl fmt::Display for DisconnectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "of the calls in flight {} completed, {} were dropped by their callers, {} abandoned ({} still running); {} after \
             {:?}",
            self.completed, self.dropped, self.abandoned, self.still_running, self.goodbye, self.duration
        )
    }
}

/// How the goodbye went: the orderly end of a connection, [`Connection::close`](crate::backend::Connection::close).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Goodbye {
    /// The connection was closed in good order, or there was none.
    Said(Closed),
    /// The key manager, or the network, failed while it was being closed.
    Failed(BackendError),
    /// It took longer than the close timeout and was cut off.
    TimedOut,
}

impl Goodbye {
    pub(super) const fn still_running(&self) -> u64 {
        match self {
            Self::Said(closed) => closed.still_running,
            Self::Failed(_) | Self::TimedOut => 0,
        }
    }

    /// The one to report of several: a failure, if there is one.
    pub(super) fn worst(goodbyes: Vec<Self>) -> Self {
        let (good, bad): (Vec<_>, Vec<_>) =
            goodbyes.into_iter().partition(|goodbye| matches!(goodbye, Self::Said(_)));
        bad.into_iter().chain(good).next().unwrap_or(Self::Said(Closed::new()))
    }
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(_) => f.write_str("closed"),
            Self::Failed(error) => write!(f, "closed with an error ({error})"),
            Self::TimedOut => f.write_str("cut off"),
        }
    }
}
