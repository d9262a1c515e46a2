//! JSON written straight into one buffer.

use std::fmt;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
#[cfg(feature = "kms-api")]
use serde::Serialize;

use super::EncodedBody;
use crate::secret::SecretBytes;

/// Writes one compact JSON document.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins the body's object, with room for `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(capacity);
        buffer.push(b'{');
        Self(buffer)
    }

    /// Makes room before a secret is written: growing afterwards would leave a copy in freed memory.
    #[cfg(feature = "xks")]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    /// Ends the body's object.
    pub(crate) fn finish(mut self) -> EncodedBody {
        self.0.push(b'}');
        EncodedBody::new(SecretBytes::new(self.0))
    }

    pub(crate) fn open_object(&mut self, name: Option<&str>) {
        self.separate();
        if let Some(name) = name {
            self.quote(name);
            self.0.push(b':');
        }
        self.0.push(b'{');
    }

    pub(crate) fn close_object(&mut self) {
        self.0.push(b'}');
    }

    pub(crate) fn open_array(&mut self, name: &str) {
        self.key(name);
        self.0.push(b'[');
    }

    pub(crate) fn close_array(&mut self) {
        self.0.push(b']');
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        self.quote(value);
    }

    pub(crate) fn entry(&mut self, value: &str) {
        self.separate();
        self.quote(value);
    }

    pub(crate) fn display(&mut self, name: &str, value: &dyn fmt::Display) {
        self.string(name, &value.to_string());
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        // Writing into memory cannot fail.
        let _infallible = write!(self.0, "{value}");
    }

    #[cfg(feature = "kms-api")]
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.key(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Whatever serializes. For what is not secret: the buffer may grow on the way.
    #[cfg(feature = "kms-api")]
    pub(crate) fn value(&mut self, name: &str, value: &impl Serialize) {
        self.key(name);
        self.serialize(value);
    }

    /// The same as an entry of an array.
    #[cfg(feature = "kms-api")]
    pub(crate) fn entry_of(&mut self, value: &impl Serialize) {
        self.separate();
        self.serialize(value);
    }

    #[cfg(feature = "kms-api")]
    fn serialize(&mut self, value: &impl Serialize) {
        let start = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            // No value of ours fails to serialize; whatever happens, a document stays one.
            self.0.truncate(start);
            self.0.extend_from_slice(b"null");
        }
    }

    pub(crate) fn base64(&mut self, name: &str, bytes: &[u8]) {
        self.key(name);
        self.0.push(b'"');
        let start = self.0.len();
        self.0.resize(start + base64_len(bytes.len()), 0);
        let place = self.0.get_mut(start..).unwrap_or_default();
        let written = STANDARD.encode_slice(bytes, place).unwrap_or_default();
        self.0.truncate(start + written);
        self.0.push(b'"');
    }

    fn key(&mut self, name: &str) {
        self.separate();
        self.quote(name);
        self.0.push(b':');
    }

    fn separate(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    fn quote(&mut self, text: &str) {
        self.0.push(b'"');
        if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            for byte in text.bytes() {
                match byte {
                    b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                    0..0x20 => {
                        let _infallible = write!(self.0, "\\u{byte:04x}");
                    }
                    _ => self.0.push(byte),
                }
            }
        }
        self.0.push(b'"');
    }
}

/// How many characters that many bytes are.
pub(crate) const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
