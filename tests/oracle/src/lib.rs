//! Nothing but tests: see `tests/sigv4.rs`.
