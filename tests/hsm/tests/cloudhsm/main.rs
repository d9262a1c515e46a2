//! CloudHSM key stores on tokens of SoftHSM, each test in a process of its own.
#![expect(clippy::unwrap_used, reason = "tests, in helpers too")]

mod attempts;
mod calls;
mod catalogue;
mod codes;
mod conforming;
mod crash;
mod keys;
mod kms;
mod login;
mod lost_sessions;
mod proxied;
mod rotation;
mod setup;
mod sharing;
mod threads;
mod tokens;
mod told;
mod unheard;
mod values;
mod vault;
mod vectors;
