//! Making credentials for a proxy, and handing them to whoever configures a key store.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::backend::{
    AccessKeyId, BackendError, BackendErrorKind, SecretAccessKey, UriPath, XksProxyCredential,
};
use crate::secret::SecretBytes;

#[cfg(test)]
mod tests;

/// 120 random bits: within the protocol's 20 to 30 characters, and never the same twice.
const ACCESS_KEY_ID_LEN: usize = 24;
/// The entropy that the protocol demands of a secret.
const SECRET_BYTES: usize = 32;
/// What Base64 makes of that many bytes.
const SECRET_LEN: usize = 44;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl XksProxyCredential {
    /// A new credential: 24 random characters of `A-Z 2-7`, and 32 random bytes as 44 characters of Base64.
    ///
    /// The two are drawn apart, so that the id reveals nothing about the secret.
    ///
    /// # Errors
    ///
    /// [`Internal`](BackendErrorKind::Internal) when the system gives no random bytes.
    ///
    /// ```
    /// use custom_key_store::backend::XksProxyCredential;
    ///
    /// let credential = XksProxyCredential::generate()?;
    /// assert_eq!(credential.access_key_id.as_str().len(), 24);
    /// # Ok::<(), custom_key_store::backend::BackendError>(())
    /// ```
    pub fn generate() -> Result<Self, BackendError> {
        let failed = || BackendError::new(BackendErrorKind::Internal).with_detail("no random bytes");

        let mut id = [0; ACCESS_KEY_ID_LEN];
        rand::fill(&mut id).map_err(|_| failed())?;
        // 256 is a multiple of 32, so every character is equally likely.
        let id: String = id
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)))
            .copied()
            .map(char::from)
            .collect();

        let mut random = Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(random.as_mut_slice()).map_err(|_| failed())?;
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        let length = STANDARD.encode_slice(random.as_slice(), secret.as_mut_slice());
        random.zeroize();
        let secret = length.ok().and_then(|length| secret.get(..length)).and_then(|s| str::from_utf8(s).ok());
        let secret = secret.and_then(|secret| SecretAccessKey::new(secret).ok()).ok_or_else(failed)?;
        Ok(Self::new(AccessKeyId::new(id).map_err(|_| failed())?, secret))
    }

    /// The file that the KMS console takes to configure an external key store: path and credential as JSON.
    ///
    /// It holds the secret and is as sensitive as that: give it to authenticated and authorized people alone. The
    /// endpoint is not part of it.
    ///
    /// ```
    /// use custom_key_store::backend::{UriPath, XksProxyCredential};
    ///
    /// let file = XksProxyCredential::generate()?.configuration_file(&UriPath::new("/tenant-a/kms/xks/v1")?);
    /// assert!(file.expose().starts_with(b"{\n  \"XksProxyUriPath\": \"/tenant-a/kms/xks/v1\""));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn configuration_file(&self, path: &UriPath) -> SecretBytes {
        // No alphabet among the three has a character that JSON would escape.
        let parts: [&[u8]; 7] = [
            b"{\n  \"XksProxyUriPath\": \"",
            path.as_str().as_bytes(),
            b"\",\n  \"XksProxyAuthenticationCredential\": {\n    \"AccessKeyId\": \"",
            self.access_key_id.as_str().as_bytes(),
            b"\",\n    \"RawSecretAccessKey\": \"",
            self.secret_access_key.expose(),
            b"\"\n  }\n}\n",
        ];
        // `concat` reserves the exact length: the secret leaves no copy behind in a buffer that grew.
        SecretBytes::new(parts.concat())
    }
}
