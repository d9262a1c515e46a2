//! The server's side of AWS KMS's own protocol, so that AWS SDKs can use custom key stores.
//!
//! What is here today is what such a server stands on: [`serve`] puts any `tower` service behind a listener, with TLS,
//! limits for each peer, timeouts and a graceful end.

pub use crate::RateLimit;
pub use crate::serve::{
    CertificateHandle, ClientIdentity, Drained, InvalidTls, Peer, ServeOptions, ServerCertificate,
    ServerHandle, Serving, TlsOptions, serve,
};
