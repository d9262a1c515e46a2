//! What is signed: the canonical request, and the string to sign over its hash.

use aws_lc_rs::digest::{SHA256, digest};

use super::date::AmzDate;
use super::names::{ALGORITHM, X_AMZ_DATE};
use super::query;
use super::scope::Scope;

/// The beginning of a canonical request: method, path and query (XKS-P-135). Canonical headers follow.
///
/// Of the path nothing is encoded: no path that is served has a character that would be.
pub(super) fn begin(path: &str, query: Option<&str>, room: usize) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(path.len() + query.map_or(0, str::len) + room + 160);
    canonical.extend_from_slice(b"POST\n");
    canonical.extend_from_slice(path.as_bytes());
    canonical.push(b'\n');
    if let Some(query) = query {
        query::canonical(&mut canonical, query);
    }
    canonical.push(b'\n');
    canonical
}

/// Writes one header; repeated ones are joined by a comma.
pub(super) fn header<'v>(canonical: &mut Vec<u8>, name: &str, values: impl Iterator<Item = &'v [u8]>) {
    canonical.extend_from_slice(name.as_bytes());
    canonical.push(b':');
    for (index, value) in values.enumerate() {
        if index > 0 {
            canonical.push(b',');
        }
        collapsed(canonical, value);
    }
    canonical.push(b'\n');
}

/// Writes `X-Amz-Date`, whose form leaves nothing to collapse.
pub(super) fn date(canonical: &mut Vec<u8>, date: &AmzDate) {
    canonical.extend_from_slice(X_AMZ_DATE.as_bytes());
    canonical.push(b':');
    canonical.extend_from_slice(date.as_bytes());
    canonical.push(b'\n');
}

/// Without spaces around, and with one in place of several.
fn collapsed(canonical: &mut Vec<u8>, value: &[u8]) {
    // The usual value has none, which is quickly seen: the look at all bytes has no early end.
    if !value.iter().fold(false, |some, byte| some | matches!(byte, b' ' | b'\t')) {
        return canonical.extend_from_slice(value);
    }
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            canonical.push(b' ');
        }
        canonical.extend_from_slice(word);
    }
}

/// The end of a canonical request: the names of the headers, and the hash of the body.
///
/// The hash is always computed from the body; no header's word is taken for it (XKS-P-141).
pub(super) fn end(canonical: &mut Vec<u8>, signed_headers: &str, body: &[u8]) {
    canonical.push(b'\n');
    canonical.extend_from_slice(signed_headers.as_bytes());
    canonical.push(b'\n');
    hex(canonical, digest(&SHA256, body).as_ref());
}

/// Turns a canonical request into the string to sign, in the same buffer.
pub(super) fn string_to_sign(canonical: &mut Vec<u8>, date: &AmzDate, scope: &Scope) {
    let hash = digest(&SHA256, canonical);
    canonical.clear();
    canonical.extend_from_slice(ALGORITHM.as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(date.as_bytes());
    canonical.push(b'\n');
    scope.write(canonical, date);
    canonical.push(b'\n');
    hex(canonical, hash.as_ref());
}

pub(super) fn hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let start = text.len();
    text.resize(start + 2 * bytes.len(), 0);
    hex_into(text.get_mut(start..).unwrap_or_default(), bytes);
}

/// Writes as many digits as there is room for, in a time that the bytes do not change.
pub(super) fn hex_into(text: &mut [u8], bytes: &[u8]) {
    // Neither branches nor looks into a table: what a signature should be is a secret.
    let digit = |nibble: u8| b'0' + nibble + (b'a' - b'9' - 1) * u8::from(nibble > 9);
    for (place, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *place = [digit(byte >> 4), digit(byte & 0xf)];
    }
}
