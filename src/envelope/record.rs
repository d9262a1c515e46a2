//! Records: data in memory, sealed in one piece.

use zeroize::Zeroize as _;

use super::Envelope;
use super::error::EnvelopeError;
use super::format::{Body, Sealed};
use super::materials::set_len;
use crate::crypto::{EncryptionContext, TAG_LEN};
use crate::secret::SecretBytes;

/// Records.
impl Envelope {
    /// Seals data in one piece, up to 64 GiB. The record is longer by the wrapped data key and 86 bytes.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Source`], also when the store is not connected; [`EnvelopeError::TooLong`].
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn seal(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, EnvelopeError> {
        let mut record = Vec::new();
        self.seal_into(plaintext, context, &mut record).await?;
        Ok(record)
    }

    /// [`seal`](Self::seal) into a buffer, whose content is replaced. One that is used again costs neither an
    /// allocation nor a pass over its memory. After an error its content is unspecified; no plaintext is in it.
    ///
    /// # Errors
    ///
    /// Those of [`seal`](Self::seal).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn seal_into(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
        record: &mut Vec<u8>,
    ) -> Result<(), EnvelopeError> {
        let materials = self.cache.to_seal(context, plaintext.len() as u64).await?;
        materials.seal_record(plaintext, record)
    }

    /// Opens a record, given the encryption context that it was sealed with.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Invalid`], [`EnvelopeError::UnknownVersion`], and [`EnvelopeError::Source`], which includes
    /// [`IncorrectKey`](crate::ErrorKind::IncorrectKey) when the data key is wrapped under a KMS key that the source
    /// does not accept.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn open(
        &self,
        record: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecretBytes, EnvelopeError> {
        let record = parse(record)?;
        let materials = self.cache.to_open(context, record.wrapped).await?;
        let mut plaintext = SecretBytes::new(vec![0; record.rest.len().saturating_sub(TAG_LEN)]);
        materials.open_record(&record.fixed, record.rest, plaintext.expose_mut())?;
        Ok(plaintext)
    }

    /// [`open`](Self::open) into a buffer, whose content is replaced, and which is the caller's to wipe. One that is
    /// used again costs neither an allocation nor a pass over its memory. After an error it is empty, and what it held
    /// is wiped.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will; the buffer's content is then what it was.
    pub async fn open_into(
        &self,
        record: &[u8],
        context: &EncryptionContext,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), EnvelopeError> {
        let opened = async {
            let record = parse(record)?;
            let materials = self.cache.to_open(context, record.wrapped).await?;
            let length = record.rest.len().saturating_sub(TAG_LEN);
            if plaintext.capacity() < length {
                // Its memory is about to be given back.
                wipe(plaintext);
            }
            set_len(plaintext, length);
            materials.open_record(&record.fixed, record.rest, plaintext)
        }
        .await;
        if opened.is_err() {
            wipe(plaintext);
        }
        opened
    }
}

/// The slice in one go, which a `Vec` does not do by itself.
fn wipe(plaintext: &mut Vec<u8>) {
    plaintext.as_mut_slice().zeroize();
    plaintext.clear();
}

fn parse(record: &[u8]) -> Result<Sealed<'_>, EnvelopeError> {
    let record = Sealed::parse(record)?;
    // Short of a tag it is none, which nobody need be asked about.
    let whole = record.fixed.body == Body::Record && record.rest.len() >= TAG_LEN;
    if whole { Ok(record) } else { Err(EnvelopeError::Invalid) }
}
