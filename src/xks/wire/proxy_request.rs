//! Requests as a proxy reads them, in two steps.
//!
//! `parse` sees to the shape, which is all that may be wrong before the key has been looked up and the caller
//! authorized; `decode` sees to sizes, Base64 and lengths afterwards. So nobody learns what a key would accept
//! without being allowed to use it.

use std::borrow::Cow;

use super::base64_text::Base64Text;
use super::json;
use super::malformed::Malformed;
use super::metadata::ParsedMetadata;
use super::{AES_GCM, SHA_256, TAG_LEN, name};
use crate::backend::{Ciphertext, CiphertextMetadata, InitializationVector};
use crate::secret::SecretBytes;
use crate::xks::{ErrorName, ProxyOperation};

/// Why a proxy refuses a request, in words for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) name: ErrorName,
    /// Holds nothing of the request (XKS-P-115).
    pub(crate) message: Option<Cow<'static, str>>,
}

impl Refusal {
    pub(crate) const fn new(name: ErrorName) -> Self {
        Self { name, message: None }
    }

    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// A body of the wrong shape is `ValidationException` (XKS-P-32).
impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::new(ErrorName::Validation).with_message(malformed.to_string())
    }
}

/// The greatest sizes that a proxy takes, in bytes; what is larger is `UnsupportedOperationException`
/// (XKS-P-49).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeLimits {
    /// Of a plaintext, and of a ciphertext, which has the same length.
    data: usize,
    /// Of the additional authenticated data.
    aad: usize,
}

impl SizeLimits {
    /// What every proxy has to take (XKS-P-47, XKS-P-52, XKS-P-79, XKS-P-84).
    pub(crate) const MINIMUM: Self = Self { data: 4300, aad: 8192 };

    /// Limits that are at least the [`MINIMUM`](Self::MINIMUM); the authenticated data can have no more than
    /// 65,535 bytes, since its length is authenticated in two.
    pub(crate) fn at_least(data: usize, aad: usize) -> Self {
        let minimum = Self::MINIMUM;
        Self { data: data.max(minimum.data), aad: aad.clamp(minimum.aad, usize::from(u16::MAX)) }
    }

    fn check(self, data: &Base64Text<'_>, aad: Option<&Base64Text<'_>>) -> Result<(), Refusal> {
        let too_large =
            |what: &'static str| Err(Refusal::new(ErrorName::UnsupportedOperation).with_message(what));
        if data.decoded_len() > self.data {
            return too_large("more data than this proxy takes");
        }
        if aad.is_some_and(|aad| aad.decoded_len() > self.aad) {
            return too_large("more additionalAuthenticatedData than this proxy takes");
        }
        Ok(())
    }
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self::MINIMUM
    }
}

/// A request for a key's metadata.
#[derive(Debug)]
pub(crate) struct KeyMetadataBody<'a> {
    pub(crate) metadata: ParsedMetadata<'a>,
}

impl<'a> KeyMetadataBody<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let [metadata] = json::body(body, [name::REQUEST_METADATA])?;
        Ok(Self { metadata: ParsedMetadata::read(metadata, ProxyOperation::GetKeyMetadata)? })
    }
}

/// A request for the health.
#[derive(Debug)]
pub(crate) struct HealthBody<'a> {
    pub(crate) metadata: ParsedMetadata<'a>,
}

impl<'a> HealthBody<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let [metadata] = json::body(body, [name::REQUEST_METADATA])?;
        Ok(Self { metadata: ParsedMetadata::read(metadata, ProxyOperation::GetHealthStatus)? })
    }
}

/// A request for an encryption, of the right shape.
#[derive(Debug)]
pub(crate) struct EncryptBody<'a> {
    pub(crate) metadata: ParsedMetadata<'a>,
    /// Whether an integrity value is wanted (XKS-P-54).
    pub(crate) verified: bool,
    plaintext: Base64Text<'a>,
    aad: Option<Base64Text<'a>>,
}

/// What is to be encrypted.
#[derive(Debug)]
pub(crate) struct EncryptInput {
    pub(crate) plaintext: SecretBytes,
    pub(crate) aad: Vec<u8>,
}

impl<'a> EncryptBody<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let [metadata, plaintext, aad, algorithm, integrity] = json::body(
            body,
            [name::REQUEST_METADATA, name::PLAINTEXT, name::AAD, name::ALGORITHM, name::INTEGRITY_ALGORITHM],
        )?;
        algorithm.word(AES_GCM)?;
        integrity.optional().map(|integrity| integrity.word(SHA_256)).transpose()?;
        Ok(Self {
            metadata: ParsedMetadata::read(metadata, ProxyOperation::Encrypt)?,
            verified: integrity.is_present(),
            plaintext: plaintext.base64()?,
            aad: aad.optional_base64()?,
        })
    }

    /// Sizes, then Base64.
    pub(crate) fn decode(&self, limits: SizeLimits) -> Result<EncryptInput, Refusal> {
        limits.check(&self.plaintext, self.aad.as_ref())?;
        Ok(EncryptInput { plaintext: self.plaintext.decode_secret()?, aad: decode_aad(self.aad.as_ref())? })
    }
}

/// A request for a decryption, of the right shape.
#[derive(Debug)]
pub(crate) struct DecryptBody<'a> {
    pub(crate) metadata: ParsedMetadata<'a>,
    ciphertext: Base64Text<'a>,
    initialization_vector: Base64Text<'a>,
    authentication_tag: Base64Text<'a>,
    ciphertext_metadata: Option<Base64Text<'a>>,
    aad: Option<Base64Text<'a>>,
}

/// What is to be decrypted.
#[derive(Debug)]
pub(crate) struct DecryptInput {
    pub(crate) ciphertext: Ciphertext,
    pub(crate) aad: Vec<u8>,
}

impl<'a> DecryptBody<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let [metadata, ciphertext, iv, tag, ciphertext_metadata, aad, algorithm] = json::body(
            body,
            [
                name::REQUEST_METADATA,
                name::CIPHERTEXT,
                name::IV,
                name::TAG,
                name::METADATA,
                name::AAD,
                name::ALGORITHM,
            ],
        )?;
        algorithm.word(AES_GCM)?;
        Ok(Self {
            metadata: ParsedMetadata::read(metadata, ProxyOperation::Decrypt)?,
            ciphertext: ciphertext.base64()?,
            initialization_vector: iv.base64()?,
            authentication_tag: tag.base64()?,
            ciphertext_metadata: ciphertext_metadata.optional_base64()?,
            aad: aad.optional_base64()?,
        })
    }

    /// Sizes, then Base64, then lengths.
    ///
    /// A vector or tag of another length is a bad ciphertext, and says no more than a wrong one (XKS-P-85,
    /// XKS-P-86, XKS-P-92); metadata that no encryption can have given is a bad request (XKS-P-80).
    pub(crate) fn decode(&self, limits: SizeLimits) -> Result<DecryptInput, Refusal> {
        limits.check(&self.ciphertext, self.aad.as_ref())?;

        let bytes = self.ciphertext.decode()?;
        let aad = decode_aad(self.aad.as_ref())?;
        let iv = self.initialization_vector.decode_short()?;
        let tag = self.authentication_tag.decode_short()?;
        let metadata = match &self.ciphertext_metadata {
            None => CiphertextMetadata::default(),
            Some(text) => {
                CiphertextMetadata::new(text.decode_short()?.as_bytes()).map_err(|_| text.wrong_length())?
            }
        };

        let bad_ciphertext = || Refusal::new(ErrorName::InvalidCiphertext);
        let iv = InitializationVector::new(iv.as_bytes()).map_err(|_| bad_ciphertext())?;
        let tag: [u8; TAG_LEN] = tag.as_bytes().try_into().map_err(|_| bad_ciphertext())?;
        Ok(DecryptInput { ciphertext: Ciphertext::new(bytes, iv, tag).with_metadata(metadata), aad })
    }
}

/// Absent and empty are the same (XKS-P-62).
fn decode_aad(aad: Option<&Base64Text<'_>>) -> Result<Vec<u8>, Malformed> {
    aad.map_or_else(|| Ok(Vec::new()), Base64Text::decode)
}
