//! The proxy's side of the protocol: offers the keys of any [`Connection`] to a KMS.
//!
//! A [`Proxy`] is a [`Service`] from an HTTP request to its answer. [`serve`] puts it behind a TCP listener, with
//! TLS, limits and a graceful end; or mount it in a server of one's own. Behind each path stands a [`Tenant`] with
//! its own connection, credentials, keys, quota and kill switch, all of which can be changed while requests are
//! in flight.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use custom_key_store::backend::software::KeyManager;
//! use custom_key_store::backend::{
//!     Backend, BackingKeyId, ConnectReason, ConnectRequest, UriPath, XksProxyCredential,
//! };
//! use custom_key_store::xks::Region;
//! use custom_key_store::xks::proxy::{KeyGrant, Proxy, Tenant};
//!
//! # futures::executor::block_on(async {
//! let manager = KeyManager::new();
//! manager.create_key(BackingKeyId::new("in-the-hsm")?);
//! manager.create_key(BackingKeyId::new("for-probes")?);
//! let connect = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
//!
//! let tenant = Tenant::builder(UriPath::new("/tenant-a/kms/xks/v1")?, manager.connect(&connect).await?)
//!     .region(Region::new("eu-west-1")?)
//!     .credential(XksProxyCredential::generate()?)
//!     .key(BackingKeyId::new("payroll")?, KeyGrant::new(BackingKeyId::new("in-the-hsm")?))
//!     .health_key(BackingKeyId::new("for-probes")?)
//!     .build()?;
//! let proxy = Proxy::builder().tenant(tenant.clone()).build()?;
//!
//! // Later, while it serves: nobody gets at these keys any more.
//! tenant.suspend();
//! # drop(proxy);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # In which order a request is checked
//!
//! A load balancer's question at the [ping path](ProxyBuilder::ping_path) is answered before all of it, neither counted
//! nor logged. Of the others the first failure is the answer:
//!
//! 1. how many requests this peer has sent (429 `ThrottlingException`; the connection is closed);
//! 2. the path (404 `InvalidUriPathException`) and the method (405, without a body);
//! 3. the body, while it is read: its length (501 `UnsupportedOperationException`, as for any other parameter that is
//!    longer than this proxy takes), the [memory](ProxyBuilder::body_memory) for it (429 `ThrottlingException`), that it
//!    is there in time and whole (400 `ValidationException`); the connection is closed;
//! 4. the signature (401 `AuthenticationFailedException`);
//! 5. the tenant's quota (429), then its kill switch (400 `InvalidStateException`, also for health);
//! 6. the shape of the JSON (400 `ValidationException`);
//! 7. the key (404 `KeyNotFoundException`);
//! 8. authorization (403 `AccessDeniedException`; never for health);
//! 9. sizes (501 `UnsupportedOperationException`);
//! 10. Base64 and lengths (400 `ValidationException` or `InvalidCiphertextException`);
//! 11. the key's usages and state, and the cryptography itself.
//!
//! # What it logs
//!
//! Each request is one event of `tracing`, at `INFO` when it succeeded, `WARN` when it was refused and `ERROR` when the
//! proxy or what stands behind it failed: all of the request's metadata, the operation, the external key id, the access
//! key id (of a request that is refused for its body or its signature, the one it claims, where its header can be read;
//! none of one that is refused before that), status, error, what the caller is not told of its reason, and the time
//! taken. Never a plaintext, a body, a secret, a signature or an `Authorization` header. What comes from the caller is
//! cut and escaped, so that it cannot forge a line.
//!
//! # What it does not do
//!
//! - **Write files or rotate logs**: where events go is up to the program's subscriber.
//! - **Prevent a replay** within the five minutes for which a signature holds: the protocol cannot.
//! - **Wipe what is not its own**: the buffers of HTTP, TLS and the operating system carry plaintexts too.
//! - **Check revocation** of client certificates.
//! - **Withstand a crowd**: limits of rate and of connections are for each peer, what all peers share (connections,
//!   memory for bodies) is bounded and can be used up by many of them: by
//!   [`max_connections`](ServeOptions::max_connections) divided by
//!   [`max_connections_per_peer`](ServeOptions::max_connections_per_peer), 16 unless either is set. Keeping strangers
//!   out is the network's affair, or that of mutual TLS, which comes before HTTP.
//! - **Hold keys**: whatever is a [`Connection`] can stand behind it, another proxy's client among them.
//!
//! [`Connection`]: crate::backend::Connection
//! [`Service`]: tower_service::Service

mod answer;
mod authorize;
mod builder;
mod credentials;
mod grants;
mod health;
mod log;
mod operate;
mod pipeline;
mod service;
mod setup;
mod tenant;
mod tenant_builder;
mod upstream;

pub use crate::RateLimit;
pub use crate::serve::{
    CertificateHandle, ClientIdentity, Drained, InvalidTls, Peer, ServeOptions, ServerCertificate,
    ServerHandle, Serving, TlsOptions, serve,
};
pub use authorize::{AuthorizationRequest, Authorizer, Decision};
pub use builder::ProxyBuilder;
pub use grants::KeyGrant;
pub use service::Proxy;
pub use setup::SetupError;
pub use tenant::Tenant;
pub use tenant_builder::TenantBuilder;
