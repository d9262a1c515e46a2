//! One call of each operation, and what comes of it when what it names is not there, or what is kept of it does not answer.

use custom_key_store::backend::{BackingKeyId, Change, StoreName};
use custom_key_store::kms::Action::{self, *};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{
    Decrypt as DecryptCall, Encrypt as EncryptCall, GenerateDataKey as DataKeyCall, KeyRef, KmsError,
    ReEncrypt as ReEncryptCall,
};
use custom_key_store::{
    AliasName, DataKeyLength, KeyId, KeyText, NewKey, PageRequest, StoreId, TagKey, TagValue,
};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::rig::Rig;
use crate::kms::support::cloud_hsm;

/// A call under way.
pub(super) type Call<'a> = LocalBoxFuture<'a, Result<(), KmsError>>;

/// What a call names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Connected.
    pub(super) store: StoreId,
    pub(super) cluster: StoreId,
    /// Disconnected, without keys.
    pub(super) idle: StoreId,
    pub(super) idle_name: StoreName,
    pub(super) key: KeyId,
    pub(super) alias: AliasName,
    pub(super) blob: Vec<u8>,
}

impl Names {
    /// What there is. The key was used, and nothing of it is remembered.
    pub(super) async fn known(rig: &Rig) -> Self {
        let alias = AliasName::new("alias/payroll").unwrap();
        rig.kms.create_alias(&alias, &rig.key).await.unwrap();
        let sealed = rig.kms.encrypt(&EncryptCall::new(&rig.key.into(), b"attack at dawn")).await.unwrap();
        rig.kms.disable_key(&rig.key).await.unwrap();
        rig.kms.enable_key(&rig.key).await.unwrap();
        Self {
            store: rig.store.clone(),
            cluster: rig.cluster.clone(),
            idle: rig.idle.clone(),
            idle_name: StoreName::new("idle").unwrap(),
            key: rig.key,
            alias,
            blob: sealed.ciphertext.into_bytes(),
        }
    }

    /// What there is not.
    pub(super) fn unknown(mut self) -> Self {
        let store = StoreId::new("cks-1234567890abcdef0").unwrap();
        (self.store, self.cluster, self.idle) = (store.clone(), store.clone(), store);
        self.idle_name = StoreName::new("nobody").unwrap();
        self.alias = AliasName::new("alias/nobody").unwrap();
        self.key = KeyId::new("01234567-89ab-cdef-0123-456789abcdef").unwrap();
        // Where a blob has the id of its key.
        self.blob[2..18].copy_from_slice(&[7; 16]);
        self
    }
}

/// A call, and its answers.
pub(super) struct Sample {
    pub(super) action: Action,
    pub(super) call: for<'a> fn(&'a Rig, &'a Names) -> Call<'a>,
    /// When what it names is not there.
    pub(super) unknown: Option<Exception>,
    /// When the deletion of the key is scheduled.
    pub(super) pending: Option<Exception>,
    /// When the catalogue does not answer.
    pub(super) hangs: Option<Exception>,
    /// When what is kept is damaged.
    pub(super) fails: Option<Exception>,
}

const fn sample(
    action: Action,
    call: for<'a> fn(&'a Rig, &'a Names) -> Call<'a>,
    [unknown, pending, hangs, fails]: [Option<Exception>; 4],
) -> Sample {
    Sample { action, call, unknown, pending, hangs, fails }
}

/// In the order of AWS's chapters.
pub(super) const SAMPLES: &[Sample] = &[
    sample(CreateCustomKeyStore, create_store, [None, None, INTERNAL, INTERNAL]),
    sample(ConnectCustomKeyStore, connect, [NO_STORE, None, INTERNAL, INTERNAL]),
    sample(DisconnectCustomKeyStore, disconnect, [NO_STORE, None, INTERNAL, INTERNAL]),
    sample(DescribeCustomKeyStores, describe_store, [NO_STORE, None, INTERNAL, INTERNAL]),
    sample(UpdateCustomKeyStore, update, [NO_STORE, None, INTERNAL, INTERNAL]),
    sample(DeleteCustomKeyStore, delete, [NO_STORE, None, INTERNAL, INTERNAL]),
    sample(CreateKey, create_key, [NO_STORE, None, TIMEOUT, INTERNAL]),
    sample(DescribeKey, describe_key, [NO_KEY, None, TIMEOUT, INTERNAL]),
    sample(ListKeys, list_keys, [None, None, TIMEOUT, INTERNAL]),
    sample(EnableKey, |r, n| r.kms.enable_key(&n.key).boxed_local(), CHANGES),
    sample(DisableKey, |r, n| r.kms.disable_key(&n.key).boxed_local(), CHANGES),
    sample(ScheduleKeyDeletion, schedule_deletion, CHANGES),
    sample(CancelKeyDeletion, cancel_deletion, [NO_KEY, None, TIMEOUT, INTERNAL]),
    sample(UpdateKeyDescription, update_description, CHANGES),
    sample(CreateAlias, create_alias, CHANGES),
    sample(UpdateAlias, |r, n| r.kms.update_alias(&n.alias, &n.key).boxed_local(), CHANGES),
    sample(DeleteAlias, |r, n| r.kms.delete_alias(&n.alias).boxed_local(), [NO_KEY, None, TIMEOUT, INTERNAL]),
    sample(ListAliases, list_aliases, [NO_KEY, None, TIMEOUT, INTERNAL]),
    // Of these three the model says nothing of a time limit.
    sample(TagResource, tag, [NO_KEY, INVALID, INTERNAL, INTERNAL]),
    sample(UntagResource, untag, [NO_KEY, INVALID, INTERNAL, INTERNAL]),
    sample(ListResourceTags, list_tags, [NO_KEY, None, INTERNAL, INTERNAL]),
    sample(GetKeyPolicy, policy, [NO_KEY, None, TIMEOUT, INTERNAL]),
    sample(ListKeyPolicies, policies, [NO_KEY, None, TIMEOUT, INTERNAL]),
    sample(Encrypt, encrypt, CHANGES),
    sample(Decrypt, decrypt, CHANGES),
    sample(ReEncrypt, re_encrypt, CHANGES),
    sample(GenerateDataKey, data_key, CHANGES),
    sample(GenerateDataKeyWithoutPlaintext, wrapped_data_key, CHANGES),
    // Asks nothing of what is kept.
    sample(GenerateRandom, random, [NO_STORE, None, None, None]),
];

const NO_STORE: Option<Exception> = Some(CustomKeyStoreNotFound);
const NO_KEY: Option<Exception> = Some(NotFound);
const INVALID: Option<Exception> = Some(KmsInvalidState);
const TIMEOUT: Option<Exception> = Some(DependencyTimeout);
const INTERNAL: Option<Exception> = Some(KmsInternal);
/// Of what needs a key that is not to be deleted.
const CHANGES: [Option<Exception>; 4] = [NO_KEY, INVALID, TIMEOUT, INTERNAL];

fn create_store<'a>(rig: &'a Rig, _: &'a Names) -> Call<'a> {
    async { rig.kms.create_custom_key_store(cloud_hsm("new", "abcdefghij4")).await.map(drop) }.boxed_local()
}

fn connect<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    rig.kms.connect_custom_key_store(&names.idle).boxed_local()
}

fn disconnect<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    rig.kms.disconnect_custom_key_store(&names.store).boxed_local()
}

fn describe_store<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.describe_custom_key_store_named(&names.idle_name).await.map(drop) }.boxed_local()
}

fn update<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    let change = Change::new().name(StoreName::new("renamed").unwrap());
    rig.kms.update_custom_key_store(&names.idle, change).boxed_local()
}

fn delete<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    rig.kms.delete_custom_key_store(&names.idle).boxed_local()
}

fn create_key<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let new = NewKey::external(BackingKeyId::new("free").unwrap());
        rig.kms.create_key(&names.store, &new).await.map(drop)
    }
    .boxed_local()
}

fn describe_key<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.describe_key(&names.key.into()).await.map(drop) }.boxed_local()
}

fn list_keys<'a>(rig: &'a Rig, _: &'a Names) -> Call<'a> {
    async { rig.kms.list_keys(&PageRequest::default()).await.map(drop) }.boxed_local()
}

fn schedule_deletion<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.schedule_key_deletion(&names.key, None).await.map(drop) }.boxed_local()
}

fn cancel_deletion<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    rig.kms.cancel_key_deletion(&names.key).boxed_local()
}

fn update_description<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    rig.kms.update_key_description(&names.key, KeyText::new("new").unwrap()).boxed_local()
}

fn create_alias<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.create_alias(&AliasName::new("alias/new").unwrap(), &names.key).await }.boxed_local()
}

fn list_aliases<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.list_aliases(Some(&names.key), &PageRequest::default()).await.map(drop) }.boxed_local()
}

fn tag<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let tag = (TagKey::new("team").unwrap(), TagValue::new("payroll").unwrap());
        rig.kms.tag_resource(&names.key, &[tag]).await
    }
    .boxed_local()
}

fn untag<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.untag_resource(&names.key, &[TagKey::new("team").unwrap()]).await }.boxed_local()
}

fn list_tags<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.list_resource_tags(&names.key).await.map(drop) }.boxed_local()
}

fn policy<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.key_policy(&names.key).await.map(drop) }.boxed_local()
}

fn policies<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.list_key_policies(&names.key).await.map(drop) }.boxed_local()
}

fn encrypt<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let key = KeyRef::Id(names.key);
        rig.kms.encrypt(&EncryptCall::new(&key, b"attack at dawn")).await.map(drop)
    }
    .boxed_local()
}

fn decrypt<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.decrypt(&DecryptCall::new(&names.blob)).await.map(drop) }.boxed_local()
}

fn re_encrypt<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let destination = KeyRef::Id(rig.cluster_key);
        rig.kms.re_encrypt(&ReEncryptCall::new(&names.blob, &destination)).await.map(drop)
    }
    .boxed_local()
}

fn data_key<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let key = KeyRef::Id(names.key);
        rig.kms.generate_data_key(&DataKeyCall::new(&key, DataKeyLength::AES_256)).await.map(drop)
    }
    .boxed_local()
}

fn wrapped_data_key<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async {
        let key = KeyRef::Id(names.key);
        let request = DataKeyCall::new(&key, DataKeyLength::AES_128);
        rig.kms.generate_data_key_without_plaintext(&request).await.map(drop)
    }
    .boxed_local()
}

fn random<'a>(rig: &'a Rig, names: &'a Names) -> Call<'a> {
    async { rig.kms.generate_random(32, Some(&names.cluster)).await.map(drop) }.boxed_local()
}
