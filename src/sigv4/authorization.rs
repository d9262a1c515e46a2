//! The `Authorization` header, read: any bytes give an [`Authorization`] or a reason.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use memchr::memchr;

use super::names::{ALGORITHM, AUTHORITY, HOST, SIGNED_HEADERS, X_AMZ_DATE};

/// Longer than any genuine header, and short enough to be read by anyone who has not authenticated.
const MAX_LEN: usize = 4096;
/// In hexadecimal digits.
pub(super) const SIGNATURE_LEN: usize = 64;

/// An `Authorization` header of the right form.
///
/// No part is judged that a credential or clock has to judge: an odd access key id is an unknown one.
#[derive(Clone, Copy)]
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    pub(super) day: &'a [u8],
    pub(super) region: &'a [u8],
    pub(super) service: &'a [u8],
    pub(super) terminator: &'a [u8],
    /// Lower-case, sorted, without repetition, with the date and the host among them.
    pub(super) signed_headers: &'a str,
    /// Lower-case digits.
    pub(super) signature: &'a [u8; SIGNATURE_LEN],
}

/// What is wrong with the header, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is too long")]
    TooLong,
    #[error("its credential has characters other than printable ASCII")]
    NotText,
    #[error("its algorithm is another")]
    Algorithm,
    #[error("it has a part that is unknown or has no value")]
    Part,
    #[error("a part appears more than once")]
    RepeatedPart,
    #[error("a part is missing")]
    MissingPart,
    #[error("its credential has not five parts")]
    Credential,
    #[error("its signature is not 64 lower-case hexadecimal digits")]
    Signature,
    #[error("its signed headers are not in lower case, sorted and without repetition")]
    SignedHeaders,
    #[error("the host is not signed")]
    HostNotSigned,
    #[error("the date is not signed")]
    DateNotSigned,
}

impl<'a> Authorization<'a> {
    /// Reads a header's value: the algorithm, then the three parts in any order, with any spaces around the
    /// commas (XKS-P-140, XKS-P-141).
    pub(crate) fn parse(value: &'a [u8]) -> Result<Self, Fault> {
        if value.len() > MAX_LEN {
            return Err(Fault::TooLong);
        }
        let rest = trim_start(value).strip_prefix(ALGORITHM.as_bytes()).ok_or(Fault::Algorithm)?;
        if !matches!(rest, [b' ' | b'\t', ..]) {
            return Err(Fault::Algorithm);
        }

        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        let mut next = Some(rest);
        while let Some(rest) = next {
            let rest = trim_start(rest);
            let (place, rest) = if let Some(rest) = rest.strip_prefix(b"Credential=") {
                (&mut credential, rest)
            } else if let Some(rest) = rest.strip_prefix(b"SignedHeaders=") {
                (&mut signed_headers, rest)
            } else if let Some(rest) = rest.strip_prefix(b"Signature=") {
                (&mut signature, rest)
            } else {
                return Err(Fault::Part);
            };
            let value;
            (value, next) = split_once(rest, b',').map_or((rest, None), |(value, rest)| (value, Some(rest)));
            // A space inside a value needs no check of its own: no known id, scope, header or digit has one.
            let value = trim_end(value);
            if value.is_empty() {
                return Err(Fault::Part);
            }
            if place.replace(value).is_some() {
                return Err(Fault::RepeatedPart);
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(Fault::MissingPart);
        };

        // Nothing else may be what it likes.
        if !is_printable(credential) {
            return Err(Fault::NotText);
        }
        let [access_key_id, day, region, service, terminator] = five(credential).ok_or(Fault::Credential)?;
        Ok(Self {
            access_key_id: str::from_utf8(access_key_id).map_err(|_| Fault::NotText)?,
            day,
            region,
            service,
            terminator,
            signed_headers: checked(signed_headers)?,
            signature: digits(signature).ok_or(Fault::Signature)?,
        })
    }

    pub(super) fn signed_headers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.signed_headers.split(';')
    }
}

/// Who claims to have signed a request that is refused, for the log: of a header of the right form, the first if there
/// are several.
pub(crate) fn claimed_access_key_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?;
    Authorization::parse(value.as_bytes()).ok().map(|claimed| claimed.access_key_id)
}

/// Without the signature: whoever reads a log within five minutes could replay it (XKS-P-155).
impl std::fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization")
            .field("access_key_id", &self.access_key_id)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn is_printable(bytes: &[u8]) -> bool {
    // Without an early end, which lets the compiler look at many bytes at a time.
    bytes.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// The parts of a credential, none of them empty.
fn five(credential: &[u8]) -> Option<[&[u8]; 5]> {
    let (access_key_id, rest) = split_once(credential, b'/')?;
    let (day, rest) = split_once(rest, b'/')?;
    let (region, rest) = split_once(rest, b'/')?;
    let (service, terminator) = split_once(rest, b'/')?;
    let five = [access_key_id, day, region, service, terminator];
    let is_whole = five.iter().all(|part| !part.is_empty()) && !terminator.contains(&b'/');
    is_whole.then_some(five)
}

fn split_once(bytes: &[u8], between: u8) -> Option<(&[u8], &[u8])> {
    let (part, rest) = bytes.split_at_checked(memchr(between, bytes)?)?;
    Some((part, rest.get(1..)?))
}

/// The list of signed headers, when it is one.
fn checked(list: &[u8]) -> Result<&str, Fault> {
    if list == SIGNED_HEADERS.as_bytes() {
        return Ok(SIGNED_HEADERS);
    }
    let list = str::from_utf8(list).map_err(|_| Fault::SignedHeaders)?;
    let is_name = |name: &str| !name.is_empty() && (name.bytes().all(is_in_name) || name == AUTHORITY);
    let (mut host, mut date) = (false, false);
    let mut before = None;
    for name in list.split(';') {
        // Strictly ascending is sorted and without repetition.
        if !is_name(name) || before.is_some_and(|before| name <= before) {
            return Err(Fault::SignedHeaders);
        }
        before = Some(name);
        host |= name == HOST || name == AUTHORITY;
        date |= name == X_AMZ_DATE;
    }
    match (host, date) {
        (true, true) => Ok(list),
        (true, false) => Err(Fault::DateNotSigned),
        (false, _) => Err(Fault::HostNotSigned),
    }
}

/// Whether a header's name in lower case may have this byte.
const fn is_in_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Takes lower-case ones alone, so that there is one way to write a signature.
fn digits(text: &[u8]) -> Option<&[u8; SIGNATURE_LEN]> {
    let text: &[u8; SIGNATURE_LEN] = text.try_into().ok()?;
    text.iter().fold(true, |all, digit| all & matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(text)
}
