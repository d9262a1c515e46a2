//! Base64 inside JSON: text until somebody asks for the bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::malformed::{Flaw, Malformed};
use crate::secret::SecretBytes;

/// A Base64 member. The bytes may be a plaintext: `Debug` hides them, and what is copied is wiped.
pub(crate) struct Base64Text<'a> {
    name: &'static str,
    text: Text<'a>,
}

enum Text<'a> {
    Borrowed(&'a [u8]),
    /// JSON may escape a slash. Undone here and not by the JSON parser, whose buffer nobody wipes.
    Unescaped(Zeroizing<Vec<u8>>),
}

impl<'a> Base64Text<'a> {
    /// Takes what stands between the quotes in valid JSON.
    pub(super) fn from_json(name: &'static str, quoted: &'a str) -> Self {
        let quoted = quoted.as_bytes();
        let text =
            if quoted.contains(&b'\\') { Text::Unescaped(unescape(quoted)) } else { Text::Borrowed(quoted) };
        Self { name, text }
    }

    fn encoded(&self) -> &[u8] {
        match &self.text {
            Text::Borrowed(text) => text,
            Text::Unescaped(text) => text,
        }
    }

    /// How many bytes it stands for, if it is Base64 at all.
    pub(crate) fn decoded_len(&self) -> usize {
        let encoded = self.encoded();
        let padding = encoded.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        (encoded.len() / 4 * 3).saturating_sub(padding)
    }

    /// The bytes, in memory that is wiped.
    pub(crate) fn decode_secret(&self) -> Result<SecretBytes, Malformed> {
        let encoded = self.encoded();
        // Enough for every padding; it never grows, so it leaves no copy behind.
        let mut bytes = SecretBytes::new(vec![0; encoded.len().div_ceil(4) * 3]);
        let length = STANDARD.decode_slice(encoded, bytes.expose_mut()).map_err(|_| self.not_base64())?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The bytes.
    pub(crate) fn decode(&self) -> Result<Vec<u8>, Malformed> {
        STANDARD.decode(self.encoded()).map_err(|_| self.not_base64())
    }

    /// The bytes of a member that has at most 32, without an allocation.
    pub(super) fn decode_short(&self) -> Result<Short, Malformed> {
        let mut bytes = [0; Short::CAPACITY];
        if self.decoded_len() < Short::CAPACITY - 2 {
            let length = STANDARD.decode_slice(self.encoded(), &mut bytes).map_err(|_| self.not_base64())?;
            Ok(Short { bytes, length })
        } else {
            // Too long in any case, but undecodable is the other error.
            self.decode().map(|_| Short { bytes, length: Short::CAPACITY })
        }
    }

    /// The error for a length that the protocol does not have.
    pub(super) const fn wrong_length(&self) -> Malformed {
        Malformed::member(self.name, Flaw::WrongLength)
    }

    const fn not_base64(&self) -> Malformed {
        Malformed::member(self.name, Flaw::NotBase64)
    }
}

impl fmt::Debug for Base64Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64Text({} characters)", self.encoded().len())
    }
}

/// Decoded bytes on the stack. What was longer has the length [`CAPACITY`](Self::CAPACITY), which no member has.
pub(super) struct Short {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Short {
    const CAPACITY: usize = 48;

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Undoes JSON's escapes. What is no ASCII character becomes a byte that is not Base64 either.
fn unescape(quoted: &[u8]) -> Zeroizing<Vec<u8>> {
    const NOT_BASE64: u8 = 0xff;
    // An escape is longer than what it stands for, so the buffer never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(quoted.len()));
    let mut rest = quoted.iter().copied();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'\\' => match rest.next() {
                Some(b'/') => b'/',
                Some(b'u') => {
                    let code = rest
                        .by_ref()
                        .take(4)
                        .try_fold(0_u32, |code, digit| Some(code * 16 + char::from(digit).to_digit(16)?));
                    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_BASE64)
                }
                _ => NOT_BASE64,
            },
            other => other,
        });
    }
    text
}
