//! Calls as futures.

use std::time::SystemTime;

use custom_key_store::backend::{
    AccessKeyId, BackingKeyId, Change, CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword,
    SecretAccessKey, TrustAnchorCertificate, UriEndpoint, UriPath, VpcEndpointServiceName,
    XksProxyCredential,
};
use custom_key_store::kms::{
    CreateCustomKeyStore, Decrypt, Encrypt, GenerateDataKey, KeyRef, Kms, KmsError, ReEncrypt,
};
use custom_key_store::{
    AliasName, DataKeyLength, EncryptionContext, KeyArn, KeyId, KeyMetadata, NewKey, StoreId, StoreName,
    TagKey, TagValue,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::model::View;
use super::op::{Call, Edit, KeyEdit, Named, Place, Settings, Wrong};
use super::text;
use crate::support::identity;

/// What is encrypted everywhere.
pub(super) const PLAINTEXT: &[u8] = b"attack at dawn";

#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Store(StoreId),
    Key(Box<KeyMetadata>),
    Scheduled(SystemTime),
    Blob(KeyArn, Vec<u8>),
    Plaintext(KeyArn, Vec<u8>),
    DataKey(KeyArn, Vec<u8>, Vec<u8>),
    Moved(KeyArn, KeyArn, Vec<u8>),
    Random(Vec<u8>),
}

/// Something that was encrypted.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) key: usize,
    pub(super) context: u8,
    /// `None` where nobody was told.
    pub(super) plaintext: Option<Vec<u8>>,
    pub(super) bytes: Vec<u8>,
}

pub(super) type CallFuture = BoxFuture<'static, Result<Answer, KmsError>>;

/// The future of a call, which has not begun before it is polled.
pub(super) fn future(kms: &Kms, call: &Call, view: &View, blobs: &[Blob]) -> CallFuture {
    let kms = kms.clone();
    let store = |index: usize| view.stores[index].id.clone();
    let key = |index: usize| view.keys[index].id;
    match *call {
        Call::Create(settings) => {
            let request = create(settings);
            async move { kms.create_custom_key_store(request).await.map(Answer::Store) }.boxed()
        }
        Call::Connect(index) => {
            let id = store(index);
            async move { kms.connect_custom_key_store(&id).await.map(done) }.boxed()
        }
        Call::Disconnect(index) => {
            let id = store(index);
            async move { kms.disconnect_custom_key_store(&id).await.map(done) }.boxed()
        }
        Call::Update(index, edit) => {
            let (id, change) = (store(index), change(edit, view.stores[index].place()));
            async move { kms.update_custom_key_store(&id, change).await.map(done) }.boxed()
        }
        Call::Delete(index) => {
            let id = store(index);
            async move { kms.delete_custom_key_store(&id).await.map(done) }.boxed()
        }
        Call::CreateKey(index, backing) => {
            let new = backing.map_or_else(NewKey::generated, |key| NewKey::external(backing_key(key)));
            let (id, new) = (store(index), new.description(text(0)));
            let made = |key| Answer::Key(Box::new(key));
            async move { kms.create_key(&id, &new).await.map(made) }.boxed()
        }
        Call::Key(index, edit) => edit_key(kms, key(index), edit),
        Call::CreateAlias(name, index) => {
            let (name, key) = (alias(name), key(index));
            async move { kms.create_alias(&name, &key).await.map(done) }.boxed()
        }
        Call::UpdateAlias(name, index) => {
            let (name, key) = (alias(name), key(index));
            async move { kms.update_alias(&name, &key).await.map(done) }.boxed()
        }
        Call::DeleteAlias(name) => {
            let name = alias(name);
            async move { kms.delete_alias(&name).await.map(done) }.boxed()
        }
        Call::Encrypt { key, context: number, dry } => {
            let (key, context) = (named(key, view), context(number));
            async move {
                let request = Encrypt::new(&key, PLAINTEXT).context(&context).dry_run(dry);
                let sealed = kms.encrypt(&request).await?;
                Ok(Answer::Blob(sealed.key, sealed.ciphertext.as_bytes().to_vec()))
            }
            .boxed()
        }
        Call::Decrypt { blob, wrong, named: name, dry } => {
            let (bytes, context) = given(&blobs[blob], wrong);
            let name = name.map(|name| named(name, view));
            async move {
                let mut request = Decrypt::new(&bytes).context(&context).dry_run(dry);
                if let Some(key) = &name {
                    request = request.key(key);
                }
                let opened = kms.decrypt(&request).await?;
                Ok(Answer::Plaintext(opened.key, opened.plaintext.expose().to_vec()))
            }
            .boxed()
        }
        Call::ReEncrypt { blob, to } => {
            let ((bytes, from), to) = (given(&blobs[blob], None), named(to, view));
            async move {
                let context = context(1);
                let request = ReEncrypt::new(&bytes, &to).source_context(&from).destination_context(&context);
                let moved = kms.re_encrypt(&request).await?;
                Ok(Answer::Moved(moved.source_key, moved.key, moved.ciphertext.as_bytes().to_vec()))
            }
            .boxed()
        }
        Call::DataKey { key, plaintext } => {
            let key = named(key, view);
            async move {
                let context = context(0);
                let request = GenerateDataKey::new(&key, DataKeyLength::AES_256).context(&context);
                if !plaintext {
                    let wrapped = kms.generate_data_key_without_plaintext(&request).await?;
                    return Ok(Answer::Blob(wrapped.key, wrapped.ciphertext.as_bytes().to_vec()));
                }
                let made = kms.generate_data_key(&request).await?;
                let (plaintext, wrapped) = (made.plaintext.expose().to_vec(), made.ciphertext.as_bytes());
                Ok(Answer::DataKey(made.key, plaintext, wrapped.to_vec()))
            }
            .boxed()
        }
        Call::Random(index) => {
            let id = index.map(store);
            async move {
                let bytes = kms.generate_random(16, id.as_ref()).await?;
                Ok(Answer::Random(bytes.expose().to_vec()))
            }
            .boxed()
        }
    }
}

const fn done((): ()) -> Answer {
    Answer::Done
}

fn edit_key(kms: Kms, key: KeyId, edit: KeyEdit) -> CallFuture {
    let tag_key = |tag| TagKey::new(format!("tag-{tag}")).unwrap();
    async move {
        match edit {
            KeyEdit::Enable => kms.enable_key(&key).await,
            KeyEdit::Disable => kms.disable_key(&key).await,
            KeyEdit::Schedule(days) => {
                let scheduled = kms.schedule_key_deletion(&key, Some(days)).await?;
                return Ok(Answer::Scheduled(scheduled.deletion_date));
            }
            KeyEdit::Cancel => kms.cancel_key_deletion(&key).await,
            KeyEdit::Describe(number) => kms.update_key_description(&key, text(number)).await,
            KeyEdit::Tag(tag, value) => {
                let value = TagValue::new(value.to_string()).unwrap();
                kms.tag_resource(&key, &[(tag_key(tag), value)]).await
            }
            KeyEdit::Untag(tag) => kms.untag_resource(&key, &[tag_key(tag)]).await,
        }
        .map(done)
    }
    .boxed()
}

/// What is given to be decrypted.
fn given(blob: &Blob, wrong: Option<Wrong>) -> (Vec<u8>, EncryptionContext) {
    let mut bytes = blob.bytes.clone();
    if wrong == Some(Wrong::Blob) {
        *bytes.last_mut().unwrap() ^= 1;
    }
    let number = if wrong == Some(Wrong::Context) { 7 } else { blob.context };
    (bytes, context(number))
}

fn named(named: Named, view: &View) -> KeyRef {
    let arn_of_alias = |name| format!("arn:aws:kms:us-east-1:111122223333:{}", alias(name));
    let text = match named {
        Named::Id(key) => view.keys[key].id.to_string(),
        Named::Arn(key) => view.keys[key].id.arn(&identity()).to_string(),
        Named::Alias(name) => alias(name).to_string(),
        Named::AliasArn(name) => arn_of_alias(name),
    };
    KeyRef::parse(&text, &identity()).unwrap()
}

pub(super) fn alias(number: u8) -> AliasName {
    AliasName::new(format!("alias/alias-{number}")).unwrap()
}

pub(super) fn backing_key(number: u8) -> BackingKeyId {
    BackingKeyId::new(format!("key-{number}")).unwrap()
}

fn context(number: u8) -> EncryptionContext {
    EncryptionContext::new([("purpose", number.to_string())]).unwrap()
}

pub(super) fn name(number: u8) -> StoreName {
    StoreName::new(format!("store {number}")).unwrap()
}

pub(super) fn endpoint(number: u8) -> UriEndpoint {
    UriEndpoint::new(format!("https://xks{number}.example.com")).unwrap()
}

pub(super) fn path(number: u8) -> UriPath {
    UriPath::new(format!("/path{number}/kms/xks/v1")).unwrap()
}

pub(super) fn service(number: u8) -> VpcEndpointServiceName {
    VpcEndpointServiceName::new(format!("com.amazonaws.vpce.us-east-1.vpce-svc-{number:017}")).unwrap()
}

pub(super) fn credential(number: u8) -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new(["AKIDOFATEST222222222", "AKIDOFATEST333333333"][usize::from(number)]).unwrap(),
        SecretAccessKey::new(&["a", "b"][usize::from(number)].repeat(43)).unwrap(),
    )
}

pub(super) fn password(number: u8) -> KeyStorePassword {
    KeyStorePassword::new(&format!("password{number}")).unwrap()
}

pub(super) fn cluster(number: u8, copy: u8) -> CloudHsmClusterId {
    let letter = |number: u8| char::from(b'a' + number);
    CloudHsmClusterId::new(format!("cluster-abcdefgh{}2{}", letter(number), letter(copy))).unwrap()
}

fn create(settings: Settings) -> CreateCustomKeyStore {
    let name = name(settings.name);
    match settings.place {
        Place::External { endpoint: e, path: p, service: through } => {
            let request =
                CreateCustomKeyStore::external(name, endpoint(e), path(p), credential(settings.secret));
            match through {
                Some(number) => request.through_vpc_endpoint_service(service(number), None),
                None => request,
            }
        }
        Place::Cluster { cluster: number, copy } => {
            let certificate = TrustAnchorCertificate::new(format!("----- {number} -----")).unwrap();
            let configuration =
                CloudHsmConfiguration::new(cluster(number, copy)).with_trust_anchor(certificate);
            CreateCustomKeyStore::cloud_hsm(name, configuration, password(settings.secret))
        }
    }
}

fn change(edit: Edit, place: Place) -> Change {
    let Edit { name: n, credential: c, password: w, path: p, endpoint: e, service: s, copy } = edit;
    let mut change = Change::new();
    if let Some(number) = n {
        change = change.name(name(number));
    }
    if let Some(number) = c {
        change = change.credential(credential(number));
    }
    if let Some(number) = w {
        change = change.password(password(number));
    }
    if let Some(number) = p {
        change = change.uri_path(path(number));
    }
    if let Some(number) = e {
        change = change.uri_endpoint(endpoint(number));
    }
    // To change how it is reached, the endpoint must be given: the one that it is at.
    let at = || match (e, place) {
        (Some(number), _) | (None, Place::External { endpoint: number, .. }) => endpoint(number),
        (None, Place::Cluster { .. }) => endpoint(0),
    };
    match s {
        None => {}
        Some(None) => change = change.public_endpoint(at()),
        Some(Some(number)) => change = change.vpc_endpoint_service(at(), service(number)),
    }
    if let Some(number) = copy {
        let of = match place {
            Place::Cluster { cluster, .. } => cluster,
            Place::External { .. } => 0,
        };
        change = change.cluster_id(cluster(of, number));
    }
    change
}
