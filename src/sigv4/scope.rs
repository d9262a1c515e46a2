//! For whom a signature is.

use super::date::AmzDate;
use super::names::TERMINATOR;
use crate::Region;

/// The name by which AWS's signatures know a service, such as `kms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Service(&'static str);

impl Service {
    /// `name` is in the characters of a header's value, without `/`.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    pub(super) const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A service in a Region: where a signature holds, besides its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(super) region: Region,
    pub(super) service: Service,
}

impl Scope {
    pub(crate) const fn new(region: Region, service: Service) -> Self {
        Self { region, service }
    }

    /// Writes day, Region, service and terminator.
    pub(super) fn write(&self, text: &mut Vec<u8>, date: &AmzDate) {
        text.extend_from_slice(&date.day());
        for part in [self.region.as_str(), self.service.as_str(), TERMINATOR] {
            text.push(b'/');
            text.extend_from_slice(part.as_bytes());
        }
    }
}
