//! What is wrong with a call about keys, or with one that every store takes.

use custom_key_store::backend::software::{Fault, Method, SoftwareKey};
use custom_key_store::backend::{BackendErrorKind as Kind, ConnectionErrorCode as Code, KeyStatus};
use custom_key_store::kms::Action::{self, *};
use custom_key_store::kms::Exception::*;
use custom_key_store::kms::{
    Decrypt as DecryptCall, Encrypt as EncryptCall, GenerateDataKey as DataKeyCall, KeyRef,
    ReEncrypt as ReEncryptCall, Refusal,
};
use custom_key_store::{
    AliasName, ConnectionState, DataKeyLength, EncryptionContext, KeyId, Marker, NewKey, PageRequest,
    StoreId, TagKey, TagValue,
};
use futures::FutureExt as _;

use super::rig::{Mood, Rig, backing_key};
use super::samples::{Call, Names};
use crate::kms::support::until;

/// Makes a key, to be refused.
fn make<'a>(rig: &'a Rig, store: &'a StoreId, new: NewKey) -> Call<'a> {
    async move { rig.kms.create_key(store, &new).await.map(drop) }.boxed_local()
}

fn external(key: &str) -> NewKey {
    NewKey::external(backing_key(key))
}

/// `CreateKey`. (5.1)
pub(super) async fn created(rig: &Rig) {
    let refuses = |exception, store, new| rig.refuses(CreateKey, exception, make(rig, store, new));
    for store in [&rig.idle, &rig.idle_cluster] {
        let error = refuses(CustomKeyStoreInvalidState, store, external("free")).await;
        assert_eq!(error.connection_state(), Some(ConnectionState::Disconnected));
    }
    refuses(XksKeyAlreadyInUse, &rig.store, external("in-key")).await;
    refuses(XksKeyNotFound, &rig.store, external("nowhere")).await;
    rig.manager.insert_key(backing_key("off"), SoftwareKey::generate().status(KeyStatus::Disabled));
    refuses(XksKeyInvalidConfiguration, &rig.store, external("off")).await;
    // Of another form than AES-256.
    rig.manager.inject(Method::DescribeKey, Fault::Corrupt);
    refuses(XksKeyInvalidConfiguration, &rig.store, external("free")).await;
    let tag = || (TagKey::new("team").unwrap(), TagValue::new("payroll").unwrap());
    let twice = external("free").tag(tag().0, tag().1).tag(tag().0, tag().1);
    refuses(Tag, &rig.store, twice).await;
    // AWS: not documented.
    refuses(Validation, &rig.store, NewKey::generated()).await;
    refuses(Validation, &rig.cluster, external("free")).await;
    rig.manager.inject(Method::DescribeKey, Fault::Fail(Kind::Unsupported));
    refuses(UnsupportedOperation, &rig.store, external("free")).await;

    // The cluster itself says so, or what lies around it. (C7)
    rig.manager.inject(Method::GenerateKey, Fault::Fail(Kind::InvalidKeyState));
    refuses(CloudHsmClusterInvalidConfiguration, &rig.cluster, NewKey::generated()).await;
    for (refusal, exception) in [
        (Refusal::ClusterInvalidConfiguration("one HSM".to_owned()), CloudHsmClusterInvalidConfiguration),
        // The model has no other name for what keeps a store from making a key.
        (Refusal::ClusterNotFound, CustomKeyStoreInvalidState),
        (Refusal::ClusterNotActive, CustomKeyStoreInvalidState),
        (Refusal::Internal, KmsInternal),
    ] {
        rig.surroundings.set(refusal);
        refuses(exception, &rig.cluster, NewKey::generated()).await;
    }
    rig.surroundings.hang();
    refuses(KmsInternal, &rig.cluster, NewKey::generated()).await;
    rig.mend();
    // An external key store makes nothing, and is not looked at.
    rig.kms.create_key(&rig.store, &external("free")).await.unwrap();
}

/// The life of stores beside their creation. (1.5)
pub(super) async fn managed(rig: &Rig) {
    let kms = &rig.kms;
    let connect =
        |exception, store| rig.refuses(ConnectCustomKeyStore, exception, kms.connect_custom_key_store(store));
    // What is seen at once leaves the store as it is.
    rig.surroundings.set(Refusal::ClusterNotActive);
    connect(CloudHsmClusterNotActive, &rig.idle_cluster).await;
    rig.surroundings.set(Refusal::ClusterInvalidConfiguration("no subnet".to_owned()));
    connect(CloudHsmClusterInvalidConfiguration, &rig.idle_cluster).await;
    rig.mend();
    assert_eq!(state(rig, &rig.idle_cluster).await, ConnectionState::Disconnected);
    fails_to_connect(rig).await;

    rig.manager.inject(Method::Connect, Fault::Refuse(Code::InvalidCredentials));
    kms.connect_custom_key_store(&rig.idle).await.unwrap();
    until(kms, &rig.idle, ConnectionState::Failed).await;
    let error = connect(CustomKeyStoreInvalidState, &rig.idle).await;
    assert_eq!(error.connection_state(), Some(ConnectionState::Failed));
    let delete =
        |exception, store| rig.refuses(DeleteCustomKeyStore, exception, kms.delete_custom_key_store(store));
    delete(CustomKeyStoreInvalidState, &rig.store).await;
    kms.disconnect_custom_key_store(&rig.store).await.unwrap();
    until(kms, &rig.store, ConnectionState::Disconnected).await;
    delete(CustomKeyStoreHasCmks, &rig.store).await;
    let again = kms.disconnect_custom_key_store(&rig.store);
    rig.refuses(DisconnectCustomKeyStore, CustomKeyStoreInvalidState, again).await;
    let random = kms.generate_random(32, Some(&rig.idle_cluster));
    let error = rig.refuses(GenerateRandom, CustomKeyStoreInvalidState, random).await;
    assert_eq!(error.connection_state(), Some(ConnectionState::Disconnected));
    let random = kms.generate_random(32, Some(&rig.idle));
    rig.refuses(GenerateRandom, UnsupportedOperation, random).await;
}

/// What is not seen at once, or has no exception, leads to `FAILED` with a code. (3.2, 3.3)
async fn fails_to_connect(rig: &Rig) {
    let (external, cluster) = (&rig.idle, &rig.idle_cluster);
    let text = || "as it is".to_owned();
    for (store, refusal, code) in [
        (cluster, Refusal::ClusterNotFound, Code::ClusterNotFound),
        (cluster, Refusal::Unreachable(text()), Code::NetworkErrors),
        (external, Refusal::VpcEndpointServiceNotFound, Code::XksVpcEndpointServiceNotFound),
        (
            external,
            Refusal::VpcEndpointServiceInvalidConfiguration(text()),
            Code::XksVpcEndpointServiceInvalidConfiguration,
        ),
        (external, Refusal::Unreachable(text()), Code::XksProxyNotReachable),
        (external, Refusal::TimedOut, Code::NetworkErrors),
        (external, Refusal::Internal, Code::InternalError),
        // A mistake of the application's: an external key store has no cluster.
        (external, Refusal::ClusterNotFound, Code::InternalError),
    ] {
        rig.surroundings.set(refusal);
        rig.kms.connect_custom_key_store(store).await.unwrap();
        until(&rig.kms, store, ConnectionState::Failed).await;
        let described = rig.kms.describe_custom_key_store(store).await.unwrap();
        assert_eq!(described.connection_error_code, Some(code));
        rig.kms.disconnect_custom_key_store(store).await.unwrap();
        until(&rig.kms, store, ConnectionState::Disconnected).await;
        rig.mend();
    }
}

/// What only one or two operations answer.
pub(super) async fn named(rig: &Rig) {
    let kms = &rig.kms;
    // A page of one list is no page of another.
    for name in ["alias/one", "alias/two"] {
        kms.create_alias(&AliasName::new(name).unwrap(), &rig.key).await.unwrap();
    }
    let one = PageRequest::first(1).unwrap();
    let marker = |text: String| PageRequest::default().after(Marker::from_text(&text).unwrap());
    let of_aliases = marker(kms.list_aliases(None, &one).await.unwrap().next.unwrap().to_string());
    let of_keys = marker(kms.list_keys(&one).await.unwrap().next.unwrap().to_string());
    rig.refuses(ListKeys, InvalidMarker, kms.list_keys(&of_aliases)).await;
    rig.refuses(ListAliases, InvalidMarker, kms.list_aliases(None, &of_keys)).await;
    rig.refuses(ListAliases, InvalidMarker, kms.list_aliases(Some(&rig.key), &of_keys)).await;
    rig.refuses(DescribeCustomKeyStores, InvalidMarker, kms.describe_custom_key_stores(&of_keys)).await;

    let alias = AliasName::new("alias/one").unwrap();
    rig.refuses(CreateAlias, AlreadyExists, kms.create_alias(&alias, &rig.cluster_key)).await;
    let tag = |number: usize| (TagKey::new(format!("tag-{number}")).unwrap(), TagValue::new("x").unwrap());
    let tags: Vec<_> = (0..51).map(tag).collect();
    rig.refuses(TagResource, Tag, kms.tag_resource(&rig.key, &tags)).await;
    rig.catalog.set(Mood::Conflicts);
    // Others change it all the time, for which the model has no name here.
    rig.refuses(TagResource, KmsInternal, kms.tag_resource(&rig.key, &tags[..1])).await;
    rig.mend();
    rig.refuses(CancelKeyDeletion, KmsInvalidState, kms.cancel_key_deletion(&rig.key)).await;
    rig.refuses(ScheduleKeyDeletion, Validation, kms.schedule_key_deletion(&rig.key, Some(6))).await;
}

/// The use of keys. (6.3)
pub(super) async fn used(rig: &Rig, names: &Names) {
    let (kms, context) = (&rig.kms, EncryptionContext::new([("tenant", "blue")]).unwrap());
    let (key, other) = (KeyRef::Id(rig.key), KeyRef::Id(rig.cluster_key));
    let blob = names.blob.as_slice();

    let dry = EncryptCall::new(&key, b"attack at dawn").dry_run(true);
    rig.refuses(Encrypt, DryRunOperation, kms.encrypt(&dry)).await;
    let dry = DecryptCall::new(blob).dry_run(true);
    rig.refuses(Decrypt, DryRunOperation, kms.decrypt(&dry)).await;
    let dry = ReEncryptCall::new(blob, &other).dry_run(true);
    rig.refuses(ReEncrypt, DryRunOperation, kms.re_encrypt(&dry)).await;
    let dry = DataKeyCall::new(&key, DataKeyLength::AES_256).dry_run(true);
    rig.refuses(GenerateDataKey, DryRunOperation, kms.generate_data_key(&dry)).await;
    let wrapped = kms.generate_data_key_without_plaintext(&dry);
    rig.refuses(GenerateDataKeyWithoutPlaintext, DryRunOperation, wrapped).await;
    assert_eq!(rig.manager.calls(Method::Encrypt), 1, "a dry run asks no key manager");

    let wrong = DecryptCall::new(blob).key(&other);
    rig.refuses(Decrypt, IncorrectKey, kms.decrypt(&wrong)).await;
    let wrong = ReEncryptCall::new(blob, &other).source_key(&other);
    rig.refuses(ReEncrypt, IncorrectKey, kms.re_encrypt(&wrong)).await;
    // A dry run is refused for the same reasons.
    let wrong = DecryptCall::new(blob).key(&other).dry_run(true);
    rig.refuses(Decrypt, IncorrectKey, kms.decrypt(&wrong)).await;

    let mut damaged = blob.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for (blob, context) in [(&damaged, &EncryptionContext::none()), (&names.blob, &context)] {
        let decrypt = DecryptCall::new(blob).context(context);
        rig.refuses(Decrypt, InvalidCiphertext, kms.decrypt(&decrypt)).await;
        rig.refuses(Decrypt, InvalidCiphertext, kms.decrypt(&decrypt.dry_run(true))).await;
        let re_encrypt = ReEncryptCall::new(blob, &other).source_context(context);
        rig.refuses(ReEncrypt, InvalidCiphertext, kms.re_encrypt(&re_encrypt)).await;
    }
    assert_eq!(rig.manager.calls(Method::Decrypt), 0, "what is damaged is not sent");
    rig.refuses(Decrypt, InvalidCiphertext, kms.decrypt(&DecryptCall::new(b"no blob"))).await;
    rig.refuses(Encrypt, Validation, kms.encrypt(&EncryptCall::new(&key, &[0; 4097]))).await;
    rig.refuses(Encrypt, Validation, kms.encrypt(&EncryptCall::new(&key, b""))).await;
    rig.refuses(GenerateRandom, Validation, kms.generate_random(1025, None)).await;

    for (fault, exception) in [
        (Fault::Fail(Kind::Internal), KmsInternal),
        (Fault::Corrupt, KmsInternal),
        (Fault::Panic, KmsInternal),
        (Fault::Fail(Kind::TimedOut), DependencyTimeout),
        (Fault::Hang, DependencyTimeout),
        (Fault::Fail(Kind::Unsupported), UnsupportedOperation),
    ] {
        rig.manager.inject(Method::GenerateRandom, fault);
        rig.refuses(GenerateRandom, exception, kms.generate_random(32, Some(&rig.cluster))).await;
    }
    disabled(rig, names).await;
}

async fn disabled(rig: &Rig, names: &Names) {
    let (kms, key, other) = (&rig.kms, KeyRef::Id(rig.key), KeyRef::Id(rig.cluster_key));
    kms.disable_key(&rig.key).await.unwrap();
    let uses: [(Action, Call<'_>); 5] = [
        (Encrypt, async { kms.encrypt(&EncryptCall::new(&key, b"x")).await.map(drop) }.boxed_local()),
        (Decrypt, async { kms.decrypt(&DecryptCall::new(&names.blob)).await.map(drop) }.boxed_local()),
        (
            ReEncrypt,
            async { kms.re_encrypt(&ReEncryptCall::new(&names.blob, &other)).await.map(drop) }.boxed_local(),
        ),
        (GenerateDataKey, async { kms.generate_data_key(&data_key(&key)).await.map(drop) }.boxed_local()),
        (
            GenerateDataKeyWithoutPlaintext,
            async { kms.generate_data_key_without_plaintext(&data_key(&key)).await.map(drop) }.boxed_local(),
        ),
    ];
    for (action, call) in uses {
        let error = rig.refuses(action, Disabled, call).await;
        assert!(error.message().contains(&rig.key.to_string()), "{error}");
    }
}

fn data_key(key: &KeyRef) -> DataKeyCall<'_> {
    DataKeyCall::new(key, DataKeyLength::AES_256)
}

async fn state(rig: &Rig, id: &StoreId) -> ConnectionState {
    rig.kms.describe_custom_key_store(id).await.unwrap().connection_state
}

/// A key, named as a caller may name it.
pub(super) fn none_is_found(rig: &Rig) {
    let id = KeyId::new("01234567-89ab-cdef-0123-456789abcdef").unwrap();
    for (text, exception) in [
        // Well-formed, and not of here.
        (format!("arn:aws:kms:us-east-1:444455556666:key/{id}"), NotFound),
        (format!("arn:aws:kms:eu-central-1:111122223333:key/{id}"), NotFound),
        (format!("arn:aws-cn:kms:us-east-1:111122223333:key/{id}"), NotFound),
        ("arn:aws:kms:us-east-1:444455556666:alias/payroll".to_owned(), NotFound),
        ("arn:aws:kms:us-east-1:111122223333:alias/aws/s3".to_owned(), NotFound),
        // Of nothing that there could be.
        ("arn:aws:kms:us-east-1:111122223333:alias/".to_owned(), InvalidArn),
        ("arn:aws:kms:us-east-1:111122223333:key/payroll".to_owned(), InvalidArn),
        (format!("arn:aws:kms:us-east-1:111122223333:{id}"), InvalidArn),
        (format!("arn:aws:kms:us-east-1:key/{id}"), InvalidArn),
        (format!("arn:aws:s3:us-east-1:111122223333:key/{id}"), InvalidArn),
        ("arn:aws:iam::111122223333:root".to_owned(), InvalidArn),
        ("arn:".to_owned(), InvalidArn),
        // No ARN.
        ("alias/".to_owned(), NotFound),
        ("no key".to_owned(), NotFound),
        (format!("ARN:aws:kms:us-east-1:111122223333:key/{id}"), NotFound),
        (String::new(), NotFound),
    ] {
        let error = KeyRef::parse(&text, rig.kms.identity()).unwrap_err();
        assert_eq!(error.exception(), exception, "{text}: {error}");
        assert!(error.message().contains(&text), "{text}: {error}");
    }
}
