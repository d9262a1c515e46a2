//! AWS signature version 4 for the service `kms-xks-proxy`: signing for the client, verification for the proxy.
//!
//! One module for both, so that they cannot disagree on what is signed. Neither allocates for each line: a
//! canonical request is a few hundred bytes in one buffer.

mod authorization;
mod canonical;
mod date;
mod keys;
mod names;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use authorization::claimed_access_key_id;
pub(crate) use keys::SigningKeys;
pub(crate) use sign::Signer;
pub(crate) use verify::{Reason, SignedRequest, Unauthenticated, Verifier};
