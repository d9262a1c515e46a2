//! The operations on keys.

use super::KeyGrant;
use super::answer::Failure;
use super::service::Shared;
use super::tenant::Inner;
use super::upstream;
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, Ciphertext, Connection, DecryptRequest, Decrypted,
    DescribeKeyRequest, EncryptRequest, KeyUsages, RequestMetadata,
};
use crate::json::EncodedBody;
use crate::xks::integrity::IntegrityValue;
use crate::xks::wire::{
    DecryptBody, EncryptBody, EncryptInput, HealthBody, KeyMetadataBody, Malformed, ParsedMetadata,
    decrypted_body, encrypted_body, key_description_body,
};
use crate::xks::{ErrorName, ProxyOperation};

/// What a request asks for, of the right shape.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    KeyMetadata(KeyMetadataBody<'a>),
    Encrypt(EncryptBody<'a>),
    Decrypt(DecryptBody<'a>),
    Health(HealthBody<'a>),
}

impl<'a> Asked<'a> {
    pub(super) fn parse(operation: ProxyOperation, body: &'a [u8]) -> Result<Self, Malformed> {
        match operation {
            ProxyOperation::GetKeyMetadata => KeyMetadataBody::parse(body).map(Self::KeyMetadata),
            ProxyOperation::Encrypt => EncryptBody::parse(body).map(Self::Encrypt),
            ProxyOperation::Decrypt => DecryptBody::parse(body).map(Self::Decrypt),
            ProxyOperation::GetHealthStatus => HealthBody::parse(body).map(Self::Health),
        }
    }

    pub(super) const fn metadata(&self) -> &ParsedMetadata<'a> {
        match self {
            Self::KeyMetadata(body) => &body.metadata,
            Self::Encrypt(body) => &body.metadata,
            Self::Decrypt(body) => &body.metadata,
            Self::Health(body) => &body.metadata,
        }
    }
}

/// Does what is asked with the key of the grant, within the deadline.
pub(super) async fn carry_out(
    shared: &Shared,
    tenant: &Inner,
    grant: &KeyGrant,
    asked: &Asked<'_>,
) -> Result<EncodedBody, Failure> {
    let link = tenant.connection.load_full();
    let call = Call {
        shared,
        connection: &*link.0,
        key: &grant.backing_key,
        metadata: asked.metadata().as_request_metadata(),
    };
    match asked {
        Asked::KeyMetadata(_) => call.describe(grant.usages).await,
        Asked::Encrypt(body) => {
            let input = body.decode(shared.sizes)?;
            permit(grant.usages.encrypt && (grant.usages.decrypt || !body.verified))?;
            call.encrypt(&input, body.verified).await
        }
        Asked::Decrypt(body) => {
            let input = body.decode(shared.sizes)?;
            permit(grant.usages.decrypt)?;
            call.decrypt(&input.ciphertext, &input.aad).await
        }
        // Has no key, and its own way.
        Asked::Health(_) => Err(Failure::new(ErrorName::Internal)),
    }
}

fn permit(allowed: bool) -> Result<(), Failure> {
    if allowed {
        Ok(())
    } else {
        Err(Failure::new(ErrorName::InvalidKeyUsage).because("the grant does not have the use"))
    }
}

/// One request on its way to the connection.
struct Call<'a> {
    shared: &'a Shared,
    connection: &'a dyn Connection,
    key: &'a BackingKeyId,
    metadata: RequestMetadata<'a>,
}

impl Call<'_> {
    async fn describe(&self, granted: KeyUsages) -> Result<EncodedBody, Failure> {
        let request = DescribeKeyRequest::new(self.metadata, self.key);
        let work = async { self.connection.describe_key(&request).await };
        let mut description = self.within_deadline(ProxyOperation::GetKeyMetadata, work).await?;
        description.usages.encrypt &= granted.encrypt;
        description.usages.decrypt &= granted.decrypt;
        Ok(key_description_body(&description))
    }

    /// The connection is asked for an unverified encryption either way: the check that the protocol describes is of
    /// the very values that will be returned, after the integrity value has been computed, so that whatever damages
    /// them later is found by one or the other (XKS-P-69, XKS-P-70). A plain encryption is not checked, since a
    /// key that can only encrypt has to serve it (XKS-P-76).
    async fn encrypt(&self, input: &EncryptInput, verified: bool) -> Result<EncodedBody, Failure> {
        let request = EncryptRequest::new(self.metadata, self.key, input.plaintext.expose());
        let request = request.with_aad(&input.aad).unverified();
        let work = async {
            let ciphertext = self.connection.encrypt(&request).await?;
            same_length(ciphertext.bytes.len(), input.plaintext.len())?;
            if !verified {
                return Ok((ciphertext, None));
            }
            let integrity = IntegrityValue::compute(&input.aad, &ciphertext);
            self.check(&ciphertext, input).await?;
            Ok((ciphertext, Some(integrity)))
        };
        let (ciphertext, integrity) = self.within_deadline(ProxyOperation::Encrypt, work).await?;
        Ok(encrypted_body(&ciphertext, integrity.as_ref()))
    }

    async fn check(&self, ciphertext: &Ciphertext, input: &EncryptInput) -> Result<(), BackendError> {
        let request = DecryptRequest::new(self.metadata, self.key, ciphertext).with_aad(&input.aad);
        let Decrypted { plaintext, .. } = self.connection.decrypt(&request).await?;
        // In constant time.
        if plaintext == input.plaintext { Ok(()) } else { Err(BackendErrorKind::IntegrityCheckFailed.into()) }
    }

    async fn decrypt(&self, ciphertext: &Ciphertext, aad: &[u8]) -> Result<EncodedBody, Failure> {
        let request = DecryptRequest::new(self.metadata, self.key, ciphertext).with_aad(aad);
        let work = async {
            let decrypted = self.connection.decrypt(&request).await?;
            same_length(decrypted.plaintext.len(), ciphertext.bytes.len())?;
            Ok(decrypted)
        };
        Ok(decrypted_body(&self.within_deadline(ProxyOperation::Decrypt, work).await?))
    }

    async fn within_deadline<T>(
        &self,
        operation: ProxyOperation,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, Failure> {
        let answer = upstream::ask(&*self.shared.clock, self.shared.deadline, work).await;
        answer.map_err(|error| Failure::upstream(&error, operation))
    }
}

/// Both directions keep the length (XKS-P-56, XKS-P-88); a reply that does not is never passed on.
fn same_length(got: usize, asked: usize) -> Result<(), BackendError> {
    if got == asked {
        Ok(())
    } else {
        Err(BackendError::new(BackendErrorKind::InvalidResponse).with_detail("a reply of another length"))
    }
}
