//! Bodies on their way out, wiped when they are no longer needed.

use std::fmt;

use crate::secret::SecretBytes;

/// The JSON of a request or a response, ready to be sent.
///
/// All are wiped on drop, whether they carry a plaintext or not. Meant for `Bytes::from_owner`, which neither
/// copies nor forgets to drop.
#[derive(Clone)]
pub(crate) struct EncodedBody(SecretBytes);

impl EncodedBody {
    pub(super) const fn new(bytes: SecretBytes) -> Self {
        Self(bytes)
    }

    /// The bytes; those that are signed are those that are sent (XKS-C-27).
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.expose()
    }
}

impl AsRef<[u8]> for EncodedBody {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for EncodedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedBody({} bytes)", self.0.len())
    }
}
