//! What a store runs, its backend and wakers, may ask for the same store: it gets an answer.

use std::future::Future as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    Backend, Change, ConnectRequest, Connection, ConnectionError, InvalidChange, StoreConfiguration,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{BackendMap, Backends as _, Encrypt, Exception, Kms, KmsError};
use custom_key_store::{ConnectionState, PageRequest, StoreId};
use futures::FutureExt as _;

use super::support::{builder, connect, drive, exception, external, store_with_key, turn, until};
use crate::support::ledger;

/// A backend that looks at its own store while it connects.
#[derive(Debug, Clone)]
struct Curious {
    inner: Arc<dyn Backend>,
    world: Arc<World>,
}

#[derive(Debug, Default)]
struct World {
    kms: OnceLock<(Kms, StoreId)>,
    found: Mutex<Vec<Exception>>,
}

impl World {
    /// Asks for the store in every way, and does not wait for what takes longer.
    fn ask(&self) {
        let Some((kms, id)) = self.kms.get() else { return };
        let note = |found: Option<Result<(), KmsError>>| {
            self.found.lock().unwrap().push(exception(found.unwrap()));
        };
        note(kms.describe_custom_key_store(id).map(|found| found.map(drop)).now_or_never());
        let all = PageRequest::default();
        note(kms.describe_custom_key_stores(&all).map(|found| found.map(drop)).now_or_never());
        note(kms.disconnect_custom_key_store(id).now_or_never());
        note(kms.connect_custom_key_store(id).now_or_never());
    }
}

#[async_trait]
impl Backend for Curious {
    fn configuration(&self) -> StoreConfiguration {
        self.inner.configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let inner = self.inner.reconfigured(change)?;
        Ok(Arc::new(Self { inner, world: Arc::clone(&self.world) }))
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        self.world.ask();
        self.inner.connect(request).await
    }
}

#[test]
fn a_backend_that_asks_for_its_own_store_while_it_connects_is_refused_and_the_store_goes_on() {
    let world = Arc::new(World::default());
    let manager = KeyManager::new();
    let made = Arc::clone(&world);
    let software = BackendMap::new().software(manager);
    let backends = BackendMap::new().kind(move |configuration, secret| {
        let curious = |inner| Arc::new(Curious { inner, world: Arc::clone(&made) }) as Arc<dyn Backend>;
        Some(software.backend(configuration, secret).map(curious))
    });
    futures::executor::block_on(async {
        let (kms, driver) = Kms::builder(ledger(), backends).open().await.unwrap();
        drive(driver, async {
            let id = kms.create_custom_key_store(external("root")).await.unwrap();
            world.kms.set((kms.clone(), id.clone())).unwrap();
            connect(&kms, &id).await;
            assert_eq!(*world.found.lock().unwrap(), [Exception::KmsInternal; 4]);
        })
        .await;
    });
}

/// A waker that looks at a store when it is woken.
struct Meddler(Kms, StoreId, Mutex<Vec<Exception>>);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some(Err(error)) = self.0.describe_custom_key_store(&self.1).now_or_never() {
            self.2.lock().unwrap().push(error.exception());
        }
    }
}

#[test]
fn a_waker_that_asks_for_the_store_whose_move_wakes_it_is_refused_and_the_move_takes_place() {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().clock(clock.clone()).build();
    futures::executor::block_on(async {
        let opening =
            builder(&ledger(), &manager).clock(clock.clone()).drain_limit(Duration::from_secs(1)).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, async {
            let (id, key) = store_with_key(&kms, &manager, "root").await;
            manager.inject(Method::Encrypt, Fault::Hang);
            let (key, meddler) =
                (key.key_id.into(), Arc::new(Meddler(kms.clone(), id.clone(), Mutex::default())));
            let waker = Waker::from(Arc::clone(&meddler));
            let request = Encrypt::new(&key, b"secret");
            let mut call = pin!(kms.encrypt(&request));
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            kms.disconnect_custom_key_store(&id).await.unwrap();
            turn().await;
            // What is in flight is abandoned now, and woken.
            clock.advance(Duration::from_secs(1));
            until(&kms, &id, ConnectionState::Disconnected).await;
            assert_eq!(*meddler.2.lock().unwrap(), [Exception::KmsInternal]);
            assert_eq!(exception(call.await), Exception::KmsInvalidState);
        })
        .await;
    });
}
