//! What the access logs of services have in common.

use std::fmt::Write as _;

use tracing::Level;

/// Of what a caller says, no more characters than an ARN may have go to the log.
const MAX_LEN: usize = 2048;

/// Whether anybody takes any of the events.
pub(crate) fn listening() -> bool {
    tracing::enabled!(Level::ERROR)
}

pub(crate) fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Cut, and with whatever could end or forge a line escaped (XKS-P-150).
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_LEN));
    for character in text.chars() {
        if clean.len() >= MAX_LEN {
            clean.push('…');
            break;
        }
        // Of Unicode too much can turn, hide or break a line for a list of what is dangerous ever to be complete.
        if character.is_ascii_graphic() || character == ' ' {
            clean.push(character);
        } else {
            // Writing into memory cannot fail.
            let _infallible = write!(clean, "{}", character.escape_default());
        }
    }
    clean
}
