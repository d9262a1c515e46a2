//! The proxy as a service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{ProxyBuilder, SetupError, Tenant, pipeline};
use crate::backend::{ProxyDescription, UriPath};
use crate::clock::Clock;
use crate::serve::body::Bodies;
use crate::serve::limit::PeerLimit;
use crate::xks::wire::SizeLimits;

/// An external key store proxy, as a `tower` service. Clones are cheap and share everything.
///
/// [`serve`](super::serve()) puts it behind a listener. To mount it in a server of one's own, hand it whole
/// requests, for instance as `axum`'s `fallback_service`: the path must arrive as it was sent, since it is signed,
/// so nothing that strips a prefix may stand before it, nor anything that changes the body. Insert a [`Peer`](super::Peer) into
/// the request's extensions if there is a limit for each.
///
/// # Cancellation
///
/// Dropping the future of a call drops the call of the connection behind it; a health check that others wait for
/// goes on for them.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

pub(super) struct Shared {
    pub(super) tenants: ArcSwap<HashMap<String, Tenant>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Duration,
    pub(super) bodies: Bodies,
    pub(super) sizes: SizeLimits,
    pub(super) peers: Option<PeerLimit>,
    pub(super) ping_path: String,
    pub(super) description: ProxyDescription,
}

impl Proxy {
    /// Begins a proxy.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    pub(super) fn assemble(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Serves another tenant from now on.
    ///
    /// # Errors
    ///
    /// [`SetupError::PathTaken`] when there is one at its path.
    pub fn add_tenant(&self, tenant: &Tenant) -> Result<(), SetupError> {
        let path = tenant.path().as_str();
        // The closure may run again, so it decides by what it is given.
        let before = self.0.tenants.rcu(|tenants| {
            let mut tenants = HashMap::clone(tenants);
            tenants.entry(path.to_owned()).or_insert_with(|| tenant.clone());
            tenants
        });
        if before.contains_key(path) {
            return Err(SetupError::PathTaken(tenant.path().clone()));
        }
        Ok(())
    }

    /// Serves the tenant at this path no longer; requests under way finish. `false` when there is none.
    pub fn remove_tenant(&self, path: &UriPath) -> bool {
        let before = self.0.tenants.rcu(|tenants| {
            let mut tenants = HashMap::clone(tenants);
            tenants.remove(path.as_str());
            tenants
        });
        before.contains_key(path.as_str())
    }
}

impl<B> Service<Request<B>> for Proxy
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

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("tenants", &self.0.tenants.load().values().collect::<Vec<_>>())
            .field("deadline", &self.0.deadline)
            .finish_non_exhaustive()
    }
}
