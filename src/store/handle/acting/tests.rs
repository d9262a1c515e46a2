use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;

use super::Acting;
use crate::backend::software::{KeyManager, Method};
use crate::backend::{
    Backend, BackendError, BackingKeyId, Change, Ciphertext, Closed, CloudHsmClusterId,
    CloudHsmConfiguration, ConnectRequest, Connection, ConnectionError, DecryptRequest, Decrypted,
    DescribeKeyRequest, EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, GeneratedKey, Health,
    HealthRequest, InvalidChange, KeyDescription, Operation, RequestId, RequestMetadata, StoreConfiguration,
    StoreName,
};
use crate::crypto::EncryptionContext;
use crate::error::ErrorKind;
use crate::key::{KeyId, NewKey};
use crate::secret::SecretBytes;
use crate::store::{Caller, Connected, DataKeyLength, KeyStore, StoreBuilder};

/// What a key manager was told with each request: operation, principal, id and key.
type Log = Arc<Mutex<Vec<[String; 4]>>>;

#[derive(Debug)]
struct Listening {
    manager: KeyManager,
    log: Log,
}

#[derive(Debug)]
struct Ear {
    connection: Arc<dyn Connection>,
    log: Log,
}

impl Ear {
    fn hear(&self, metadata: &RequestMetadata<'_>) {
        let RequestMetadata { operation, principal, request_id, kms_key_arn, .. } = metadata;
        let key = kms_key_arn.unwrap_or_default();
        let heard = [operation.to_string(), (*principal).into(), request_id.to_string(), key.into()];
        self.log.lock().unwrap().push(heard);
    }
}

#[async_trait]
impl Backend for Listening {
    fn configuration(&self) -> StoreConfiguration {
        self.manager.configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        self.manager.reconfigured(change)
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let connection = self.manager.connect(request).await?;
        Ok(Arc::new(Ear { connection, log: Arc::clone(&self.log) }))
    }
}

#[async_trait]
impl Connection for Ear {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        self.hear(&request.metadata);
        self.connection.describe_key(request).await
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        self.hear(&request.metadata);
        self.connection.generate_key(request).await
    }

    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        self.hear(&request.metadata);
        self.connection.generate_random(request).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        self.hear(&request.metadata);
        self.connection.encrypt(request).await
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        self.hear(&request.metadata);
        self.connection.decrypt(request).await
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        self.connection.health(request).await
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.connection.close().await
    }
}

/// A connected store, what its key manager hears, and one key.
struct Stage {
    manager: KeyManager,
    store: KeyStore<Connected>,
    log: Log,
    key: KeyId,
    arn: String,
}

fn backing_key() -> BackingKeyId {
    BackingKeyId::new("key").unwrap()
}

impl Stage {
    fn external() -> Self {
        let manager = KeyManager::new();
        manager.create_key(backing_key());
        Self::on(manager, &NewKey::external(backing_key()))
    }

    fn cluster() -> Self {
        let cluster = CloudHsmConfiguration::new(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap());
        let configuration = StoreConfiguration::CloudHsm(cluster);
        Self::on(KeyManager::builder().configuration(configuration).build(), &NewKey::generated())
    }

    fn on(manager: KeyManager, new: &NewKey) -> Self {
        let log = Log::default();
        let backend = Listening { manager: manager.clone(), log: Arc::clone(&log) };
        let store = StoreBuilder::new(Arc::new(backend)).ephemeral(StoreName::new("root").unwrap());
        let store = block_on(store.connect().into_future()).unwrap();
        let created = block_on(store.create_key(new)).unwrap();
        log.lock().unwrap().clear();
        Self { manager, store, log, key: created.key_id, arn: created.arn.to_string() }
    }

    fn heard(&self) -> Vec<[String; 4]> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// What was heard was this, for us.
    fn heard_for_us(&self, operation: &Operation) {
        let expected = [operation.as_str(), "us", "our request", &self.arn].map(str::to_owned);
        assert_eq!(self.heard(), [expected]);
    }
}

fn us() -> (Caller, RequestId) {
    (Caller::new("us"), RequestId::from("our request"))
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("purpose", "test")]).unwrap()
}

#[test]
fn the_key_manager_learns_for_whom_and_by_which_request_it_is_asked() {
    for stage in [Stage::external(), Stage::cluster()] {
        let ((caller, request), handle, context) = (us(), stage.store.handle(), context());
        let acting = handle.acting_for(&caller, &request);
        let used = block_on(acting.encrypt(&stage.key, b"x", &context)).unwrap();
        stage.heard_for_us(&Operation::ENCRYPT);
        assert_eq!(used.key.arn.to_string(), stage.arn);
        let backing = used.key.backing_key.clone();

        let blob = used.result;
        for wanted in [None, Some(&stage.key)] {
            let used = block_on(acting.decrypt(wanted, blob.as_bytes(), &context)).unwrap();
            stage.heard_for_us(&Operation::DECRYPT);
            assert_eq!((used.result.expose(), &used.key.backing_key), (b"x".as_slice(), &backing));
        }
        for operation in [Operation::GENERATE_DATA_KEY, Operation::GENERATE_DATA_KEY_WITHOUT_PLAINTEXT] {
            let length = DataKeyLength::AES_256;
            let made = acting.generate_data_key(&operation, &stage.key, length, &context);
            let used = block_on(made).unwrap();
            stage.heard_for_us(&operation);
            let opened = block_on(stage.store.decrypt(used.result.wrapped.as_bytes(), &context)).unwrap();
            assert_eq!((opened, used.key.arn.to_string()), (used.result.plaintext, stage.arn.clone()));
            // Without a request of the caller's, one of its own.
            let [heard] = &stage.heard()[..] else { panic!("one request") };
            assert!(heard[2] != "our request" && heard[1] == "custom-key-store", "{heard:?}");
        }
    }
}

#[test]
fn keys_and_random_bytes_are_made_for_the_caller_too() {
    let (stage, (caller, request)) = (Stage::cluster(), us());
    let handle = stage.store.handle();
    let acting = handle.acting_for(&caller, &request);
    assert_eq!(block_on(acting.generate_random(16)).unwrap().len(), 16);
    let created = block_on(acting.create_key(&NewKey::generated())).unwrap();
    let [random, create] = &stage.heard()[..] else { panic!("two requests") };
    assert_eq!(random[..3], ["GenerateRandom", "us", "our request"]);
    assert_eq!(create[..], ["CreateKey", "us", "our request", created.arn.as_str()]);
}

#[test]
fn a_handle_on_somebodys_behalf_gives_way_to_whom_it_is_lent() {
    let (stage, (caller, request)) = (Stage::external(), us());
    let handle = stage.store.handle().on_behalf_of(Caller::new("somebody"));
    block_on(handle.encrypt(&stage.key, b"x", &context())).unwrap();
    assert_eq!(stage.heard()[0][1], "somebody");
    block_on(handle.acting_for(&caller, &request).encrypt(&stage.key, b"x", &context())).unwrap();
    stage.heard_for_us(&Operation::ENCRYPT);
}

/// Moves what `from` encrypted into `to`, as one request.
fn re_encrypt(from: Acting<'_>, blob: &[u8], to: Acting<'_>, key: &KeyId) -> Result<Vec<u8>, crate::Error> {
    block_on(async {
        let reading = from.reading(None, blob, &context()).await?;
        let key = to.ready(key).await?;
        let blob = from.re_encrypt(&reading, to, &key, &EncryptionContext::none()).await?;
        Ok(blob.as_bytes().to_vec())
    })
}

#[test]
fn what_one_store_encrypted_is_moved_into_another_by_one_request() {
    for (from, to) in [(Stage::external(), Stage::cluster()), (Stage::cluster(), Stage::external())] {
        let blob = block_on(from.store.encrypt(&from.key, b"x", &context())).unwrap();
        from.heard();
        let ((caller, request), handles) = (us(), [from.store.handle(), to.store.handle()]);
        let [source, destination] = handles.each_ref().map(|handle| handle.acting_for(&caller, &request));
        let moved = re_encrypt(source, blob.as_bytes(), destination, &to.key).unwrap();
        from.heard_for_us(&Operation::RE_ENCRYPT);
        to.heard_for_us(&Operation::RE_ENCRYPT);
        assert_eq!(block_on(to.store.decrypt(&moved, &EncryptionContext::none())).unwrap().expose(), b"x");
        assert!(block_on(from.store.decrypt(&moved, &EncryptionContext::none())).is_err());
    }
}

#[test]
fn nothing_is_decrypted_for_a_destination_that_cannot_be_used() {
    let (from, to) = (Stage::external(), Stage::external());
    let blob = block_on(from.store.encrypt(&from.key, b"x", &context())).unwrap();
    let ((caller, request), handles) = (us(), [from.store.handle(), to.store.handle()]);
    let [source, destination] = handles.each_ref().map(|handle| handle.acting_for(&caller, &request));
    let refused = || re_encrypt(source, blob.as_bytes(), destination, &to.key).unwrap_err().kind();

    block_on(to.store.keys().disable(&to.key)).unwrap();
    assert_eq!(refused(), ErrorKind::KeyDisabled);
    block_on(to.store.keys().enable(&to.key)).unwrap();
    let _disconnecting = to.store.disconnect();
    assert_eq!(refused(), ErrorKind::NotConnected);
    assert_eq!(from.manager.calls(Method::Decrypt), 0);
}
