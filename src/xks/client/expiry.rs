//! When a certificate ends.

use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, SliceReader, Tag, Tagged as _};

#[cfg(test)]
mod tests;

/// The end of a certificate's validity; `None` when the bytes are none of a certificate. Nobody trusts a certificate
/// because of it: TLS has its own reader.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    read(certificate).ok().map(|since_epoch| SystemTime::UNIX_EPOCH + since_epoch)
}

fn read(certificate: &[u8]) -> der::Result<Duration> {
    let certificate = AnyRef::from_der(certificate)?;
    let mut reader = SliceReader::new(certificate.value())?;
    let to_be_signed = AnyRef::decode(&mut reader)?;

    // TBSCertificate: version (absent from version 1), serial number, signature, issuer, validity.
    let mut reader = SliceReader::new(to_be_signed.value())?;
    let before_validity = if Tag::peek(&reader)?.is_context_specific() { 4 } else { 3 };
    for _ in 0..before_validity {
        AnyRef::decode(&mut reader)?;
    }
    let validity = AnyRef::decode(&mut reader)?;

    let mut reader = SliceReader::new(validity.value())?;
    let _not_before = AnyRef::decode(&mut reader)?;
    let not_after = AnyRef::decode(&mut reader)?;
    match not_after.tag() {
        Tag::UtcTime => Ok(not_after.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(not_after.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}
