//! Values that must not be seen: redacted in `Debug`, wiped on drop, compared in constant time.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// Bytes that must not be seen, such as a plaintext, a data key or a password.
///
/// `Debug` prints the length alone, the memory is overwritten on drop, and `==` takes a time that
/// depends on the lengths only. There is no `Display` and no serialization.
///
/// ```
/// use custom_key_store::SecretBytes;
///
/// let secret = SecretBytes::from(b"correct horse".as_slice());
/// assert_eq!(format!("{secret:?}"), "SecretBytes(13 bytes)");
/// assert_eq!(secret.expose(), b"correct horse");
/// ```
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over, without a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Whoever copies them is responsible for the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, to be changed in place.
    ///
    /// A slice, so that it cannot grow: growing would leave a copy in freed memory.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Shortens to `length` bytes and wipes the rest; does nothing when it is already shorter.
    pub fn truncate(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            zeroize::Zeroize::zeroize(rest);
            self.0.truncate(length);
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// Copies; the original is the caller's to wipe.
impl From<&[u8]> for SecretBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

/// All that is cleared is spare capacity, which is then wiped in one go; elements would be wiped one by one.
impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.clear();
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.len())
    }
}
