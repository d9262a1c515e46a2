//! New KMS keys, which only a connected store can make.

use async_trait::async_trait;

use super::{Acting, Handle, supervise};
use crate::backend::{
    BackingKeyId, CustomKeyStoreType, DeleteKeyRequest, DescribeKeyRequest, GenerateKeyRequest, Operation,
    RequestId,
};
use crate::error::Error;
use crate::key::{KeyArn, KeyId, KeyMetadata, NewKey, Reach};
use crate::value::{InvalidValue, Problem};

impl Handle {
    /// Creates a KMS key: in an external key store one that refers to a key of the external key manager, in a CloudHSM
    /// key store one that the cluster makes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a key of the other kind of store,
    /// [`ExternalKeyInUse`](crate::ErrorKind::ExternalKeyInUse),
    /// [`UnsuitableExternalKey`](crate::ErrorKind::UnsuitableExternalKey),
    /// [`NotConnected`](crate::ErrorKind::NotConnected) (the key may have been created all the same, if the store was
    /// disconnected meanwhile), [`Catalog`](crate::ErrorKind::Catalog), in it
    /// [`NotFound`](crate::catalog::CatalogErrorKind::NotFound) when the store was deleted meanwhile (no KMS key was
    /// created; a key that the cluster had made for it is named by the sources of the error, and is listed nowhere), and
    /// [`Backend`](crate::ErrorKind::Backend) for what the key manager answers, where
    /// [`KeyNotFound`](crate::backend::BackendErrorKind::KeyNotFound) means that it has no such external key.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the KMS key may have been created. A key that the cluster made for nothing is
    /// listed as an [orphan](crate::Keys::orphans), as long as the store is there.
    pub async fn create_key(&self, new: &NewKey) -> Result<KeyMetadata, Error> {
        self.acting().create_key(new).await
    }
}

impl Acting<'_> {
    pub(crate) async fn create_key(self, new: &NewKey) -> Result<KeyMetadata, Error> {
        new.check()?;
        let refused = |expected, problem| Err(InvalidValue::new("XksKeyId", expected, problem).into());
        let id = KeyId::generate();
        let arn = id.arn(self.shared.ring.ledger().identity());
        let created = match (self.shared.store_type, new.external_key()) {
            (CustomKeyStoreType::ExternalKeyStore, Some(key)) => {
                self.create_external(id, &arn, new, key).await?
            }
            (CustomKeyStoreType::AwsCloudhsm, None) => self.create_generated(id, &arn, new).await?,
            (CustomKeyStoreType::ExternalKeyStore, None) => {
                return refused("a key of the external key manager: NewKey::external", Problem::Missing);
            }
            (CustomKeyStoreType::AwsCloudhsm, Some(_)) => {
                let problem = Problem::Inconsistent { with: "CustomKeyStoreType" };
                return refused("none, since the cluster makes the key: NewKey::generated", problem);
            }
        };
        // Nothing is delivered when a disconnect is over, which does not wait for the catalogue.
        if self.shared.slot.current().is_some() { Ok(created) } else { Err(Error::ABANDONED) }
    }

    async fn create_external(
        self,
        id: KeyId,
        arn: &KeyArn,
        new: &NewKey,
        key: &BackingKeyId,
    ) -> Result<KeyMetadata, Error> {
        let ring = &self.shared.ring;
        if !self.is_connected() {
            return Err(Error::NOT_CONNECTED);
        }
        ring.refuse_taken(key).await?;
        let description = call!(self, &Operation::CREATE_KEY, describe_key, |metadata| {
            DescribeKeyRequest::new(metadata.with_kms_key_arn(arn.as_str()), key)
        })
        .map_err(|error| error.on_key(key, None))?;
        description.refuse_unsuitable(key)?;
        ring.keep_external(id, new, key).await
    }

    async fn create_generated(self, id: KeyId, arn: &KeyArn, new: &NewKey) -> Result<KeyMetadata, Error> {
        let ring = &self.shared.ring;
        if !self.is_connected() {
            return Err(Error::NOT_CONNECTED);
        }
        ring.expect_generated(id).await?;
        let generated = call!(self, &Operation::CREATE_KEY, generate_key, |metadata| {
            GenerateKeyRequest::new(metadata.with_kms_key_arn(arn.as_str()), arn.as_str())
        });
        match generated {
            Ok(generated) => ring.keep_generated(id, new, generated.key).await,
            Err(error) => {
                if !error.may_have_taken_effect() {
                    // Should this fail, an orphan is listed that is none; the first error says more.
                    let _ = ring.expect_no_more(id).await;
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Reach for Handle {
    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    async fn delete_key(&self, key: &BackingKeyId, arn: &KeyArn) -> Result<(), Error> {
        let acting = self.acting();
        call!(acting, &Operation::DELETE_KEY, delete_key, |metadata| {
            DeleteKeyRequest::new(metadata.with_kms_key_arn(arn.as_str()), key)
        })
        .map_err(|error| error.on_key(key, Some(arn.key_id())))
    }
}
