//! Waiting for a transition, and a transition that failed.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::KeyStore;
use super::failed::Failed;
use super::state::Transient;
use crate::backend::{Advice, ConnectionError, ConnectionErrorCode};

/// A transition that ended in another state than it was meant to; holds the store in that state.
///
/// Returned by awaiting a [`KeyStore<Connecting>`](crate::Connecting), as `TransitionError<Failed>`. No store is
/// ever lost by it: take it back with [`into_store`](Self::into_store).
///
/// ```
/// # use custom_key_store::{KeyStore, StoreName, TransitionError};
/// # use custom_key_store::backend::ConnectionErrorCode;
/// # use custom_key_store::clock::{Clock, SystemClock};
/// # use std::time::Duration;
/// # use custom_key_store::backend::software::{Fault, KeyManager, Method};
/// # futures::executor::block_on(async {
/// # let manager = KeyManager::new();
/// # manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::NetworkErrors));
/// let mut store = KeyStore::ephemeral(StoreName::new("root")?, manager);
/// let mut pauses = [10, 100, 1000].map(Duration::from_millis).into_iter();
/// let connected = loop {
///     match (store.connect().await, pauses.next()) {
///         (Ok(connected), _) => break connected,
///         (Err(error), Some(pause)) if error.code().is_transient() => {
///             store = error.into_store().disconnect().await;
///             SystemClock.sleep(pause).await;
///         }
///         (Err(error), _) => return Err(error.into()),
///     }
/// };
/// # drop(connected);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct TransitionError<S: super::State> {
    store: KeyStore<S>,
}

impl<S: super::State> TransitionError<S> {
    pub(super) const fn new(store: KeyStore<S>) -> Self {
        Self { store }
    }

    /// The store, in the state that it is in now.
    #[must_use]
    pub const fn store(&self) -> &KeyStore<S> {
        &self.store
    }

    /// The store, in the state that it is in now.
    pub fn into_store(self) -> KeyStore<S> {
        self.store
    }
}

impl TransitionError<Failed> {
    /// Why the attempt to connect failed.
    #[must_use]
    pub const fn connection_error(&self) -> &ConnectionError {
        self.store.connection_error()
    }

    /// Why the attempt to connect failed, in AWS's word for it.
    #[must_use]
    pub const fn code(&self) -> ConnectionErrorCode {
        self.store.error_code()
    }

    /// What to do about it, and who can.
    #[must_use]
    pub fn advice(&self) -> Advice {
        self.store.advice()
    }
}

impl<S: super::State> fmt::Debug for TransitionError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransitionError").field("store", &self.store).finish()
    }
}

impl fmt::Display for TransitionError<Failed> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the custom key store {:?} did not connect and is now FAILED ({})",
            self.store.name().as_str(),
            self.code()
        )
    }
}

impl StdError for TransitionError<Failed> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.connection_error())
    }
}

/// The future of a store in a transient state: owns the store and resolves to it in its next state.
///
/// Made by awaiting the store. Dropping it drops the store, which ends the attempt or cuts the disconnect short; one that
/// was not polled is not written down.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Settle<S: Transient>(Option<KeyStore<S>>);

impl<S: Transient> Settle<S> {
    pub(super) const fn new(store: KeyStore<S>) -> Self {
        Self(Some(store))
    }
}

/// Nothing in it is pinned: a store holds its futures boxed.
impl<S: Transient> Unpin for Settle<S> {}

impl<S: Transient> Future for Settle<S> {
    type Output = S::Outcome;

    /// # Panics
    ///
    /// When it is polled again after it has resolved, like every future of an `async fn`.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Outcome> {
        if let Some(store) = &mut self.0 {
            ready!(store.state.poll_settled(cx));
        }
        #[expect(clippy::expect_used, reason = "a broken promise of the caller, as with any future")]
        let store = self.0.take().expect("`Settle` polled after it resolved");
        Poll::Ready(S::outcome(store))
    }
}
