//! AWS signature version 4 for the service `kms-xks-proxy`: signing for the client, verification for the proxy.
//!
//! One module for both, so that they cannot disagree on what is signed. Neither allocates for each line: a
//! canonical request is a few hundred bytes in one buffer.

mod authorization;
mod canonical;
mod date;
mod keys;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use authorization::claimed_access_key_id;
pub(crate) use keys::SigningKeys;
pub(crate) use sign::Signer;
pub(crate) use verify::{Reason, SignedRequest, Unauthenticated, Verifier};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms-xks-proxy";
const TERMINATOR: &str = "aws4_request";
const X_AMZ_DATE: &str = "x-amz-date";
const HOST: &str = "host";
/// HTTP/2's name for what HTTP/1.1 calls Host.
const AUTHORITY: &str = ":authority";
