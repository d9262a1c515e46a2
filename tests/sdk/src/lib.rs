//! Nothing but tests: see `tests/sdk`, where the AWS SDK for Rust drives the endpoint of `custom-key-store`.
