//! Keys of a token used through XKS: the store, the client of a proxy, the proxy, and the token, in a row.

use custom_key_store::backend::{BackingKeyId, UriEndpoint, UriPath, XksProxyCredential};
use custom_key_store::cloudhsm::KeyNames;
use custom_key_store::xks::XksProxy;
use custom_key_store::xks::proxy::{KeyGrant, Proxy, ServeOptions, ServerHandle, Tenant, serve};
use custom_key_store::{
    EncryptionContext, ErrorKind, KeyStore, NewKey, Region, StoreName, backend::BackendErrorKind,
};
use custom_key_store_hsm::{Failure, Hsm, Trait, alone, cryptoki_sys};
use tokio::net::TcpListener;

use crate::setup::{cluster, connect};

/// A proxy over the token, and a client of it. Both keys are named by their labels.
async fn proxied(hsm: &Hsm) -> (XksProxy, ServerHandle) {
    let connection = connect(&cluster(hsm).key_names(KeyNames::Label).build().unwrap()).await.unwrap();
    let path = UriPath::new("/hsm/kms/xks/v1").unwrap();
    let (region, credential) = (Region::new("us-east-1").unwrap(), XksProxyCredential::generate().unwrap());
    let mut tenant = Tenant::builder(path.clone(), connection)
        .region(region.clone())
        .credential(credential.clone())
        .health_key(BackingKeyId::new("probes").unwrap());
    for key in ["payroll", "half"].map(|name| BackingKeyId::new(name).unwrap()) {
        tenant = tenant.key(key.clone(), KeyGrant::new(key));
    }
    let proxy = Proxy::builder().tenant(tenant.build().unwrap()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (serving, server) = serve(listener, proxy, ServeOptions::plain_http());
    tokio::spawn(serving);
    let client = XksProxy::builder()
        .endpoint(UriEndpoint::new("https://xks.example.com").unwrap())
        .path(path)
        .region(region)
        .credential(credential)
        .dangerous_plain_http_on_loopback(address)
        .build()
        .unwrap();
    (client, server)
}

fn plant(hsm: &Hsm) {
    hsm.token().plant_key("probes", &[1], 256);
    hsm.token().plant_key("payroll", &[2], 256);
    hsm.token().plant_odd_key("half", &[3], 256, &[Trait::CannotDecrypt]);
}

#[test]
fn a_store_uses_a_key_of_a_token_behind_a_proxy() {
    alone(|hsm| {
        plant(hsm);
        runtime().block_on(async {
            let (client, server) = proxied(hsm).await;
            let store = KeyStore::ephemeral(StoreName::new("external").unwrap(), client);
            let store = store.connect().await.unwrap();
            let context = EncryptionContext::new([("tenant", "blue")]).unwrap();
            let new = NewKey::external(BackingKeyId::new("payroll").unwrap());
            let key = store.create_key(&new).await.unwrap().key_id;
            for length in [1, 32, 4096] {
                let plaintext = vec![7; length];
                let blob = store.encrypt(&key, &plaintext, &context).await.unwrap();
                let opened = store.decrypt(blob.as_bytes(), &context).await.unwrap();
                assert_eq!(opened.expose(), plaintext);
            }
            // A key that cannot decrypt is none for a KMS key, and one that is not there neither.
            let half = NewKey::external(BackingKeyId::new("half").unwrap());
            let refused = store.create_key(&half).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::UnsuitableExternalKey);
            let health = store.health().await.unwrap();
            assert_eq!(health.vendor, "SoftHSM project");
            drop(store.disconnect().await);
            server.shut_down();
        });
    });
}

#[test]
fn a_token_that_lost_its_sessions_is_not_a_key_that_is_not_there() {
    alone(|hsm| {
        plant(hsm);
        runtime().block_on(async {
            let (client, server) = proxied(hsm).await;
            let store = KeyStore::ephemeral(StoreName::new("external").unwrap(), client);
            let store = store.connect().await.unwrap();
            let context = EncryptionContext::none();
            let new = NewKey::external(BackingKeyId::new("payroll").unwrap());
            let key = store.create_key(&new).await.unwrap().key_id;
            let shim = hsm.shim();
            // A restart that ends all sessions: the callers see nothing of it.
            for function in ["C_EncryptInit", "C_FindObjectsInit", "C_DecryptInit"] {
                shim.fail(function, Failure::new(cryptoki_sys::CKR_SESSION_HANDLE_INVALID).times(1));
                let blob = store.encrypt(&key, b"plaintext", &context).await.unwrap();
                store.decrypt(blob.as_bytes(), &context).await.unwrap();
            }
            // A device that is gone is said to be gone.
            shim.fail("C_EncryptInit", Failure::new(cryptoki_sys::CKR_DEVICE_REMOVED));
            let error = store.encrypt(&key, b"plaintext", &context).await.unwrap_err();
            let ErrorKind::Backend(kind) = error.kind() else { panic!("{error:?}") };
            assert!(
                matches!(kind, BackendErrorKind::Internal | BackendErrorKind::DependencyTimedOut),
                "{kind:?}"
            );
            shim.mend("C_EncryptInit");
            store.encrypt(&key, b"plaintext", &context).await.unwrap();
            drop(store.disconnect().await);
            server.shut_down();
        });
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
