//! The paths of the protocol: built for the client, taken apart for the proxy.

use super::ProxyOperation;
use crate::backend::{BackingKeyId, UriEndpoint, UriPath};
use crate::value::{InvalidValue, Problem};

#[cfg(test)]
mod tests;

/// The longest URI that the protocol allows, scheme and host included (XKS-P-14, XKS-C-14).
const MAX_URI_LEN: usize = 256;
const MAX_BASE_LEN: usize = 128;
const MAX_KEY_ID_LEN: usize = 128;
const VERSION: &str = "/kms/xks/v1";

/// Checks that no request for `key` needs a URI of more than 256 characters.
///
/// The limits of path, key id and host by themselves do not ensure it: all at their greatest they give 399. So a
/// proxy checks each key when it is configured, and a client before it sends.
///
/// # Errors
///
/// [`InvalidValue`] when the URI of the key's longest operation is longer.
///
/// ```
/// use custom_key_store::backend::{BackingKeyId, UriEndpoint, UriPath};
/// use custom_key_store::xks::check_uri_length;
///
/// let endpoint = UriEndpoint::new("https://xks.example.com")?;
/// check_uri_length(&endpoint, &UriPath::new("/tenant-a/kms/xks/v1")?, &BackingKeyId::new("payroll")?)?;
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
pub fn check_uri_length(
    endpoint: &UriEndpoint,
    path: &UriPath,
    key: &BackingKeyId,
) -> Result<(), InvalidValue> {
    // The longest of the three.
    key_path(endpoint.host(), path, ProxyOperation::GetKeyMetadata, key).map(drop)
}

/// The path of an operation on a key; `host` counts towards the length alone.
///
/// `operation` is not a health check, which has no key.
pub(crate) fn key_path(
    host: &str,
    base: &UriPath,
    operation: ProxyOperation,
    key: &BackingKeyId,
) -> Result<String, InvalidValue> {
    let path = ["/keys/", key.as_str(), "/", operation.segment()];
    within_limit(host, [base.as_str()].iter().chain(&path).copied().collect())
}

/// The path of a health check.
pub(crate) fn health_path(host: &str, base: &UriPath) -> Result<String, InvalidValue> {
    within_limit(host, [base.as_str(), "/", ProxyOperation::GetHealthStatus.segment()].concat())
}

fn within_limit(host: &str, path: String) -> Result<String, InvalidValue> {
    let length = "https://".len() + host.len() + path.len();
    if length > MAX_URI_LEN {
        let problem = Problem::TooLong { length, maximum: MAX_URI_LEN };
        return Err(InvalidValue::new(
            "XksKeyId",
            "at most 256 characters of URI: host, path and key id together",
            problem,
        ));
    }
    Ok(path)
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) operation: ProxyOperation,
    /// The external key id, legal by its characters; empty for a health check.
    pub(crate) key: &'a str,
}

/// A path that the protocol does not have: `InvalidUriPathException` (XKS-P-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path is none of the protocol")]
pub(crate) struct UnknownPath;

/// Takes the path and query of a request apart: the base path, up to and with `/kms/xks/v1`, and what is asked.
///
/// Read from the end, where it cannot be ambiguous. No legal character ever needs a percent sign, and SigV4
/// canonicalisation would collapse `//`, `.` and `..`; a query is never present, and a trailing slash makes
/// another resource. All of them are unknown paths (XKS-P-17).
pub(crate) fn parse(path_and_query: &str) -> Result<(&str, Route<'_>), UnknownPath> {
    let (rest, operation) = path_and_query.rsplit_once('/').ok_or(UnknownPath)?;
    let operation = ProxyOperation::ALL.iter().find(|known| known.segment() == operation);
    let operation = *operation.ok_or(UnknownPath)?;

    let (base, key) = if operation == ProxyOperation::GetHealthStatus {
        (rest, "")
    } else {
        let (rest, key) = rest.rsplit_once('/').ok_or(UnknownPath)?;
        if !is_key_id(key) {
            return Err(UnknownPath);
        }
        (rest.strip_suffix("/keys").ok_or(UnknownPath)?, key)
    };
    if is_base(base) { Ok((base, Route { operation, key })) } else { Err(UnknownPath) }
}

/// The rule of [`BackingKeyId`], without the allocation (XKS-P-21, XKS-P-22).
fn is_key_id(id: &str) -> bool {
    (1..=MAX_KEY_ID_LEN).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && id != "."
        && id != ".."
}

/// The rule of [`UriPath`], without the allocation (XKS-P-10, XKS-P-11, XKS-P-12).
fn is_base(base: &str) -> bool {
    base.len() <= MAX_BASE_LEN
        && base.ends_with(VERSION)
        && base.starts_with('/')
        && !base.contains("//")
        && base.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_'))
}
