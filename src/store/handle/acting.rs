//! A connected store on behalf of somebody, for one call.

use super::{Caller, Shared, as_long_as, supervise, within};
use crate::backend::{GenerateRandomRequest, Operation, RequestId, RequestMetadata};
use crate::error::Error;
use crate::secret::SecretBytes;
use crate::value::InvalidValue;

/// What a call needs of a handle, borrowed: whoever acts for many callers does not count references for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acting<'h> {
    pub(super) shared: &'h Shared,
    pub(super) caller: Option<&'h Caller>,
    /// That of a request that has one; without it, each request to the key manager has an id of its own.
    pub(super) request_id: Option<&'h RequestId>,
}

/// Refuses a number of bytes that no key manager gives.
pub(crate) const fn check_random(length: usize) -> Result<(), InvalidValue> {
    within("NumberOfBytes", "1 to 1,024", length, 1024)
}

impl<'h> Acting<'h> {
    pub(crate) async fn generate_random(self, length: usize) -> Result<SecretBytes, Error> {
        check_random(length)?;
        let bytes = call!(self, &Operation::GENERATE_RANDOM, generate_random, |metadata| {
            GenerateRandomRequest::new(metadata, length)
        })?;
        as_long_as(length, bytes.len())?;
        Ok(bytes)
    }

    pub(super) fn is_connected(self) -> bool {
        !self.shared.slot.is_closing()
    }

    pub(super) fn metadata(self, operation: &'h Operation, request_id: &'h RequestId) -> RequestMetadata<'h> {
        match self.caller {
            None => RequestMetadata::new(&self.shared.principal, operation, request_id),
            Some(caller) => RequestMetadata::new(&caller.principal, operation, request_id)
                .with_source(caller.source_vpc.as_deref(), caller.source_vpc_endpoint.as_deref())
                .with_via_service(caller.via_service.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests;
