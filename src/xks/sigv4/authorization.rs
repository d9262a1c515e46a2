//! The `Authorization` header, read: any bytes give an [`Authorization`] or a reason.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{ALGORITHM, AUTHORITY, HOST, X_AMZ_DATE};

/// Longer than any genuine header, and short enough to be read by anyone who has not authenticated.
const MAX_LEN: usize = 4096;
const SIGNATURE_LEN: usize = 32;

/// An `Authorization` header of the right form.
///
/// No part is judged that a credential or clock has to judge: an odd access key id is an unknown one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    pub(super) day: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) terminator: &'a str,
    /// Lower-case, sorted, without repetition, with the date and the host among them.
    pub(super) signed_headers: &'a str,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

/// What is wrong with the header, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is too long")]
    TooLong,
    #[error("it has characters other than printable ASCII")]
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
        // Without an early end, which lets the compiler look at many bytes at a time.
        let printable = value.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~' | b'\t'));
        let text = str::from_utf8(value).ok().filter(|_| printable).ok_or(Fault::NotText)?;
        // Of all that this trims only spaces and tabs are left.
        let text = text.trim_ascii();
        let parts = text.strip_prefix(ALGORITHM).ok_or(Fault::Algorithm)?;
        if !parts.starts_with([' ', '\t']) {
            return Err(Fault::Algorithm);
        }

        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim_ascii().split_once('=').ok_or(Fault::Part)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Fault::Part),
            };
            // A space inside a value needs no check of its own: no known id, scope, header or digit has one.
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

        let mut scope = credential.split('/');
        let mut next = || scope.next().filter(|part| !part.is_empty()).ok_or(Fault::Credential);
        let (access_key_id, day, region, service, terminator) = (next()?, next()?, next()?, next()?, next()?);
        if scope.next().is_some() {
            return Err(Fault::Credential);
        }
        check_signed_headers(signed_headers)?;
        let signature = from_hex(signature).ok_or(Fault::Signature)?;
        Ok(Self { access_key_id, day, region, service, terminator, signed_headers, signature })
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

fn check_signed_headers(list: &str) -> Result<(), Fault> {
    let legal =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = |name: &str| !name.is_empty() && (name == AUTHORITY || name.bytes().all(legal));
    let (mut host, mut date) = (false, false);
    let mut before = "";
    for name in list.split(';') {
        // Strictly ascending is sorted and without repetition; the empty string is below all.
        if !is_name(name) || name <= before {
            return Err(Fault::SignedHeaders);
        }
        before = name;
        host |= name == HOST || name == AUTHORITY;
        date |= name == X_AMZ_DATE;
    }
    if !host {
        return Err(Fault::HostNotSigned);
    }
    if date { Ok(()) } else { Err(Fault::DateNotSigned) }
}

/// The value of each lower-case hexadecimal digit; [`NO_DIGIT`] for every other byte.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 16 {
        let digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        digits[digit as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xff;

fn from_hex(text: &str) -> Option<[u8; SIGNATURE_LEN]> {
    let value = |digit: u8| DIGITS.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
    let text: &[u8; 2 * SIGNATURE_LEN] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; SIGNATURE_LEN];
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
        let (high, low) = (value(*high), value(*low));
        seen |= high | low;
        *byte = (high << 4) | low;
    }
    (seen < 16).then_some(bytes)
}
