//! What became of a request that nobody answered properly.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::runtime::TryCurrentError;

use super::connector::NO_RUNTIME;
use crate::backend::{BackendError, BackendErrorKind};

/// A request failed below the protocol.
#[derive(Debug)]
pub(super) struct Failure {
    error: BackendError,
    /// Whether the connection broke with no byte of an answer read: the only case in which trying once more may help
    /// at once. (That it is harmless follows from the four operations, which can all be repeated.)
    broken_unheard: bool,
}

/// The address that was tried.
#[derive(Debug, thiserror::Error)]
#[error("from here to {address}")]
struct Unconnected {
    address: SocketAddr,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is no public address")]
struct NotPublic(IpAddr);

impl Failure {
    const fn new(error: BackendError) -> Self {
        Self { error, broken_unheard: false }
    }

    pub(super) const fn may_be_sent_again(&self) -> bool {
        self.broken_unheard
    }

    pub(super) fn into_error(self) -> BackendError {
        self.error
    }

    /// Nothing can be sent from here. Neither the network's fault nor the other side's, and no matter of trying again.
    pub(super) fn no_runtime(error: TryCurrentError) -> Self {
        let kind = BackendErrorKind::InvalidRequest;
        Self::new(BackendError::new(kind).with_detail(NO_RUNTIME).with_source(error))
    }

    /// The host's name has no address, or nobody could be asked for it.
    pub(super) fn unresolved(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let kind = BackendErrorKind::Unreachable;
        Self::new(BackendError::new(kind).with_detail("the host name has no address").with_source(error))
    }

    /// The host's name has an address to which no connection may be made.
    pub(super) fn not_public(address: IpAddr) -> Self {
        // Which one is in the source alone: whoever named the host should not learn what it leads to in here.
        let detail = "the host name leads to an address that is not public, and to such none is connected";
        let kind = BackendErrorKind::Unreachable;
        Self::new(BackendError::new(kind).with_detail(detail).with_source(NotPublic(address)))
    }

    /// No TCP connection (XKS-C-66). To which address is in the source alone, as above.
    pub(super) fn unconnected(address: SocketAddr, source: io::Error) -> Self {
        let (kind, beneath) = (BackendErrorKind::Unreachable, Unconnected { address, source });
        Self::new(BackendError::new(kind).with_detail("no TCP connection could be made").with_source(beneath))
    }

    /// A TCP connection, but no TLS session on it (XKS-C-66).
    ///
    /// A peer that hangs up in an orderly way is one that did not like the offer, as some do that speak older
    /// versions only; a reset is the network's or a load balancer's.
    pub(super) fn no_tls_session(error: io::Error) -> Self {
        if is_tls(&error) || error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::new(BackendError::new(BackendErrorKind::InvalidTls).with_source(error));
        }
        let detail = "the connection broke during the TLS handshake";
        Self::new(BackendError::new(BackendErrorKind::Unreachable).with_detail(detail).with_source(error))
    }

    /// There is no answer's head. `heard` is whether a byte came since the request was sent.
    pub(super) fn no_answer(error: hyper::Error, heard: bool) -> Self {
        if is_tls(&error) {
            // With TLS 1.3 a server refuses a client's certificate only after the handshake.
            return Self::new(BackendError::new(BackendErrorKind::InvalidTls).with_source(error));
        }
        if error.is_parse() || (heard && !is_broken(&error)) {
            return Self::invalid("the answer is not HTTP/1.1, or its head is too long").with_source(error);
        }
        let detail = "the connection broke before the answer";
        let error = BackendError::new(BackendErrorKind::Unreachable).with_detail(detail).with_source(error);
        Self { error, broken_unheard: !heard }
    }

    /// The answer's body ends too early or makes no sense.
    pub(super) fn half_an_answer(error: hyper::Error) -> Self {
        if is_tls(&error) {
            return Self::new(BackendError::new(BackendErrorKind::InvalidTls).with_source(error));
        }
        if is_broken(&error) {
            let detail = "the connection broke in the middle of the answer";
            let kind = BackendErrorKind::Unreachable;
            return Self::new(BackendError::new(kind).with_detail(detail).with_source(error));
        }
        Self::invalid("the answer's body ends too early or is malformed").with_source(error)
    }

    /// The answer breaks the protocol.
    pub(super) fn invalid(detail: &'static str) -> Self {
        Self::new(BackendError::new(BackendErrorKind::InvalidResponse).with_detail(detail))
    }

    /// A fault of our own side.
    pub(super) fn internal(detail: &'static str) -> Self {
        Self::new(BackendError::new(BackendErrorKind::Internal).with_detail(detail))
    }

    fn with_source(self, source: hyper::Error) -> Self {
        let Self { error, broken_unheard } = self;
        Self { error: error.with_source(source), broken_unheard }
    }
}

/// Whether TLS is at the bottom of it.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

/// Whether the network is at the bottom of it: then the operating system said so, and not a parser.
fn is_broken(error: &(dyn StdError + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.raw_os_error().is_some())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        // The source of an I/O error is not what it holds, but the source of what it holds.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}
