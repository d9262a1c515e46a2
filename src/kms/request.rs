//! What is asked, and what is answered.

use std::fmt;
use std::time::SystemTime;

use super::key_ref::KeyRef;
use crate::backend::{
    AccountId, CloudHsmConfiguration, KeyStorePassword, StoreConfiguration, StoreName, UriEndpoint, UriPath,
    VpcEndpointServiceName, XksProxyConfiguration, XksProxyCredential,
};
use crate::crypto::{CiphertextBlob, EncryptionContext, NO_CONTEXT};
use crate::key::{AliasName, KeyArn, KeyId};
use crate::secret::SecretBytes;
use crate::store::DataKeyLength;

/// A custom key store that is to be created.
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateCustomKeyStore {
    pub(super) name: StoreName,
    pub(super) configuration: StoreConfiguration,
    pub(super) secret: StoreSecret,
}

impl CreateCustomKeyStore {
    /// An external key store behind the proxy at this endpoint and path.
    pub fn external(
        name: StoreName,
        endpoint: UriEndpoint,
        path: UriPath,
        credential: XksProxyCredential,
    ) -> Self {
        let proxy = XksProxyConfiguration::public(endpoint, path, credential.access_key_id.clone());
        let secret = StoreSecret::Credential(credential);
        Self { name, configuration: StoreConfiguration::External(proxy), secret }
    }

    /// The same, reached through a VPC endpoint service; without an owner it is one of the same account. Nothing changes
    /// for a CloudHSM key store.
    pub fn through_vpc_endpoint_service(
        mut self,
        name: VpcEndpointServiceName,
        owner: Option<AccountId>,
    ) -> Self {
        self.configuration = match self.configuration {
            StoreConfiguration::External(proxy) => {
                StoreConfiguration::External(proxy.through_vpc_endpoint_service(name, owner))
            }
            other => other,
        };
        self
    }

    /// A CloudHSM key store on this cluster, whose `kmsuser` has this password.
    pub const fn cloud_hsm(
        name: StoreName,
        cluster: CloudHsmConfiguration,
        password: KeyStorePassword,
    ) -> Self {
        let secret = StoreSecret::Password(password);
        Self { name, configuration: StoreConfiguration::CloudHsm(cluster), secret }
    }
}

/// What a store needs to be let in. `Debug` hides it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreSecret {
    /// That of an external key store: the credential of its proxy.
    Credential(XksProxyCredential),
    /// That of a CloudHSM key store: the password of `kmsuser`, as the store was last told it.
    Password(KeyStorePassword),
}

/// `Encrypt`: 1 to 4,096 bytes.
#[derive(Clone, Copy)]
#[must_use]
pub struct Encrypt<'a> {
    pub(super) key: &'a KeyRef,
    pub(super) plaintext: &'a [u8],
    pub(super) context: &'a EncryptionContext,
    pub(super) dry_run: bool,
}

impl<'a> Encrypt<'a> {
    /// These bytes under this KMS key, without an encryption context.
    pub fn new(key: &'a KeyRef, plaintext: &'a [u8]) -> Self {
        Self { key, plaintext, context: &NO_CONTEXT, dry_run: false }
    }

    /// With this encryption context, which whoever decrypts must give again.
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = context;
        self
    }

    /// Only finds out whether it would be refused, without the key manager. One that would not be is
    /// `DryRunOperationException`.
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What [`Encrypt`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Encrypted {
    /// The KMS key.
    pub key: KeyArn,
    /// The ciphertext, which names its KMS key.
    pub ciphertext: CiphertextBlob,
}

/// `Decrypt`: a ciphertext blob, which names its KMS key.
#[derive(Clone, Copy)]
#[must_use]
pub struct Decrypt<'a> {
    pub(super) ciphertext: &'a [u8],
    pub(super) key: Option<&'a KeyRef>,
    pub(super) context: &'a EncryptionContext,
    pub(super) dry_run: bool,
}

impl<'a> Decrypt<'a> {
    /// This blob, which was encrypted without an encryption context.
    pub fn new(ciphertext: &'a [u8]) -> Self {
        Self { ciphertext, key: None, context: &NO_CONTEXT, dry_run: false }
    }

    /// Only if it was encrypted under this KMS key: best practice where it is known.
    pub const fn key(mut self, key: &'a KeyRef) -> Self {
        self.key = Some(key);
        self
    }

    /// With the encryption context that it was encrypted with.
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = context;
        self
    }

    /// As for [`Encrypt::dry_run`].
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What [`Decrypt`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decrypted {
    /// The KMS key.
    pub key: KeyArn,
    /// What was encrypted. `Debug` hides it; memory is wiped.
    pub plaintext: SecretBytes,
}

/// `ReEncrypt`: from one KMS key, encryption context or both to another, be it of another custom key store. The plaintext
/// is not given out.
#[derive(Clone, Copy)]
#[must_use]
pub struct ReEncrypt<'a> {
    pub(super) ciphertext: &'a [u8],
    pub(super) source_key: Option<&'a KeyRef>,
    pub(super) source_context: &'a EncryptionContext,
    pub(super) destination_key: &'a KeyRef,
    pub(super) destination_context: &'a EncryptionContext,
    pub(super) dry_run: bool,
}

impl<'a> ReEncrypt<'a> {
    /// This blob, to be encrypted under this KMS key, both without an encryption context.
    pub fn new(ciphertext: &'a [u8], destination_key: &'a KeyRef) -> Self {
        Self {
            ciphertext,
            source_key: None,
            source_context: &NO_CONTEXT,
            destination_key,
            destination_context: &NO_CONTEXT,
            dry_run: false,
        }
    }

    /// Only if it was encrypted under this KMS key.
    pub const fn source_key(mut self, key: &'a KeyRef) -> Self {
        self.source_key = Some(key);
        self
    }

    /// With the encryption context that it was encrypted with.
    pub const fn source_context(mut self, context: &'a EncryptionContext) -> Self {
        self.source_context = context;
        self
    }

    /// With this encryption context from then on.
    pub const fn destination_context(mut self, context: &'a EncryptionContext) -> Self {
        self.destination_context = context;
        self
    }

    /// As for [`Encrypt::dry_run`].
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What [`ReEncrypt`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReEncrypted {
    /// The KMS key that it was encrypted under.
    pub source_key: KeyArn,
    /// The KMS key that it is encrypted under now.
    pub key: KeyArn,
    /// The new ciphertext.
    pub ciphertext: CiphertextBlob,
}

/// `GenerateDataKey` and `GenerateDataKeyWithoutPlaintext`.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct GenerateDataKey<'a> {
    pub(super) key: &'a KeyRef,
    pub(super) length: DataKeyLength,
    pub(super) context: &'a EncryptionContext,
    pub(super) dry_run: bool,
}

impl<'a> GenerateDataKey<'a> {
    /// A data key of this length, wrapped under this KMS key without an encryption context.
    pub fn new(key: &'a KeyRef, length: DataKeyLength) -> Self {
        Self { key, length, context: &NO_CONTEXT, dry_run: false }
    }

    /// With this encryption context, which whoever unwraps it must give again.
    pub const fn context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = context;
        self
    }

    /// As for [`Encrypt::dry_run`].
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What [`GenerateDataKey`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GeneratedDataKey {
    /// The KMS key that it is wrapped under.
    pub key: KeyArn,
    /// The data key. `Debug` hides it; memory is wiped.
    pub plaintext: SecretBytes,
    /// The data key as it is stored beside the data.
    pub ciphertext: CiphertextBlob,
}

/// What `ScheduleKeyDeletion` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduledDeletion {
    /// The KMS key.
    pub key: KeyArn,
    /// When it is due. It takes place up to an hour later while there is a driver; later where the cluster that holds the key
    /// is just being connected, and where the wall clock was set to another time.
    pub deletion_date: SystemTime,
    /// How many days that is.
    pub pending_window_in_days: u32,
}

/// An entry of `ListAliases`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AliasEntry {
    /// The name.
    pub name: AliasName,
    /// Its ARN.
    pub arn: String,
    /// The KMS key that it stands for.
    pub key: KeyId,
    /// When it was created.
    pub created: SystemTime,
    /// When it last came to stand for a key.
    pub updated: SystemTime,
}

/// How many bytes there are, and no more: a plaintext is not for logs, and a ciphertext not of use there.
struct Bytes(usize);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

impl fmt::Debug for Encrypt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, plaintext, context, dry_run } = self;
        f.debug_struct("Encrypt")
            .field("key", key)
            .field("plaintext", &Bytes(plaintext.len()))
            .field("context", context)
            .field("dry_run", dry_run)
            .finish()
    }
}

impl fmt::Debug for Decrypt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ciphertext, key, context, dry_run } = self;
        f.debug_struct("Decrypt")
            .field("ciphertext", &Bytes(ciphertext.len()))
            .field("key", key)
            .field("context", context)
            .field("dry_run", dry_run)
            .finish()
    }
}

impl fmt::Debug for ReEncrypt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ciphertext, source_key, source_context, destination_key, destination_context, dry_run } =
            self;
        f.debug_struct("ReEncrypt")
            .field("ciphertext", &Bytes(ciphertext.len()))
            .field("source_key", source_key)
            .field("source_context", source_context)
            .field("destination_key", destination_key)
            .field("destination_context", destination_context)
            .field("dry_run", dry_run)
            .finish()
    }
}
