//! Catalogues keep what they are given, wholly, whatever happens.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests are tests, which clippy.toml does not know"
)]

mod flawed;
mod memory;
mod random;
mod sqlite;
mod suite;
