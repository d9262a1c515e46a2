//! What can be wrong with a proxy before it serves.

use crate::backend::UriPath;
use crate::value::InvalidValue;

/// A proxy, or a part of one, cannot be set up or changed like this.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A tenant needs a credential: without one nobody can authenticate.
    #[error("the tenant has no credential")]
    NoCredential,
    /// A tenant needs a Region that a KMS calls from: every signature names one.
    #[error("the tenant has no Region")]
    NoRegion,
    /// A tenant needs a key for its health checks, or the explicit wish to go without.
    #[error("the tenant has neither a health key nor a shallow health check")]
    NoHealthCheck,
    /// An access key id leads to exactly one secret; this one is there already.
    #[error("the tenant has a credential with this access key id already")]
    CredentialExists,
    /// Two tenants cannot share a path.
    #[error("there is a tenant at {0} already")]
    PathTaken(UriPath),
    /// An external key id was given twice.
    #[error("the external key id is there already")]
    KeyExists,
    /// The path of the load balancer's check is not a plain path, or is one of the protocol's.
    #[error("the ping path is not a plain path apart from those of the protocol")]
    PingPath,
    /// A value breaks the protocol's rules.
    #[error("a value breaks the rules of the protocol")]
    Value(#[from] InvalidValue),
}
