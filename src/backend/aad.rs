//! The bytes that whoever runs AES-GCM authenticates: the caller's data and its own metadata, unambiguously joined.

use crate::value::{InvalidValue, Problem};

/// Joins the caller's additional authenticated data and the key manager's ciphertext metadata into the
/// string that AES-GCM authenticates: `u16 length ‖ aad ‖ u8 length ‖ metadata`, lengths big-endian.
///
/// Only the side that runs the cipher builds this string; a proxy or client passes both parts on as they
/// are. Absent and empty are the same, so with neither the result is three zero bytes.
///
/// Source: External Key Store Proxy API specification 1.0.3, *ciphertextMetadata* in the response of Encrypt.
///
/// # Errors
///
/// [`InvalidValue`] when `aad` is longer than 65,535 bytes or `metadata` longer than 255: their lengths
/// would not fit. The limits of the protocol (8,192 and 20 bytes) are enforced elsewhere. A connection answers
/// [`Unsupported`](super::BackendErrorKind::Unsupported) for it, as for everything that is too much.
///
/// ```
/// use custom_key_store::backend::authenticated_data;
///
/// assert_eq!(authenticated_data(b"", b"")?, [0, 0, 0]);
/// assert_eq!(authenticated_data(b"ab", b"c")?, [0, 2, b'a', b'b', 1, b'c']);
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
pub fn authenticated_data(aad: &[u8], metadata: &[u8]) -> Result<Vec<u8>, InvalidValue> {
    let aad_length = u16::try_from(aad.len()).map_err(|_| {
        too_long("additionalAuthenticatedData", "at most 65,535 bytes", aad.len(), u16::MAX.into())
    })?;
    let metadata_length = u8::try_from(metadata.len())
        .map_err(|_| too_long("ciphertextMetadata", "at most 255 bytes", metadata.len(), u8::MAX.into()))?;

    let mut joined = Vec::with_capacity(2 + aad.len() + 1 + metadata.len());
    joined.extend_from_slice(&aad_length.to_be_bytes());
    joined.extend_from_slice(aad);
    joined.push(metadata_length);
    joined.extend_from_slice(metadata);
    Ok(joined)
}

const fn too_long(
    field: &'static str,
    expected: &'static str,
    length: usize,
    maximum: usize,
) -> InvalidValue {
    InvalidValue::new(field, expected, Problem::TooLong { length, maximum })
}
