//! AWS signature version 4, for any service: signing for the client of the XKS protocol, verification for its proxy and for
//! the server of the KMS protocol.
//!
//! One module for all, so that they cannot disagree on what is signed. None allocates for each line: a canonical request
//! is a few hundred bytes in one buffer. Nothing here knows a protocol: what is a [`Scope`]'s service, and which paths
//! there are, is said by whoever calls.
//!
//! Row ids such as XKS-P-141 in comments and tests are those of the project's checklist of the XKS protocol.

mod authorization;
mod canonical;
mod date;
mod keys;
mod names;
mod query;
mod scope;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use authorization::claimed_access_key_id;
pub(crate) use keys::SigningKeys;
pub(crate) use scope::{Scope, Service};
pub(crate) use sign::Signer;
#[cfg(feature = "kms-api")]
pub(crate) use verify::{Claim, Refused};
pub(crate) use verify::{Reason, SignedRequest, Unauthenticated, Verifier};
