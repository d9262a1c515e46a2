//! Every operation leaves a line that nobody can change, lose or invent unseen.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests are tests, which clippy.toml does not know"
)]

mod record;
mod trail;
