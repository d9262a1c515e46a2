//! The AWS SDK for Rust, as it is, against the endpoint of this crate: what programs see that were written for AWS KMS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod callers;
mod crowd;
mod exceptions;
mod life;
mod proxied;
mod retries;
mod support;
mod unsupported;
