//! A store that is told a password by an update of which nobody hears whether it took place: that counts for the password
//! that was told, and once.

use std::pin::pin;
use std::task::{Context, Waker};

use custom_key_store::backend::{Change, ConnectionErrorCode as Code};
use custom_key_store::backend::{CloudHsmClusterId, CloudHsmConfiguration};
use custom_key_store::catalog::Ledger;
use custom_key_store::kms::{BackendMap, CreateCustomKeyStore, Exception, Kms};
use custom_key_store::{
    AnyKeyStore, ConnectionState, Disconnected, KeyStore, SealingKey, StoreId, StoreName,
};
use custom_key_store_hsm::{Hsm, alone};
use futures::executor::block_on;
use futures::future::{Either, select};

use crate::catalogue::Slow;
use crate::setup::{await_no_sessions, cluster, fails, identity, password, tell, works};
use crate::vault::Disk;

/// In force.
const RIGHT: &str = "userpin1";
const WRONG: &str = "wrong1234";
const OTHER: &str = "wrong5678";

/// What outlives a process.
struct World<'a> {
    hsm: &'a Hsm,
    catalog: Slow,
    ledger: Ledger,
    disk: Disk,
    id: StoreId,
    rotates: bool,
}

impl<'a> World<'a> {
    async fn new(hsm: &'a Hsm) -> Self {
        let catalog = Slow::new();
        let ledger = Ledger::create(catalog.clone(), &SealingKey::generate(), identity()).await.unwrap();
        Self { hsm, catalog, ledger, disk: Disk::default(), id: StoreId::generate(), rotates: false }
    }

    /// The store, made by a program that has this password.
    async fn created(&self, text: &str) -> KeyStore<Disconnected> {
        let name = StoreName::new("hsm").unwrap();
        let cluster = self.cluster(text);
        let builder = KeyStore::builder(cluster).id(self.id.clone()).vault(self.disk.clone());
        builder.create(&self.ledger, name).await.unwrap()
    }

    /// The store, disconnected, as a program finds it that has this password.
    async fn started(&self, text: &str) -> KeyStore<Disconnected> {
        await_no_sessions(self.hsm);
        let builder = KeyStore::builder(self.cluster(text)).vault(self.disk.clone());
        let mut store: AnyKeyStore = builder.open(&self.ledger, &self.id).await.unwrap();
        if store.state() != ConnectionState::Disconnected {
            store.disconnect().unwrap();
            assert_eq!(store.settled().await, ConnectionState::Disconnected);
        }
        store.try_into().unwrap()
    }

    fn cluster(&self, text: &str) -> custom_key_store::cloudhsm::CloudHsmCluster {
        cluster(self.hsm).password(password(text)).rotate_password(self.rotates).build().unwrap()
    }

    fn logins(&self) -> u64 {
        self.hsm.shim().calls("C_Login")
    }
}

/// How an update ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is polled so often, and dropped.
    Dropped(usize),
    /// It takes place, and the catalogue does not say so.
    Unheard,
}

/// Whether it is heard that the update took place.
async fn update(world: &World<'_>, store: &mut KeyStore<Disconnected>, text: &str, end: End) -> bool {
    let change = Change::new().password(password(text));
    match end {
        End::Dropped(polls) => {
            let mut update = Box::pin(store.update(change));
            (0..polls).any(|_| {
                update.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(Result::unwrap).is_ready()
            })
        }
        End::Unheard => {
            world.catalog.go_away();
            store.update(change).await.unwrap_err();
            world.catalog.come_back();
            false
        }
    }
}

/// Has the store try what it has, by connecting or by a dry run.
async fn tries(store: KeyStore<Disconnected>, is_dry: bool) -> KeyStore<Disconnected> {
    if is_dry {
        assert_eq!(store.probe().await.unwrap_err().code(), Code::InvalidCredentials);
        return store;
    }
    fails(store, Code::InvalidCredentials).await.0
}

/// A store whose password was refused, in a process that tells it this one, wherever that ends. Says whether it was heard
/// that it did.
async fn is_told(hsm: &Hsm, told: &str, end: End, is_dry: bool) -> bool {
    let what = format!("{told}, {end:?}, {is_dry}");
    let world = World::new(hsm).await;
    let mut store = fails(world.created(WRONG).await, Code::InvalidCredentials).await.0;
    hsm.shim().forget_calls();
    let is_heard = update(&world, &mut store, told, end).await;
    drop(tries(tries(store, is_dry).await, false).await);
    let before = world.logins();
    assert!(before <= 1 && (before == 1 || !is_heard), "{what}: {before}");
    if told == WRONG {
        // Each telling is one attempt, whoever heard of it.
        for _ in 0..2 {
            drop(tries(world.started(WRONG).await, is_dry).await);
            assert_eq!(world.logins(), before, "{what}");
        }
        return is_heard;
    }
    assert_eq!(before, u64::from(is_heard), "{what}");
    if !is_heard {
        // Nobody told it this one.
        for _ in 0..2 {
            drop(tries(world.started(WRONG).await, is_dry).await);
            assert_eq!(world.logins(), 0, "{what}");
        }
    }
    for _ in 0..2 {
        drop(tries(world.started(told).await, is_dry).await);
        assert_eq!(world.logins(), 1, "{what}");
    }
    is_heard
}

fn is_told_in_every_way(hsm: &Hsm, told: &str) {
    block_on(async {
        for is_dry in [false, true] {
            for polls in 0.. {
                if is_told(hsm, told, End::Dropped(polls), is_dry).await {
                    assert!(polls > 2);
                    break;
                }
            }
            assert!(!is_told(hsm, told, End::Unheard, is_dry).await);
        }
    });
}

#[test]
fn a_refused_password_is_not_tried_since_the_store_was_perhaps_told_another() {
    alone(|hsm| is_told_in_every_way(hsm, OTHER));
}

#[test]
fn a_refused_password_that_was_perhaps_told_again_is_tried_at_most_once() {
    alone(|hsm| is_told_in_every_way(hsm, WRONG));
}

/// A program that is started with what it had before the update.
#[test]
fn a_telling_waits_for_whoever_comes_with_the_password_that_was_told() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        block_on(async {
            let mut world = World::new(hsm).await;
            world.rotates = true;
            // By its name, the one is meant that only the store knows.
            drop(works(world.created(RIGHT).await).await);
            assert!(!hsm.token().accepts(RIGHT));
            drop(works(world.started(RIGHT).await).await);
            await_no_sessions(hsm);
            // The officer lets the user in again with the password of before.
            hsm.token().set_pin_here(&context, RIGHT);
            tell(&mut world.started(RIGHT).await, RIGHT).await;
            drop(tries(world.started(WRONG).await, false).await);
            drop(works(world.started(RIGHT).await).await);
        });
    });
}

/// One process of a `Kms`, from its start to its end, which comes without warning.
async fn process(world: &World<'_>, life: impl AsyncFnOnce(Kms)) {
    await_no_sessions(world.hsm);
    let backends = BackendMap::new().cluster(cluster(world.hsm)).unwrap();
    let (kms, driver) = Kms::open(world.ledger.clone(), backends).await.unwrap();
    match select(driver, pin!(life(kms))).await {
        Either::Right(((), _)) => {}
        Either::Left(((), _)) => panic!("the driver ended"),
    }
}

/// Connects a store whose password is refused, and leads it out of that.
async fn refused(kms: &Kms, id: &StoreId) {
    kms.connect_custom_key_store(id).await.unwrap();
    let described = kms.settled(id).await.unwrap();
    assert_eq!(described.connection_error_code, Some(Code::InvalidCredentials));
    kms.disconnect_custom_key_store(id).await.unwrap();
    kms.settled(id).await.unwrap();
}

/// Refused, told, restarted: how often the password is tried before the restart and since.
fn is_told_by_a_kms(hsm: &Hsm, told: &str, before: u64, since: u64) {
    block_on(async {
        let mut world = World::new(hsm).await;
        let mut created = None;
        process(&world, async |kms| {
            let cluster = CloudHsmConfiguration::new(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap());
            let name = StoreName::new("hsm").unwrap();
            let create = CreateCustomKeyStore::cloud_hsm(name, cluster, password(WRONG));
            let id = kms.create_custom_key_store(create).await.unwrap();
            refused(&kms, &id).await;
            hsm.shim().forget_calls();
            world.catalog.go_away();
            let change = Change::new().password(password(told));
            let failed = kms.update_custom_key_store(&id, change).await.unwrap_err();
            assert_eq!(failed.exception(), Exception::KmsInternal);
            world.catalog.come_back();
            for _ in 0..2 {
                refused(&kms, &id).await;
                assert_eq!(world.logins(), before);
            }
            created = Some(id);
        })
        .await;
        world.id = created.unwrap();
        for _ in 0..2 {
            process(&world, async |kms| refused(&kms, &world.id).await).await;
            assert_eq!(world.logins(), before + since);
        }
    });
}

#[test]
fn a_kms_that_was_perhaps_told_a_password_again_tries_it_once() {
    alone(|hsm| is_told_by_a_kms(hsm, WRONG, 1, 0));
}

#[test]
fn a_kms_that_was_perhaps_told_another_password_tries_that_when_it_has_it() {
    alone(|hsm| is_told_by_a_kms(hsm, OTHER, 0, 1));
}
