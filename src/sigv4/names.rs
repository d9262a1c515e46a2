//! What signature version 4 calls things.

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const TERMINATOR: &str = "aws4_request";
pub(super) const X_AMZ_DATE: &str = "x-amz-date";
pub(super) const HOST: &str = "host";
/// HTTP/2's name for what HTTP/1.1 calls Host.
pub(super) const AUTHORITY: &str = ":authority";
/// What our own client signs: these two and nothing else (XKS-C-22).
pub(super) const SIGNED_HEADERS: &str = "host;x-amz-date";
