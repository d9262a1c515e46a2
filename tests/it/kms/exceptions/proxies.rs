//! What becomes of each failure of a key manager. (AWS KMS custom key stores, facts 4.3 and 4.4)

use custom_key_store::ConnectionState;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind as Kind, Change, ConnectionErrorCode as Code, UriPath};
use custom_key_store::kms::Action::{self, *};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{
    Decrypt as DecryptCall, Encrypt as EncryptCall, GenerateDataKey as DataKeyCall, KeyRef,
    ReEncrypt as ReEncryptCall,
};
use custom_key_store::{DataKeyLength, NewKey, StoreId};
use futures::FutureExt as _;

use super::rig::{Rig, backing_key};
use super::samples::{Call, Names};
use crate::kms::support::{external, until};

/// A row of table 4.3.
struct Row {
    fault: Fault,
    /// CreateCustomKeyStore and UpdateCustomKeyStore.
    probed: Exception,
    create_key: Exception,
    connect: Code,
}

const fn row(fault: Fault, probed: Exception, create_key: Exception, connect: Code) -> Row {
    Row { fault, probed, create_key, connect }
}

/// The use of a key is `KMSInvalidStateException` in every row.
const TABLE: &[Row] = &[
    // ValidationException
    row(
        Fault::Fail(Kind::InvalidRequest),
        XksProxyInvalidResponse,
        CustomKeyStoreInvalidState,
        Code::XksProxyInvalidResponse,
    ),
    // InvalidStateException: for the two probes and Connect not listed
    row(
        Fault::Fail(Kind::InvalidKeyState),
        XksProxyInvalidResponse,
        XksKeyInvalidConfiguration,
        Code::XksProxyInvalidResponse,
    ),
    // InvalidKeyUsageException: n/a but for CreateKey
    row(
        Fault::Fail(Kind::InvalidKeyUsage),
        XksProxyInvalidResponse,
        XksKeyInvalidConfiguration,
        Code::XksProxyInvalidResponse,
    ),
    // AuthenticationFailedException
    row(
        Fault::Fail(Kind::AuthenticationFailed),
        XksProxyIncorrectAuthenticationCredential,
        CustomKeyStoreInvalidState,
        Code::InvalidCredentials,
    ),
    // AccessDeniedException: for the probes not listed; for CreateKey C14
    row(
        Fault::Fail(Kind::AccessDenied),
        XksProxyInvalidConfiguration,
        CustomKeyStoreInvalidState,
        Code::XksProxyAccessDenied,
    ),
    // KeyNotFoundException: n/a but for CreateKey
    row(
        Fault::Fail(Kind::KeyNotFound),
        XksProxyInvalidResponse,
        XksKeyNotFound,
        Code::XksProxyInvalidResponse,
    ),
    // InvalidUriPathException
    row(
        Fault::Fail(Kind::InvalidPath),
        XksProxyInvalidConfiguration,
        CustomKeyStoreInvalidState,
        Code::XksProxyInvalidConfiguration,
    ),
    // ThrottlingException: for Connect not listed
    row(
        Fault::Fail(Kind::Throttled),
        XksProxyUriUnreachable,
        CustomKeyStoreInvalidState,
        Code::XksProxyNotReachable,
    ),
    // InternalException
    row(
        Fault::Fail(Kind::Internal),
        XksProxyInvalidResponse,
        CustomKeyStoreInvalidState,
        Code::XksProxyInvalidResponse,
    ),
    // UnsupportedOperationException: C15
    row(
        Fault::Fail(Kind::Unsupported),
        XksProxyInvalidResponse,
        UnsupportedOperation,
        Code::XksProxyInvalidResponse,
    ),
    // DependencyTimeoutException
    row(
        Fault::Fail(Kind::DependencyTimedOut),
        XksProxyUriUnreachable,
        CustomKeyStoreInvalidState,
        Code::XksProxyTimedOut,
    ),
    // no TCP connection
    row(
        Fault::Fail(Kind::Unreachable),
        XksProxyUriUnreachable,
        CustomKeyStoreInvalidState,
        Code::XksProxyNotReachable,
    ),
    // TLS failure: C13
    row(
        Fault::Fail(Kind::InvalidTls),
        XksProxyInvalidConfiguration,
        CustomKeyStoreInvalidState,
        Code::XksProxyInvalidTlsConfiguration,
    ),
    // socket timeout, as the client of a proxy tells it, and as it is where nobody does
    row(
        Fault::Fail(Kind::TimedOut),
        XksProxyUriUnreachable,
        CustomKeyStoreInvalidState,
        Code::XksProxyTimedOut,
    ),
    row(Fault::Hang, XksProxyUriUnreachable, CustomKeyStoreInvalidState, Code::XksProxyTimedOut),
    // malformed body, or HTTP error without JSON body
    row(
        Fault::Fail(Kind::InvalidResponse),
        XksProxyInvalidResponse,
        CustomKeyStoreInvalidState,
        Code::XksProxyInvalidResponse,
    ),
    // what no proxy can cause: an implementation that panics
    row(Fault::Panic, KmsInternal, CustomKeyStoreInvalidState, Code::InternalError),
];

/// What all rows say.
pub(super) async fn external_ones(rig: &Rig, names: &Names) {
    for row in TABLE {
        let (message, advice) = probed(rig, row).await;
        connected(rig, &rig.idle, &row.fault, row.connect).await;
        rig.manager.inject(Method::DescribeKey, row.fault.clone());
        let new = NewKey::external(backing_key("free"));
        let error = rig.refuses(CreateKey, row.create_key, rig.kms.create_key(&rig.store, &new)).await;
        assert_eq!(error.connection_state(), None, "no state decided: {error:?}");
        assert_eq!((error.message(), error.advice()), (&*message, advice), "by another name, the same");
        used(rig, names, row, &message).await;
    }
    // What is encrypted is looked at, and what the inner layer finds is told from what the outer one does. (6.5)
    rig.manager.inject(Method::Decrypt, Fault::Corrupt);
    let inner = rig.refuses(Decrypt, KmsInvalidState, rig.kms.decrypt(&DecryptCall::new(&names.blob))).await;
    rig.manager.inject(Method::Decrypt, Fault::Fail(Kind::InvalidCiphertext));
    let outer = rig.refuses(Decrypt, KmsInvalidState, rig.kms.decrypt(&DecryptCall::new(&names.blob))).await;
    assert_ne!(format!("{inner:?}"), format!("{outer:?}"), "a log tells them apart");
    let key = KeyRef::Id(rig.key);
    let encrypt = EncryptCall::new(&key, b"attack at dawn");
    rig.manager.inject(Method::Encrypt, Fault::Corrupt);
    rig.refuses(Encrypt, KmsInvalidState, rig.kms.encrypt(&encrypt)).await;
}

/// What is said of it.
async fn probed(rig: &Rig, row: &Row) -> (String, &'static str) {
    rig.manager.inject(Method::Connect, row.fault.clone());
    let created = rig.kms.create_custom_key_store(external("new"));
    let error = rig.refuses(CreateCustomKeyStore, row.probed, created).await;
    let moved = || Change::new().uri_path(UriPath::new("/moved/kms/xks/v1").unwrap());
    for store in [&rig.idle, &rig.store] {
        rig.manager.inject(Method::Connect, row.fault.clone());
        let updated = rig.kms.update_custom_key_store(store, moved());
        let same = rig.refuses(UpdateCustomKeyStore, row.probed, updated).await;
        assert_eq!(same.message(), error.message(), "the message depends on the failure alone");
    }
    (error.message().to_owned(), error.advice())
}

/// Connects a store, which fails with this code, and disconnects it again.
async fn connected(rig: &Rig, store: &StoreId, fault: &Fault, code: Code) {
    rig.manager.inject(Method::Connect, fault.clone());
    rig.kms.connect_custom_key_store(store).await.unwrap();
    rig.in_time(until(&rig.kms, store, ConnectionState::Failed)).await;
    let described = rig.kms.describe_custom_key_store(store).await.unwrap();
    assert_eq!(described.connection_error_code, Some(code), "{fault:?}");
    rig.kms.disconnect_custom_key_store(store).await.unwrap();
    until(&rig.kms, store, ConnectionState::Disconnected).await;
    let described = rig.kms.describe_custom_key_store(store).await.unwrap();
    assert_eq!(described.connection_error_code, None);
}

async fn used(rig: &Rig, names: &Names, row: &Row, message: &str) {
    let (kms, key) = (&rig.kms, KeyRef::Id(rig.key));
    let data_key = DataKeyCall::new(&key, DataKeyLength::AES_256);
    let uses: [(Action, Method, Call<'_>); 5] = [
        (
            Encrypt,
            Method::Encrypt,
            async { kms.encrypt(&EncryptCall::new(&key, b"x")).await.map(drop) }.boxed_local(),
        ),
        (
            Decrypt,
            Method::Decrypt,
            async { kms.decrypt(&DecryptCall::new(&names.blob)).await.map(drop) }.boxed_local(),
        ),
        (
            ReEncrypt,
            Method::Decrypt,
            async { kms.re_encrypt(&ReEncryptCall::new(&names.blob, &key)).await.map(drop) }.boxed_local(),
        ),
        (
            GenerateDataKey,
            Method::Encrypt,
            async { kms.generate_data_key(&data_key).await.map(drop) }.boxed_local(),
        ),
        (
            GenerateDataKeyWithoutPlaintext,
            Method::Encrypt,
            async { kms.generate_data_key_without_plaintext(&data_key).await.map(drop) }.boxed_local(),
        ),
    ];
    for (action, method, call) in uses {
        rig.manager.inject(method, row.fault.clone());
        let error = rig.refuses(action, KmsInvalidState, call).await;
        assert_eq!(error.message(), message, "the message depends on the failure alone");
        assert_eq!(error.connection_state(), None, "no state decided: {error:?}");
    }
    // The state does not move, whatever goes wrong.
    let described = kms.describe_custom_key_store(&rig.store).await.unwrap();
    assert_eq!(described.connection_state, ConnectionState::Connected);
}

/// A cluster that is too busy, or has no session left, is told by the name. (4.4)
pub(super) async fn clusters(rig: &Rig) {
    let key = KeyRef::Id(rig.cluster_key);
    for (kind, exception) in [
        (Kind::Unreachable, KmsInvalidState),
        (Kind::TimedOut, KmsInvalidState),
        (Kind::KeyNotFound, KmsInvalidState),
        (Kind::InvalidKeyState, KmsInvalidState),
        (Kind::Internal, KmsInternal),
        (Kind::Panicked, KmsInternal),
        (Kind::Throttled, Throttling),
    ] {
        rig.manager.inject(Method::Encrypt, Fault::Fail(kind));
        rig.refuses(Encrypt, exception, rig.kms.encrypt(&EncryptCall::new(&key, b"x"))).await;
    }
}

/// Too much for the proxy, and too much for the store's quota, which call for opposite measures. (4.3)
pub(super) async fn throttled(rig: &Rig, names: &Names) {
    let key = KeyRef::Id(rig.key);
    let call = EncryptCall::new(&key, b"x");
    rig.manager.inject(Method::Encrypt, Fault::Fail(Kind::Throttled));
    let proxy = rig.refuses(Encrypt, KmsInvalidState, rig.kms.encrypt(&call)).await;
    let calls = rig.manager.calls(Method::Encrypt);
    for sample in super::samples::SAMPLES.iter().filter(|sample| sample.action.is_cryptographic()) {
        // Of each store one a second.
        let _ = (sample.call)(rig, names).await;
        let quota = rig.refuses(sample.action, Throttling, (sample.call)(rig, names)).await;
        assert!(quota.is_retryable());
        assert_ne!(quota.message(), proxy.message());
    }
    assert_eq!(rig.manager.calls(Method::Encrypt), calls, "the key manager is not asked");
}
