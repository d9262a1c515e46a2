//! Stores and keys, and everything around them that can go wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, Table,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Action, BackendMap, Exception, Kms, KmsBuilder, KmsError, Refusal};
use custom_key_store::{Error, KeyId, NewKey, SealingKey, StoreId};
use futures::future::{Either, select};
use futures::pin_mut;

use super::model::{COMMON, MODEL};
use crate::kms::support::{cloud_hsm, connect, drive, external, turn};
use crate::support::identity;

/// What a catalogue does instead of working.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Mood {
    #[default]
    Works,
    Hangs,
    Fails,
    /// Somebody else is always faster.
    Conflicts,
}

/// A catalogue that does not always work.
#[derive(Debug, Default)]
pub(super) struct Moody {
    inner: MemoryCatalog,
    mood: Mutex<Mood>,
}

impl Moody {
    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn meet(&self, commits: bool) -> Result<(), CatalogError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Conflicts if commits => Err(CatalogError::new(CatalogErrorKind::Conflict)),
            Mood::Works | Mood::Conflicts => Ok(()),
            Mood::Hangs => std::future::pending().await,
            Mood::Fails => Err(CatalogError::new(CatalogErrorKind::Corrupt)),
        }
    }
}

#[async_trait]
impl Catalog for Moody {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.meet(false).await?;
        self.inner.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.meet(false).await?;
        self.inner.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.meet(false).await?;
        self.inner.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.meet(false).await?;
        self.inner.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        self.meet(true).await?;
        self.inner.commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.inner.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}

/// What an application finds around a key manager.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings(Arc<Mutex<Sight>>);

#[derive(Debug, Clone, Default)]
enum Sight {
    #[default]
    Well,
    Refused(Refusal),
    /// It looks for ever.
    Hangs,
}

impl Surroundings {
    pub(super) fn set(&self, refusal: Refusal) {
        *self.0.lock().unwrap() = Sight::Refused(refusal);
    }

    pub(super) fn hang(&self) {
        *self.0.lock().unwrap() = Sight::Hangs;
    }

    fn mend(&self) {
        *self.0.lock().unwrap() = Sight::Well;
    }

    async fn look(self) -> Result<(), Refusal> {
        let sight = self.0.lock().unwrap().clone();
        match sight {
            Sight::Well => Ok(()),
            Sight::Refused(refusal) => Err(refusal),
            Sight::Hangs => std::future::pending().await,
        }
    }
}

/// A store of each type that is connected and has a key which nobody has used, and one of each that is empty and
/// disconnected.
pub(super) struct Rig {
    pub(super) kms: Kms,
    pub(super) manager: KeyManager,
    pub(super) clock: ManualClock,
    pub(super) catalog: Arc<Moody>,
    pub(super) surroundings: Surroundings,
    pub(super) store: StoreId,
    pub(super) key: KeyId,
    pub(super) cluster: StoreId,
    pub(super) cluster_key: KeyId,
    pub(super) idle: StoreId,
    pub(super) idle_cluster: StoreId,
    /// What was answered.
    reached: RefCell<BTreeSet<(Action, Exception)>>,
}

impl Rig {
    /// Runs a test of such stores, and gives what it reached.
    pub(super) fn run(test: impl AsyncFnOnce(&Self)) -> BTreeSet<(Action, Exception)> {
        Self::run_with(|kms| kms, test)
    }

    pub(super) fn run_with(
        settings: impl FnOnce(KmsBuilder) -> KmsBuilder,
        test: impl AsyncFnOnce(&Self),
    ) -> BTreeSet<(Action, Exception)> {
        futures::executor::block_on(async {
            let clock = ManualClock::new();
            let manager = KeyManager::builder().clock(clock.clone()).build();
            let (catalog, surroundings) = (Arc::new(Moody::default()), Surroundings::default());
            let sealer = SealingKey::generate();
            let ledger = Ledger::create(Arc::clone(&catalog), &sealer, identity()).await.unwrap();
            let seen = surroundings.clone();
            let backends = BackendMap::new().software(manager.clone());
            let backends = backends.inspect_with(move |_, _| seen.clone().look());
            let builder = Kms::builder(ledger, backends).clock(clock.clone());
            let (kms, driver) = settings(builder).open().await.unwrap();
            let life = async {
                let rig = Self::furnished(kms, manager, clock, catalog, surroundings).await;
                test(&rig).await;
                rig.reached.into_inner()
            };
            drive(driver, life).await
        })
    }

    async fn furnished(
        kms: Kms,
        manager: KeyManager,
        clock: ManualClock,
        catalog: Arc<Moody>,
        surroundings: Surroundings,
    ) -> Self {
        let store = kms.create_custom_key_store(external("root")).await.unwrap();
        let cluster = kms.create_custom_key_store(cloud_hsm("cluster", "abcdefghij2")).await.unwrap();
        let idle = kms.create_custom_key_store(external("idle")).await.unwrap();
        let idle_cluster =
            kms.create_custom_key_store(cloud_hsm("idle-cluster", "abcdefghij3")).await.unwrap();
        connect(&kms, &store).await;
        connect(&kms, &cluster).await;
        for backing in ["in-key", "free"] {
            manager.create_key(backing_key(backing));
        }
        let key = kms.create_key(&store, &NewKey::external(backing_key("in-key"))).await.unwrap().key_id;
        let cluster_key = kms.create_key(&cluster, &NewKey::generated()).await.unwrap().key_id;
        let reached = RefCell::default();
        Self {
            kms,
            manager,
            clock,
            catalog,
            surroundings,
            store,
            key,
            cluster,
            cluster_key,
            idle,
            idle_cluster,
            reached,
        }
    }

    /// The call is refused by this name, after what holds for every refusal.
    pub(super) async fn refuses<T: Debug>(
        &self,
        action: Action,
        exception: Exception,
        call: impl Future<Output = Result<T, KmsError>>,
    ) -> KmsError {
        let error = match self.in_time(call).await {
            Err(error) => error,
            Ok(done) => panic!("{action} is not refused as {exception} but gives {done:?}"),
        };
        assert_eq!(error.exception(), exception, "{action}: {error:?}");
        is_documented(action, &error);
        is_discreet(&error);
        // It says what is wrong, and the way on, which is not what is wrong once more.
        assert!(
            error.advice().len() > 10 && !error.message().contains(error.advice()),
            "{action}: {error:?}"
        );
        // What a key manager answers may pass too, though AWS has no name for that.
        let below = error.source().and_then(|source| source.downcast_ref::<Error>());
        let passes = exception.is_fault()
            || exception == Exception::Throttling
            || below.is_some_and(Error::is_retryable);
        assert_eq!(error.is_retryable(), passes, "{action}: {error:?}");
        self.reached.borrow_mut().insert((action, exception));
        error
    }

    /// All is well again.
    pub(super) fn mend(&self) {
        self.manager.heal();
        self.surroundings.mend();
        self.catalog.set(Mood::Works);
    }

    /// Lets time pass until the call is answered.
    pub(super) async fn in_time<T>(&self, call: impl Future<Output = T>) -> T {
        let time = async {
            for _ in 0..1000 {
                turn().await;
                turn().await;
                self.clock.advance(Duration::from_millis(100));
            }
        };
        pin_mut!(call, time);
        match select(call, time).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => panic!("a call is not answered, however long it is waited for"),
        }
    }
}

/// The operation may answer this.
fn is_documented(action: Action, error: &KmsError) {
    let exception = error.exception();
    let (_, modelled) = MODEL.iter().find(|(modelled, _)| *modelled == action).unwrap();
    assert!(
        modelled.contains(&exception) || COMMON.contains(&exception),
        "{action} is not documented to answer {exception}: {error:?}"
    );
}

/// What is said to a caller, or to a log, holds no secret, and to a caller nothing that is the operator's alone.
fn is_discreet(error: &KmsError) {
    let (message, log) = (format!("{}; {}", error.message(), error.advice()), format!("{error:?}"));
    assert!(error.message().len() > 10, "{log}");
    for detail in ["scripted", "software", "the row", "panicked at"] {
        assert!(!message.contains(detail), "{message}");
    }
    for secret in ["correcthorse", "sssss", "ttttt", "attack at dawn"] {
        assert!(!message.contains(secret) && !log.contains(secret), "{log}");
    }
}

pub(super) fn backing_key(name: &str) -> BackingKeyId {
    BackingKeyId::new(name).unwrap()
}
