//! The query of a URI, in the one form in which it is signed.

/// Writes the parameters sorted by name, then value, each with its `=` and encoded in the one way there is.
///
/// What came encoded is decoded first, so that it makes no difference how much of it was; a `+` is a plus.
pub(super) fn canonical(text: &mut Vec<u8>, query: &str) {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut parameters: Vec<_> = parameters
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    parameters.sort_unstable();
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
}

fn encoded(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = decoded(rest) {
        rest = after;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(byte);
        } else {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    encoded
}

/// The byte that comes first, and what follows. A `%` without two digits stands for itself.
fn decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = text.split_first()?;
    if *first == b'%'
        && let [high, low, after @ ..] = rest
        && let Some(byte) = nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low)
    {
        return Some((byte, after));
    }
    Some((*first, rest))
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
