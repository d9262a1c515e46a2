//! For whom the protocol's requests are signed.

use super::Region;
use crate::sigv4::{Scope, Service};

/// The protocol's service in this Region.
pub(super) const fn scope(region: Region) -> Scope {
    Scope::new(region, Service::new("kms-xks-proxy"))
}
