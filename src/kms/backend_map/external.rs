//! External key stores, each behind the proxy that its configuration names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::backend::{Backend, XksProxyConfiguration, XksProxyCredential};
use crate::kms::Refusal;
use crate::xks::{XksProxy, XksProxyBuilder};

/// How the proxies of external key stores are reached.
///
/// Callers name the endpoints: so only public addresses of the Internet are dialled, but for hosts that are
/// [mapped](Self::connect_to) to an address.
///
/// ```
/// use custom_key_store::kms::{BackendMap, ExternalProxies};
/// use custom_key_store::xks::{Region, XksProxy};
///
/// let proxies = ExternalProxies::new(XksProxy::builder().region(Region::new("eu-central-1")?))
///     .connect_to("proxy.example.com", "127.0.0.1:8443".parse()?);
/// let backends = BackendMap::new().external(proxies);
/// # let _ = backends;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ExternalProxies {
    settings: XksProxyBuilder,
    addresses: HashMap<String, SocketAddr>,
}

impl ExternalProxies {
    /// With these settings, such as Region, trust roots, client certificate and deadlines. Endpoint, path, credential and
    /// endpoint service are those of each store.
    pub fn new(settings: XksProxyBuilder) -> Self {
        Self { settings, addresses: HashMap::new() }
    }

    /// Connects to this address where a store names this host. What is signed, what TLS asks for and what the certificate must
    /// say stays the host.
    pub fn connect_to(mut self, host: impl AsRef<str>, address: SocketAddr) -> Self {
        self.addresses.insert(host.as_ref().to_ascii_lowercase(), address);
        self
    }

    pub(super) fn backend(
        &self,
        proxy: &XksProxyConfiguration,
        credential: &XksProxyCredential,
    ) -> Result<Arc<dyn Backend>, Refusal> {
        let mut settings = self
            .settings
            .clone()
            .endpoint(proxy.uri_endpoint.clone())
            .path(proxy.uri_path.clone())
            .credential(credential.clone());
        if let Some(service) = &proxy.vpc_endpoint_service_name {
            settings =
                settings.vpc_endpoint_service(service.clone(), proxy.vpc_endpoint_service_owner.clone());
        }
        settings = match self.addresses.get(&proxy.uri_endpoint.host().to_ascii_lowercase()) {
            Some(address) => settings.dial(*address),
            None => settings.public_addresses_only(),
        };
        let made: XksProxy = settings.build().map_err(|error| {
            // The application's doing: what is a store's is there and legal.
            Refusal::Unsupported(format!(
                "the proxies of external key stores are not set up rightly: {error}"
            ))
        })?;
        Ok(Arc::new(made))
    }
}
