//! The protocol between an external key store and an external key store proxy (XKS proxy API, version 1), both
//! ways and without input and output.
//!
//! It turns requests and replies of [`backend`](crate::backend) into bytes and back, signs and verifies them.
//! Whoever sends or receives the bytes stands above this module; it knows nothing but `backend`.
//!
//! What an application meets of it:
//!
//! - [`XksProxyCredential::generate`](crate::backend::XksProxyCredential::generate) makes a credential in the
//!   protocol's alphabet, and
//!   [`configuration_file`](crate::backend::XksProxyCredential::configuration_file) writes it down as the KMS
//!   console wants it;
//! - [`check_uri_length`] says whether a key's longest URI is within the protocol's limit;
//! - [`ErrorName`] and [`ProxyOperation`] are the protocol's words for what went wrong, and in what;
//! - [`Region`] is where a KMS calls from, which every signature names.
//!
//! Row ids such as XKS-P-61 in comments and tests are those of the protocol checklist of the project.

mod body;
mod credential;
mod error_name;
mod integrity;
mod operation;
mod path;
mod region;
mod sigv4;
mod wire;

pub use error_name::ErrorName;
pub use operation::ProxyOperation;
pub use path::check_uri_length;
pub use region::Region;

#[cfg(test)]
mod vectors;
