//! CloudHSM key stores of a `Kms`, on a token.

use std::path::PathBuf;
use std::time::Duration;

use custom_key_store::backend::{
    Change, CloudHsmClusterId, CloudHsmConfiguration, ConnectionErrorCode as Code,
};
use custom_key_store::catalog::{CatalogErrorKind, Ledger, SqliteCatalog};
use custom_key_store::kms::{
    BackendMap, CreateCustomKeyStore, Decrypt, Driver, Encrypt, Exception, GenerateDataKey, KeyRef, Kms,
};
use custom_key_store::{ConnectionState, DataKeyLength, NewKey, SealingKey, StoreId, StoreName};
use custom_key_store_hsm::{Hsm, alone};
use futures::executor::block_on;
use futures::future::{Either, select};

use crate::setup::{await_no_sessions, cluster, identity, password};

const RIGHT: &str = "userpin1";
const WRONG: &str = "wrong1234";

/// What outlives a process.
struct World<'a> {
    hsm: &'a Hsm,
    sealer: SealingKey,
    rotates: bool,
}

impl<'a> World<'a> {
    async fn new(hsm: &'a Hsm) -> Self {
        let world = Self { hsm, sealer: SealingKey::generate(), rotates: false };
        let catalog = SqliteCatalog::create(world.path()).await.unwrap();
        Ledger::create(catalog, &world.sealer, identity()).await.unwrap();
        world
    }

    fn path(&self) -> PathBuf {
        self.hsm.home().join("catalogue")
    }

    /// Two clusters, one a copy of the other.
    fn backends(&self) -> BackendMap {
        let clusters = ["abcdefghij2", "abcdefghij3"].into_iter();
        clusters.fold(BackendMap::new(), |backends, tail| {
            let described = cluster(self.hsm).cluster_id(cluster_id(tail)).rotate_password(self.rotates);
            backends.cluster(described).unwrap()
        })
    }

    /// One process, from its start to its end, which comes without warning.
    async fn process<T>(&self, life: impl AsyncFnOnce(Kms) -> T) -> T {
        await_no_sessions(self.hsm);
        // Whoever had the file lets go of it on a thread of its own.
        let catalog = loop {
            match SqliteCatalog::open(self.path()).await {
                Ok(catalog) => break catalog,
                Err(error) => assert_eq!(error.kind(), CatalogErrorKind::InUse),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let ledger = Ledger::open(catalog, &self.sealer).await.unwrap();
        let (kms, driver) = Kms::open(ledger, self.backends()).await.unwrap();
        drive(driver, life(kms)).await
    }

    fn logins(&self) -> u64 {
        self.hsm.shim().calls("C_Login")
    }
}

async fn drive<T>(driver: Driver, life: impl Future<Output = T>) -> T {
    match select(driver, std::pin::pin!(life)).await {
        Either::Right((outcome, _)) => outcome,
        Either::Left(((), _)) => panic!("the driver ended"),
    }
}

fn cluster_id(tail: &str) -> CloudHsmClusterId {
    CloudHsmClusterId::new(format!("cluster-{tail}")).unwrap()
}

async fn create(kms: &Kms, text: &str) -> StoreId {
    let cluster = CloudHsmConfiguration::new(cluster_id("abcdefghij2"));
    let name = StoreName::new("hsm").unwrap();
    kms.create_custom_key_store(CreateCustomKeyStore::cloud_hsm(name, cluster, password(text))).await.unwrap()
}

async fn tell(kms: &Kms, id: &StoreId, text: &str) {
    kms.update_custom_key_store(id, Change::new().password(password(text))).await.unwrap();
}

/// Connects, and says how that ended.
async fn connect(kms: &Kms, id: &StoreId) -> Option<Code> {
    kms.connect_custom_key_store(id).await.unwrap();
    ended(kms, id).await
}

async fn ended(kms: &Kms, id: &StoreId) -> Option<Code> {
    let described = kms.settled(id).await.unwrap();
    let is_failed = described.connection_state == ConnectionState::Failed;
    assert!(is_failed || described.connection_state == ConnectionState::Connected);
    described.connection_error_code
}

async fn disconnect(kms: &Kms, id: &StoreId) {
    kms.disconnect_custom_key_store(id).await.unwrap();
    assert_eq!(kms.settled(id).await.unwrap().connection_state, ConnectionState::Disconnected);
}

/// Connects with a password that is refused, and leads the store out of that.
async fn fails(kms: &Kms, id: &StoreId) {
    assert_eq!(connect(kms, id).await, Some(Code::InvalidCredentials));
    let refused = kms.connect_custom_key_store(id).await.unwrap_err();
    assert_eq!(refused.exception(), Exception::CustomKeyStoreInvalidState);
    disconnect(kms, id).await;
}

async fn new_key(kms: &Kms, id: &StoreId) -> (KeyRef, Vec<u8>) {
    let created = kms.create_key(id, &NewKey::generated()).await.unwrap();
    let key = KeyRef::from(created.key_id);
    let encrypted = kms.encrypt(&Encrypt::new(&key, b"attack at dawn")).await.unwrap();
    let data_key = kms.generate_data_key(&GenerateDataKey::new(&key, DataKeyLength::AES_256)).await.unwrap();
    let opened = kms.decrypt(&Decrypt::new(data_key.ciphertext.as_bytes())).await.unwrap();
    assert_eq!(opened.plaintext.expose(), data_key.plaintext.expose());
    (key, encrypted.ciphertext.as_bytes().to_vec())
}

async fn decrypts(kms: &Kms, blob: &[u8]) {
    let opened = kms.decrypt(&Decrypt::new(blob)).await.unwrap();
    assert_eq!(opened.plaintext.expose(), b"attack at dawn");
}

#[test]
fn a_store_lives_through_a_wrong_password_and_restarts_and_each_telling_is_one_attempt() {
    alone(|hsm| {
        block_on(async {
            let world = World::new(hsm).await;
            let (id, blob) = world
                .process(async |kms| {
                    let id = create(&kms, RIGHT).await;
                    assert_eq!(connect(&kms, &id).await, None);
                    let (key, blob) = new_key(&kms, &id).await;
                    decrypts(&kms, &blob).await;
                    assert_eq!(kms.generate_random(32, Some(&id)).await.unwrap().len(), 32);
                    disconnect(&kms, &id).await;
                    let refused = kms.encrypt(&Encrypt::new(&key, b"x")).await.unwrap_err();
                    assert_eq!(refused.exception(), Exception::KmsInvalidState);
                    tell(&kms, &id, WRONG).await;
                    fails(&kms, &id).await;
                    fails(&kms, &id).await;
                    assert_eq!(world.logins(), 2);
                    (id, blob)
                })
                .await;
            // Told, and not tried before the end.
            world.process(async |kms| tell(&kms, &id, WRONG).await).await;
            for _ in 0..2 {
                world.process(async |kms| fails(&kms, &id).await).await;
                assert_eq!(world.logins(), 3);
            }
            world
                .process(async |kms| assert_eq!(connect(&kms, &id).await, Some(Code::InvalidCredentials)))
                .await;
            world
                .process(async |kms| {
                    // As it was left.
                    assert_eq!(ended(&kms, &id).await, Some(Code::InvalidCredentials));
                    disconnect(&kms, &id).await;
                    fails(&kms, &id).await;
                    tell(&kms, &id, RIGHT).await;
                })
                .await;
            assert_eq!(world.logins(), 3);
            for logins in [4, 5] {
                world
                    .process(async |kms| {
                        // The second time it is connected again by itself.
                        assert_eq!(connect(&kms, &id).await, None);
                        decrypts(&kms, &blob).await;
                    })
                    .await;
                assert_eq!(world.logins(), logins);
            }
        });
    });
}

/// The officer sets in the cluster what was wrong before.
#[test]
fn a_password_that_was_refused_is_right_when_it_is_told_again_before_a_restart() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        block_on(async {
            let world = World::new(hsm).await;
            let id = world
                .process(async |kms| {
                    let id = create(&kms, WRONG).await;
                    fails(&kms, &id).await;
                    id
                })
                .await;
            world
                .process(async |kms| {
                    fails(&kms, &id).await;
                    tell(&kms, &id, WRONG).await;
                })
                .await;
            assert_eq!(world.logins(), 1);
            await_no_sessions(hsm);
            hsm.token().set_pin_here(&context, WRONG);
            world
                .process(async |kms| {
                    assert_eq!(connect(&kms, &id).await, None);
                    drop(new_key(&kms, &id).await);
                })
                .await;
        });
    });
}

/// Another cluster is one for which the application makes a new backend.
fn told_together_with_another_cluster(hsm: &Hsm, is_connected_before_the_end: bool) {
    let context = hsm.initialized(hsm.shim().library());
    block_on(async {
        let world = World::new(hsm).await;
        let moved = Change::new().cluster_id(cluster_id("abcdefghij3"));
        let id = world
            .process(async |kms| {
                let id = create(&kms, WRONG).await;
                fails(&kms, &id).await;
                // By itself it is no telling.
                kms.update_custom_key_store(&id, moved).await.unwrap();
                fails(&kms, &id).await;
                assert_eq!(world.logins(), 1);
                id
            })
            .await;
        await_no_sessions(hsm);
        hsm.token().set_pin_here(&context, WRONG);
        let back = Change::new().cluster_id(cluster_id("abcdefghij2")).password(password(WRONG));
        world
            .process(async |kms| {
                kms.update_custom_key_store(&id, back).await.unwrap();
                if is_connected_before_the_end {
                    assert_eq!(connect(&kms, &id).await, None);
                }
            })
            .await;
        world.process(async |kms| assert_eq!(connect(&kms, &id).await, None)).await;
    });
}

#[test]
fn a_password_that_is_told_together_with_another_cluster_is_told_too() {
    alone(|hsm| told_together_with_another_cluster(hsm, true));
}

#[test]
fn a_password_that_is_told_together_with_another_cluster_is_told_after_a_restart_too() {
    alone(|hsm| told_together_with_another_cluster(hsm, false));
}

#[test]
fn a_password_that_only_the_store_knows_outlives_a_mistake_that_was_told_before_a_restart() {
    alone(|hsm| {
        block_on(async {
            let mut world = World::new(hsm).await;
            world.rotates = true;
            let (id, blob) = world
                .process(async |kms| {
                    let id = create(&kms, RIGHT).await;
                    assert_eq!(connect(&kms, &id).await, None);
                    let (_, blob) = new_key(&kms, &id).await;
                    disconnect(&kms, &id).await;
                    (id, blob)
                })
                .await;
            assert!(!hsm.token().accepts(RIGHT));
            world.process(async |kms| tell(&kms, &id, WRONG).await).await;
            world
                .process(async |kms| {
                    fails(&kms, &id).await;
                    tell(&kms, &id, RIGHT).await;
                })
                .await;
            for _ in 0..2 {
                world
                    .process(async |kms| {
                        assert_eq!(connect(&kms, &id).await, None);
                        decrypts(&kms, &blob).await;
                    })
                    .await;
            }
        });
    });
}
