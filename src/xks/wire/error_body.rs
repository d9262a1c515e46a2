//! Errors on the wire, both ways.

use std::fmt::Write as _;

use super::json;
use super::malformed::Malformed;
use super::name;
use crate::backend::{BackendError, BackendErrorKind};
use crate::json::EncodedBody;
use crate::json::Writer;
use crate::xks::ErrorName;

/// The longest message in characters: "fewer than 512" (XKS-P-111).
const MAX_MESSAGE_LEN: usize = 511;
/// Of a name that is not the protocol's, no more than this goes to the log.
const MAX_NAME_LEN: usize = 64;
const METHOD_NOT_ALLOWED: u16 = 405;

/// The body of an error (XKS-P-110).
///
/// The message is cut to 511 characters, and what is not printable ASCII becomes a question mark (XKS-P-111,
/// XKS-P-112). An invalid ciphertext never gets one: every mismatch reads the same (XKS-P-92).
pub(crate) fn error_body(error: ErrorName, message: Option<&str>) -> EncodedBody {
    let mut json = Writer::new(128 + message.map_or(0, str::len).min(MAX_MESSAGE_LEN));
    json.string(name::ERROR_NAME, error.as_str());
    if let Some(message) = message.filter(|_| error != ErrorName::InvalidCiphertext) {
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let message: String = message.chars().take(MAX_MESSAGE_LEN).map(printable).collect();
        json.string(name::ERROR_MESSAGE, &message);
    }
    json.finish()
}

/// What a client makes of a response whose status is not 200 (XKS-C-64, XKS-C-67, XKS-C-72).
///
/// The name counts, not the status. The message goes into the error's detail for the log, never to the caller
/// (XKS-C-68).
pub(crate) fn error_response(status: u16, body: &[u8]) -> BackendError {
    let malformed = BackendError::new(BackendErrorKind::InvalidResponse);
    if status == METHOD_NOT_ALLOWED {
        // No name belongs to it: whoever answers a POST with it is not the proxy we look for.
        return malformed.with_detail("the proxy does not allow POST");
    }
    match named(body) {
        Err(reason) => malformed.with_detail(format!("status {status}")).with_source(reason),
        Ok((Err(unknown), _)) => malformed.with_detail(format!("status {status}, errorName {unknown}")),
        Ok((Ok(name), None)) => name.kind().into(),
        Ok((Ok(name), Some(message))) => BackendError::new(name.kind()).with_detail(message),
    }
}

type Named = (Result<ErrorName, String>, Option<String>);

fn named(body: &[u8]) -> Result<Named, Malformed> {
    let [error, message] = json::body(body, [name::ERROR_NAME, name::ERROR_MESSAGE])?;
    let word = error.text()?;
    let error = word.parse().map_err(|_| loggable(&word, MAX_NAME_LEN));
    // A message that is no text takes nothing from the name (XKS-C-69).
    let message = message.text().ok().map(|message| loggable(&message, MAX_MESSAGE_LEN));
    Ok((error, message))
}

/// Cut, and with everything but printable ASCII escaped, so that it cannot forge lines of a log (XKS-C-69).
fn loggable(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let before = clean.len();
        if character.is_ascii_graphic() || character == ' ' {
            clean.push(character);
        } else {
            // Writing into memory cannot fail.
            let _infallible = write!(clean, "{}", character.escape_default());
        }
        if clean.len() > limit {
            clean.truncate(before);
            break;
        }
    }
    clean
}
