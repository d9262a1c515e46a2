//! What can be wrong with a server's TLS.

use std::error::Error;
use std::sync::Arc;

/// Of these certificates, keys and names no TLS can be made. The [source](Error::source) says why not, and quotes no
/// key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the TLS configuration cannot be used")]
pub struct InvalidTls(#[source] Arc<dyn Error + Send + Sync>);

impl InvalidTls {
    pub(super) fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(source.into()))
    }
}
