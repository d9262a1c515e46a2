//! The protocol between an external key store and an external key store proxy (XKS proxy API, version 1): the client,
//! and what both sides share.
//!
//! [`XksProxy`] is the [`Backend`](crate::backend::Backend) that reaches a key manager through a proxy. Beneath it,
//! and without input and output, requests and replies of [`backend`](crate::backend) are turned into bytes and back,
//! signed and verified. Nothing here knows anything but `backend`.
//!
//! What an application meets besides:
//!
//! - [`TrustRoots`] and [`ClientCertificate`] say whom the client trusts, and who it is;
//! - [`XksCounters`] is what its connections count;
//! - [`XksProxyCredential::generate`](crate::backend::XksProxyCredential::generate) makes a credential in the
//!   protocol's alphabet, and
//!   [`configuration_file`](crate::backend::XksProxyCredential::configuration_file) writes it down as the KMS
//!   console wants it;
//! - [`check_uri_length`] says whether a key's longest URI is within the protocol's limit;
//! - [`ErrorName`] and [`ProxyOperation`] are the protocol's words for what went wrong, and in what;
//! - [`Region`] is where a KMS calls from, which every signature names.
//!
// Row ids such as XKS-P-61 in comments and tests are those of the project's checklist of the protocol.

mod client;
mod credential;
mod error_name;
mod integrity;
mod operation;
mod path;
#[cfg(feature = "proxy")]
pub mod proxy;
mod scope;
mod wire;

pub use crate::identity::Region;
pub use client::{
    ClientCertificate, InvalidSetup, LatencyHistogram, TrustRoots, XksCounters, XksCounts, XksProxy,
    XksProxyBuilder,
};
pub use error_name::ErrorName;
pub use operation::ProxyOperation;
pub use path::check_uri_length;

#[cfg(test)]
pub(crate) mod vectors;
