//! Every operation leaves a line that nobody can change, lose or invent unseen.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests are tests, which clippy.toml does not know"
)]

mod anew;
mod crashing;
mod faults;
mod hostile;
mod log;
mod opening;
mod record;
mod support;
mod tampering;
mod trail;
mod waiting;
