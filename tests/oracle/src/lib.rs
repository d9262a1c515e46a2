//! Nothing but tests: see `tests/sigv4.rs` (the XKS protocol) and `tests/kms.rs` (the KMS protocol).
