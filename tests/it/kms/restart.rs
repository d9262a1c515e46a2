//! What a restart finds, and the end of a driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{ConnectionErrorCode, StoreName};
use custom_key_store::catalog::{Ledger, MemoryCatalog};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{BackendMap, Encrypt, Exception, Kms, Purpose, Refusal};
use custom_key_store::{ConnectionState, NewKey, SealingKey, StoreId};
use futures::{FutureExt as _, StreamExt as _, pin_mut};

use super::support::{builder, cloud_hsm, connect, drive, exception, external, store_with_key, turn, until};
use crate::support::identity;

/// What lasts, and a key manager.
pub(super) struct World {
    catalog: Arc<MemoryCatalog>,
    sealer: SealingKey,
    pub(super) manager: KeyManager,
    pub(super) clock: ManualClock,
}

impl World {
    async fn new() -> Self {
        let (catalog, sealer) = (Arc::new(MemoryCatalog::new()), SealingKey::generate());
        Ledger::create(Arc::clone(&catalog), &sealer, identity()).await.unwrap();
        Self { catalog, sealer, manager: KeyManager::new(), clock: ManualClock::new() }
    }

    /// One process, from its start to its end, which comes without warning.
    pub(super) async fn process<T>(&self, life: impl AsyncFnOnce(Kms, KeyManager) -> T) -> T {
        let ledger = Ledger::open(Arc::clone(&self.catalog), &self.sealer).await.unwrap();
        let opening = builder(&ledger, &self.manager).clock(self.clock.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, life(kms, self.manager.clone())).await
    }

    /// One process of an application that makes other backends than that, or none.
    async fn process_with(&self, backends: BackendMap, life: impl AsyncFnOnce(Kms)) {
        let ledger = Ledger::open(Arc::clone(&self.catalog), &self.sealer).await.unwrap();
        let opening = Kms::builder(ledger, backends).clock(self.clock.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, life(kms)).await;
    }
}

pub(super) fn run(test: impl AsyncFnOnce(World)) {
    futures::executor::block_on(async { test(World::new().await).await });
}

async fn state(kms: &Kms, id: &StoreId) -> ConnectionState {
    kms.describe_custom_key_store(id).await.unwrap().connection_state
}

#[test]
fn what_was_connected_is_connected_again_and_its_keys_are_of_use() {
    run(async |world| {
        let (id, key, sealed) = world
            .process(async |kms, manager| {
                let (id, key) = store_with_key(&kms, &manager, "root").await;
                let sealed = kms.encrypt(&Encrypt::new(&key.key_id.into(), b"secret")).await.unwrap();
                (id, key, sealed)
            })
            .await;
        world
            .process(async |kms, _| {
                until(&kms, &id, ConnectionState::Connected).await;
                let opened = kms
                    .decrypt(&custom_key_store::kms::Decrypt::new(sealed.ciphertext.as_bytes()))
                    .await
                    .unwrap();
                assert_eq!((opened.plaintext.expose(), opened.key), (&b"secret"[..], key.arn.clone()));
            })
            .await;
    });
}

#[test]
fn what_may_pass_by_itself_is_tried_again_and_what_does_not_ends_failed() {
    run(async |world| {
        let id = world
            .process(async |kms, _| {
                let id = kms.create_custom_key_store(external("root")).await.unwrap();
                connect(&kms, &id).await;
                id
            })
            .await;
        let refuse = |code| Some(Fault::Refuse(code));
        world.manager.script(
            Method::Connect,
            [
                refuse(ConnectionErrorCode::XksProxyNotReachable),
                refuse(ConnectionErrorCode::XksProxyTimedOut),
                refuse(ConnectionErrorCode::InvalidCredentials),
            ],
        );
        let before = world.manager.calls(Method::Connect);
        world
            .process(async |kms, manager| {
                while manager.calls(Method::Connect) < before + 3 {
                    assert_eq!(state(&kms, &id).await, ConnectionState::Connecting);
                    world.clock.advance(Duration::from_secs(1));
                    futures::pending!();
                }
                until(&kms, &id, ConnectionState::Failed).await;
            })
            .await;
        world
            .process(async |kms, _| {
                let described = kms.describe_custom_key_store(&id).await.unwrap();
                assert_eq!(described.connection_state, ConnectionState::Failed);
                assert_eq!(described.connection_error_code, Some(ConnectionErrorCode::InvalidCredentials));
                // The way back.
                assert_eq!(
                    exception(kms.connect_custom_key_store(&id).await),
                    Exception::CustomKeyStoreInvalidState
                );
                kms.disconnect_custom_key_store(&id).await.unwrap();
                until(&kms, &id, ConnectionState::Disconnected).await;
                connect(&kms, &id).await;
            })
            .await;
    });
}

#[test]
fn what_was_being_disconnected_is_disconnected() {
    run(async |world| {
        let id = world
            .process(async |kms, manager| {
                let (id, key) = store_with_key(&kms, &manager, "root").await;
                // A call in flight, for which the disconnect waits, and the process does not.
                manager.always(Method::Encrypt, Fault::Hang);
                let key = key.key_id.into();
                let request = Encrypt::new(&key, b"secret");
                let hanging = kms.encrypt(&request);
                pin_mut!(hanging);
                assert!(hanging.as_mut().now_or_never().is_none());
                kms.disconnect_custom_key_store(&id).await.unwrap();
                assert_eq!(state(&kms, &id).await, ConnectionState::Disconnecting);
                id
            })
            .await;
        world.process(async |kms, _| assert_eq!(state(&kms, &id).await, ConnectionState::Disconnected)).await;
    });
}

#[test]
fn a_deletion_that_fell_due_while_nothing_ran_takes_place() {
    run(async |world| {
        let (id, key) = world
            .process(async |kms, manager| {
                let (id, key) = store_with_key(&kms, &manager, "root").await;
                kms.schedule_key_deletion(&key.key_id, Some(7)).await.unwrap();
                (id, key)
            })
            .await;
        world.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
        world
            .process(async |kms, _| {
                while kms.describe_key(&key.key_id.into()).await.is_ok() {
                    futures::pending!();
                }
                let found = kms.describe_key(&key.key_id.into()).await;
                assert_eq!(exception(found), Exception::NotFound);
                until(&kms, &id, ConnectionState::Connected).await;
            })
            .await;
    });
}

#[test]
fn a_key_in_a_cluster_is_deleted_though_its_store_is_connecting_for_hours() {
    run(async |world| {
        let key = world
            .process(async |kms, _| {
                let id = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghij2")).await.unwrap();
                connect(&kms, &id).await;
                let key = kms.create_key(&id, &NewKey::generated()).await.unwrap().key_id;
                kms.schedule_key_deletion(&key, Some(7)).await.unwrap();
                key
            })
            .await;
        world.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
        let unreachable = std::iter::repeat_n(Some(Fault::Refuse(ConnectionErrorCode::NetworkErrors)), 1_000);
        world.manager.script(Method::Connect, unreachable);
        world
            .process(async |kms, _| {
                let mut waited = 0;
                while kms.describe_key(&key.into()).await.is_ok() {
                    world.clock.advance(Duration::from_secs(60));
                    turn().await;
                    waited += 1;
                    assert!(waited < 2 * 60, "it waits for ever");
                }
                assert!(waited >= 60, "the cluster was not waited for: {waited} minutes");
            })
            .await;
        // In the cluster it is still.
        assert_eq!(world.manager.calls(Method::DeleteKey), 0);
    });
}

#[test]
fn an_orderly_end_says_goodbye_and_is_no_disconnect() {
    run(async |world| {
        let ledger = Ledger::open(Arc::clone(&world.catalog), &world.sealer).await.unwrap();
        let (kms, driver) = builder(&ledger, &world.manager).open().await.unwrap();
        let mut events = kms.events();
        let life = async {
            let (id, key) = store_with_key(&kms, &world.manager, "root").await;
            kms.shut_down();
            (id, key)
        };
        let ((), (id, key)) = futures::join!(driver, life);
        assert_eq!(world.manager.open_connections(), 0);
        let refused = kms.encrypt(&Encrypt::new(&key.key_id.into(), b"secret")).await;
        assert_eq!(exception(refused), Exception::KmsInternal);
        let refused = kms.connect_custom_key_store(&id).await;
        assert_eq!(exception(refused), Exception::KmsInternal);
        while let Some(event) = events.next().await {
            assert_ne!(event.to, ConnectionState::Disconnecting);
        }
        world.process(async |kms, _| until(&kms, &id, ConnectionState::Connected).await).await;
    });
}

#[test]
fn dropping_the_driver_disconnects_every_store_at_once() {
    run(async |world| {
        let ledger = Ledger::open(Arc::clone(&world.catalog), &world.sealer).await.unwrap();
        let (kms, mut driver) = builder(&ledger, &world.manager).open().await.unwrap();
        {
            let life = store_with_key(&kms, &world.manager, "root");
            pin_mut!(life);
            let select = futures::future::select(&mut driver, life);
            assert!(matches!(select.await, futures::future::Either::Right(_)));
        }
        assert_eq!(world.manager.open_connections(), 1);
        drop(driver);
        assert_eq!(world.manager.open_connections(), 0);
        let refused = kms.list_keys(&Default::default()).await;
        assert_eq!(exception(refused), Exception::KmsInternal);
    });
}

#[test]
fn a_store_without_a_backend_is_there_and_is_connected_when_there_is_one_again() {
    run(async |world| {
        let id = world
            .process(async |kms, _| {
                let id = kms.create_custom_key_store(external("root")).await.unwrap();
                connect(&kms, &id).await;
                id
            })
            .await;
        let ledger = Ledger::open(Arc::clone(&world.catalog), &world.sealer).await.unwrap();
        let (kms, driver) = Kms::open(ledger, BackendMap::new()).await.unwrap();
        drive(driver, async {
            let named = kms.describe_custom_key_store_named(&StoreName::new("root").unwrap()).await.unwrap();
            assert_eq!(
                (named.custom_key_store_id, named.connection_state),
                (id.clone(), ConnectionState::Connecting)
            );
            assert_eq!(
                exception(kms.create_custom_key_store(external("other")).await),
                Exception::Validation
            );
        })
        .await;
        drop(kms);
        world.process(async |kms, _| until(&kms, &id, ConnectionState::Connected).await).await;
    });
}

/// A store whose line was forgotten in the configuration of an application, or taken out of it.
#[test]
fn a_cluster_that_is_described_no_more_is_waited_for_by_a_restart_and_not_found_by_who_connects() {
    run(async |world| {
        let id = world
            .process(async |kms, _| {
                let id = kms.create_custom_key_store(cloud_hsm("root", "abcdefghij2")).await.unwrap();
                connect(&kms, &id).await;
                id
            })
            .await;
        world
            .process_with(BackendMap::new(), async |kms| {
                for _ in 0..10 {
                    assert_eq!(state(&kms, &id).await, ConnectionState::Connecting);
                    world.clock.advance(Duration::from_secs(60));
                    futures::pending!();
                }
            })
            .await;
        // The next start finds it as if nothing had been.
        world.process(async |kms, _| until(&kms, &id, ConnectionState::Connected).await).await;

        world
            .process_with(BackendMap::new(), async |kms| {
                kms.disconnect_custom_key_store(&id).await.unwrap();
                until(&kms, &id, ConnectionState::Disconnected).await;
                kms.connect_custom_key_store(&id).await.unwrap();
                let failed = kms.settled(&id).await.unwrap();
                assert_eq!(failed.connection_error_code, Some(ConnectionErrorCode::ClusterNotFound));
            })
            .await;
        // Which lasts, as everything does that was found when somebody asked.
        world
            .process(async |kms, _| {
                assert_eq!(state(&kms, &id).await, ConnectionState::Failed);
                kms.disconnect_custom_key_store(&id).await.unwrap();
                until(&kms, &id, ConnectionState::Disconnected).await;
                connect(&kms, &id).await;
            })
            .await;
    });
}

#[test]
fn why_there_is_no_backend_is_the_code_of_a_store_that_is_to_connect() {
    let refused = |name: &str, refusal: Refusal, code: ConnectionErrorCode| {
        let create = if name == "cluster" { cloud_hsm(name, "abcdefghij2") } else { external(name) };
        run(async |world| {
            let created = world.process(async |kms, _| kms.create_custom_key_store(create).await.unwrap());
            let id = created.await;
            let backends = BackendMap::new().kind(move |_, _| Some(Err(refusal.clone())));
            world
                .process_with(backends, async |kms| {
                    kms.connect_custom_key_store(&id).await.unwrap();
                    let failed = kms.settled(&id).await.unwrap();
                    assert_eq!(failed.connection_error_code, Some(code));
                })
                .await;
        });
    };
    use ConnectionErrorCode as Code;
    refused("cluster", Refusal::ClusterNotFound, Code::ClusterNotFound);
    refused("cluster", Refusal::IncorrectTrustAnchor, Code::InternalError);
    refused("proxy", Refusal::Unreachable("it is private".to_owned()), Code::XksProxyNotReachable);
    refused("proxy", Refusal::VpcEndpointServiceNotFound, Code::XksVpcEndpointServiceNotFound);
    refused("proxy", Refusal::Unsupported("EXTERNAL_KEY_STORE".to_owned()), Code::InternalError);
    // Of the other type of store.
    refused("proxy", Refusal::ClusterNotFound, Code::InternalError);
}

#[test]
fn what_the_application_finds_around_a_key_manager_counts_after_a_restart_too() {
    run(async |world| {
        let id = world
            .process(async |kms, _| {
                let id = kms.create_custom_key_store(external("root")).await.unwrap();
                connect(&kms, &id).await;
                id
            })
            .await;
        // At first it cannot say, which may pass; then it says that there is no such service, which does not.
        let looked = Arc::new(AtomicUsize::new(0));
        let looks = Arc::clone(&looked);
        let backends = BackendMap::new().software(world.manager.clone()).inspect_with(move |_, purpose| {
            assert_eq!(purpose, Purpose::Connect);
            let refusal = match looks.fetch_add(1, SeqCst) {
                0 => Refusal::TimedOut,
                _ => Refusal::VpcEndpointServiceNotFound,
            };
            async move { Err(refusal) }
        });
        let ledger = Ledger::open(Arc::clone(&world.catalog), &world.sealer).await.unwrap();
        let opening = Kms::builder(ledger, backends).clock(world.clock.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, async {
            while looked.load(SeqCst) < 2 {
                assert_eq!(state(&kms, &id).await, ConnectionState::Connecting);
                turn().await;
                world.clock.advance(Duration::from_secs(1));
            }
            until(&kms, &id, ConnectionState::Failed).await;
            let code = kms.describe_custom_key_store(&id).await.unwrap().connection_error_code;
            assert_eq!(code, Some(ConnectionErrorCode::XksVpcEndpointServiceNotFound));
        })
        .await;
    });
}
