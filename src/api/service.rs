//! The endpoint as a service.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::callers::CallerResolver;
use super::hosts::Hosts;
use super::{KmsApiBuilder, pipeline};
use crate::clock::Clock;
use crate::kms::Kms;
use crate::serve::body::Bodies;
use crate::serve::limit::PeerLimit;
use crate::sigv4::Verifier;

/// AWS KMS's protocol over a [`Kms`], as a `tower` service. Clones are cheap and share everything.
///
/// [`serve`](super::serve()) puts it behind a listener. To mount it in a server of one's own, hand it whole requests, for
/// instance as `axum`'s `fallback_service`: path, query and body must arrive as they were sent, since they are signed. Insert a
/// [`Peer`](super::Peer) into the request's extensions for the limit of each peer, and for the address in the audit trail.
///
/// # Cancellation
///
/// Dropping the future of a call drops what is asked of a key manager, and nothing else: what manages stores and keys goes
/// on, as [`Kms`] says of each method.
#[derive(Clone)]
pub struct KmsApi(Arc<Shared>);

pub(super) struct Shared {
    pub(super) kms: Kms,
    pub(super) callers: Arc<dyn CallerResolver>,
    pub(super) resolver_timeout: Duration,
    pub(super) verifier: Verifier,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bodies: Bodies,
    pub(super) peers: Option<PeerLimit>,
    pub(super) ping_path: String,
    pub(super) hosts: Hosts,
}

impl KmsApi {
    /// Begins an endpoint over these stores, for these callers.
    pub fn builder(kms: Kms, callers: impl CallerResolver) -> KmsApiBuilder {
        KmsApiBuilder::new(kms, Arc::new(callers))
    }

    pub(super) fn assemble(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl<B> Service<Request<B>> for KmsApi
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        async move { Ok(pipeline::answer(&shared, request).await) }.boxed()
    }
}

impl fmt::Debug for KmsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsApi")
            .field("kms", &self.0.kms)
            .field("callers", &self.0.callers)
            .finish_non_exhaustive()
    }
}
