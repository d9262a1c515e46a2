//! CloudHSM key stores on tokens of SoftHSM, each test in a process of its own.
#![expect(clippy::unwrap_used, reason = "tests, in helpers too")]

mod codes;
mod conforming;
mod crash;
mod keys;
mod login;
mod proxied;
mod rotation;
mod setup;
mod vault;
