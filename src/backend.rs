//! Key managers that a store can be connected to: the two traits to implement, and all they speak of.
//!
//! A [`Backend`] is a key manager *by its configuration*; a [`Connection`] is a live, authenticated link to it.
//! There is no way to a crypto method but through a connection, and no way to a connection but through
//! [`Backend::connect`]. A connection is also the universal joint of the crate: whatever is one can stand
//! behind a store, and behind a proxy.
//!
//! [`software`] is a key manager in the process itself, for tests, examples and rehearsals of failure.
#![cfg_attr(
    feature = "conformance",
    doc = "[`conformance`] is the suite that every implementation should pass."
)]

mod aad;
mod change;
mod ciphertext;
mod configuration;
mod connect;
mod connection;
mod connection_error_code;
mod error;
mod health;
mod key;
mod metadata;
#[cfg(feature = "mock")]
mod mock;
mod property;
mod request;
mod telling;
mod vault;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod software;

pub use aad::authenticated_data;
pub use change::{Change, InvalidChange, LiveChange};
pub use ciphertext::{Ciphertext, CiphertextMetadata, InitializationVector};
pub use configuration::{CloudHsmConfiguration, StoreConfiguration, XksProxyConfiguration};
pub use connect::{ConnectReason, ConnectRequest, ConnectionError};
pub use connection::{Backend, Connection};
pub use connection_error_code::{Advice, ConnectionErrorCode, Responsible};
pub use error::{BackendError, BackendErrorKind};
pub use health::{Health, HealthStatus, ManagerInstance, ProxyDescription};
pub use key::{BackingKeyId, KeyDescription, KeySpec, KeyStatus, KeyUsages};
pub use metadata::{Operation, RequestId, RequestMetadata};
pub use property::{
    AccessKeyId, AccountId, CloudHsmClusterId, CustomKeyStoreType, KeyStorePassword, SecretAccessKey,
    StoreName, TrustAnchorCertificate, UriEndpoint, UriPath, VpcEndpointServiceName, XksProxyConnectivity,
    XksProxyCredential,
};
pub use request::{
    Closed, DecryptRequest, Decrypted, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest,
    GenerateKeyRequest, GenerateRandomRequest, GeneratedKey, HealthRequest,
};
pub use telling::{Telling, TellingId};
pub use vault::{MemoryVault, Vault};

#[cfg(feature = "mock")]
pub use mock::{MockBackend, MockConnection};
