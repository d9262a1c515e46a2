//! A store that was told a password tries it, once, wherever the process ends that told it.

use std::pin::pin;
use std::task::Poll;

use cryptoki::context::Pkcs11;
use custom_key_store::backend::ConnectionErrorCode as Code;
use custom_key_store::catalog::{Ledger, MemoryCatalog};
use custom_key_store::{
    AnyKeyStore, ConnectionState, Disconnected, KeyStore, SealingKey, StoreBuilder, StoreId, StoreName,
};
use custom_key_store_hsm::{Hsm, alone};
use futures::executor::block_on;
use futures::future::poll_fn;

use crate::setup::{await_no_sessions, cluster, fails, identity, password, tell, works};
use crate::vault::{Disk, Fault};

const WRONG: &str = "wrong1234";

/// What outlives a process: a catalogue with a store in it, and where the store's passwords are written down.
struct World<'a> {
    hsm: &'a Hsm,
    /// Held, so that the library stays initialized.
    context: Pkcs11,
    ledger: Ledger,
    disk: Disk,
    id: StoreId,
}

impl<'a> World<'a> {
    /// With a store whose password was refused.
    async fn new(hsm: &'a Hsm) -> Self {
        let context = hsm.initialized(hsm.shim().library());
        let sealer = SealingKey::generate();
        let ledger = Ledger::create(MemoryCatalog::new(), &sealer, identity()).await.unwrap();
        let world = World { hsm, context, ledger, disk: Disk::default(), id: StoreId::generate() };
        let name = StoreName::new("hsm").unwrap();
        let store = world.builder().id(world.id.clone()).create(&world.ledger, name).await.unwrap();
        fails(store, Code::InvalidCredentials).await;
        world
    }

    fn builder(&self) -> StoreBuilder {
        let cluster = cluster(self.hsm).password(password(WRONG)).build().unwrap();
        KeyStore::builder(cluster).vault(self.disk.clone())
    }

    async fn opened(&self) -> AnyKeyStore {
        await_no_sessions(self.hsm);
        self.builder().open(&self.ledger, &self.id).await.unwrap()
    }

    /// The store, disconnected, as a process finds it that knows nothing of the one before.
    async fn restarted(&self) -> KeyStore<Disconnected> {
        let mut store = self.opened().await;
        if store.state() != ConnectionState::Disconnected {
            store.disconnect().unwrap();
            assert_eq!(store.settled().await, ConnectionState::Disconnected);
        }
        store.try_into().unwrap()
    }

    /// Connects the store in one process and ends that where the disk hangs, if it does.
    async fn connects_until_the_disk_hangs(&self) {
        let mut store = AnyKeyStore::from(self.restarted().await);
        store.connect().unwrap();
        let mut settled = pin!(store.settled());
        poll_fn(|context| match settled.as_mut().poll(context) {
            Poll::Pending if !self.disk.is_hung() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }

    fn logins(&self) -> u64 {
        self.hsm.shim().calls("C_Login")
    }

    fn officer_sets(&self, pin: &str) {
        await_no_sessions(self.hsm);
        self.hsm.token().set_pin_here(&self.context, pin);
        self.hsm.shim().forget_calls();
    }
}

#[test]
fn a_password_that_was_told_again_is_tried_after_a_restart_and_once() {
    alone(|hsm| {
        block_on(async {
            let world = World::new(hsm).await;
            assert_eq!(world.logins(), 1);
            // Not without being told, in whatever process.
            fails(world.restarted().await, Code::InvalidCredentials).await;
            assert_eq!(world.logins(), 1);
            for told in 1..=2 {
                tell(&mut world.restarted().await, WRONG).await;
                for _ in 0..3 {
                    fails(world.restarted().await, Code::InvalidCredentials).await;
                    assert_eq!(world.logins(), 1 + told);
                }
            }
            // Told before it is so.
            tell(&mut world.restarted().await, WRONG).await;
            world.officer_sets(WRONG);
            works(world.restarted().await).await;
            works(world.restarted().await).await;
        });
    });
}

/// A name is told to nobody.
#[test]
fn another_change_is_no_telling() {
    alone(|hsm| {
        block_on(async {
            let world = World::new(hsm).await;
            let mut store = world.restarted().await;
            let change = custom_key_store::backend::Change::new().name(StoreName::new("other").unwrap());
            store.update(change).await.unwrap();
            fails(store, Code::InvalidCredentials).await;
            fails(world.restarted().await, Code::InvalidCredentials).await;
            assert_eq!(world.logins(), 1);
        });
    });
}

/// A password that is right, or is not.
fn cut_off(hsm: &Hsm, is_right: bool) {
    block_on(async {
        let world = World::new(hsm).await;
        for fault in Fault::ALL {
            for nth in 1.. {
                let what = format!("{fault:?} at {nth}");
                world.officer_sets("another12");
                tell(&mut world.restarted().await, WRONG).await;
                if is_right {
                    world.officer_sets(WRONG);
                }
                world.disk.fail(nth, fault);
                world.connects_until_the_disk_hangs().await;
                let is_over = !world.disk.was_reached();
                world.disk.mend();
                // It is read what was written, and written that the password is tried, before it is.
                assert_eq!(world.logins(), u64::from(nth > 2), "{what}");
                if is_right {
                    works(works(world.restarted().await).await).await;
                } else {
                    // That it was refused may not be written down. Then it counts as tried, and a third time would be the last.
                    let is_lost = nth == 3 && matches!(fault, Fault::Refused | Fault::Hung);
                    for _ in 0..3 {
                        fails(world.restarted().await, Code::InvalidCredentials).await;
                        assert_eq!(world.logins(), 1 + u64::from(is_lost), "{what}");
                    }
                }
                if is_over {
                    assert_eq!(nth, 4);
                    break;
                }
            }
        }
    });
}

#[test]
fn a_wrong_password_is_tried_once_wherever_the_process_ends_that_tries_it_first() {
    alone(|hsm| cut_off(hsm, false));
}

#[test]
fn a_right_password_is_in_the_end_accepted_wherever_the_process_ends_that_tries_it_first() {
    alone(|hsm| cut_off(hsm, true));
}
