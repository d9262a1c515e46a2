//! Keys that were deleted are in the audit trail, whatever became of the round in which they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::audit::{AuditTrail, OnFailure};
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, Table,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Driver, Kms};
use custom_key_store::{NewKey, SealingKey};

use crate::kms::support::{Kept, builder, drive, store_with_key, turn};
use crate::support::identity;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Flaws {
    /// Whoever asks for something panics.
    pub(crate) panics: AtomicBool,
    /// What is asked for is never found.
    pub(super) reads: AtomicBool,
    /// The second question which keys of a store are due is not answered.
    second_question: AtomicBool,
    asked: AtomicUsize,
    /// The second key is being deleted for ever.
    second_deletion: AtomicBool,
    /// Keys are deleted, but nobody is told so in time.
    late_deletions: AtomicBool,
    deleted: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Flawed(pub(crate) MemoryCatalog, pub(crate) Arc<Flaws>);

#[async_trait]
impl Catalog for Flawed {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        assert!(!self.1.panics.load(Ordering::SeqCst), "a panic of the catalogue's");
        if self.1.reads.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        self.0.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.0.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.0.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let found = self.0.due(table, owner, until, limit).await?;
        let flaws = &self.1;
        let counts = owner.is_some() && flaws.second_question.load(Ordering::SeqCst);
        // Those before found nothing.
        if counts
            && (!found.is_empty() || flaws.asked.load(Ordering::SeqCst) > 0)
            && flaws.asked.fetch_add(1, Ordering::SeqCst) > 0
        {
            return Err(CatalogError::new(CatalogErrorKind::Unavailable));
        }
        Ok(found)
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let deletes = edits.iter().any(|edit| matches!(edit, Edit::Delete { table: Table::Keys, .. }));
        let flaws = &self.1;
        if deletes
            && flaws.deleted.fetch_add(1, Ordering::SeqCst) > 0
            && flaws.second_deletion.load(Ordering::SeqCst)
        {
            return std::future::pending().await;
        }
        self.0.commit(edits).await?;
        if deletes && flaws.late_deletions.load(Ordering::SeqCst) {
            return Err(CatalogError::new(CatalogErrorKind::Unavailable));
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.0.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.0.close().await
    }
}

struct Rig {
    kms: Kms,
    manager: KeyManager,
    kept: Kept,
    clock: ManualClock,
    flaws: Arc<Flaws>,
}

async fn rig() -> (Rig, Driver) {
    let (clock, kept, flaws) = (ManualClock::new(), Kept::default(), Arc::new(Flaws::default()));
    let manager = KeyManager::builder().clock(clock.clone()).build();
    let catalog = Flawed(MemoryCatalog::new(), Arc::clone(&flaws));
    let ledger = Ledger::create(catalog, &SealingKey::generate(), identity()).await.unwrap();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let (kms, driver) = builder(&ledger, &manager).clock(clock.clone()).audit(trail).open().await.unwrap();
    (Rig { kms, manager, kept, clock, flaws }, driver)
}

impl Rig {
    /// Two keys of one store, whose deletion is due.
    async fn two_keys_due(&self) -> [String; 2] {
        let (store, first) = store_with_key(&self.kms, &self.manager, "payroll").await;
        let backing = BackingKeyId::new("second").unwrap();
        self.manager.create_key(backing.clone());
        let second = self.kms.create_key(&store, &NewKey::external(backing)).await.unwrap();
        for key in [&first, &second] {
            self.kms.schedule_key_deletion(&key.key_id, Some(7)).await.unwrap();
        }
        self.kept.new_lines();
        self.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
        [first.arn.to_string(), second.arn.to_string()]
    }

    async fn until(&self, counter: &AtomicUsize, count: usize) {
        while counter.load(Ordering::SeqCst) < count {
            turn().await;
        }
        for _ in 0..100 {
            turn().await;
        }
    }

    /// The keys that the trail says were deleted, in the order of their ARNs.
    fn deleted(&self) -> Vec<String> {
        let (deleted, in_doubt) = self.ended();
        assert_eq!(in_doubt, 0);
        deleted
    }

    /// These, and of how many it says that it is not known.
    fn ended(&self) -> (Vec<String>, usize) {
        let lines = self.kept.new_lines();
        let ended = lines.iter().filter(|line| line["eventName"] == "DeleteKey");
        let (deleted, others): (Vec<_>, Vec<_>) = ended.partition(|line| line["outcome"] == "Succeeded");
        assert!(others.iter().all(|line| line["outcome"] == "Dropped"), "{others:?}");
        let mut keys: Vec<_> =
            deleted.into_iter().map(|line| line["keyArn"].as_str().unwrap().to_owned()).collect();
        keys.sort();
        (keys, others.len())
    }
}

#[test]
fn deletions_that_took_place_are_there_though_the_round_failed_half_way() {
    futures::executor::block_on(async {
        let (rig, driver) = rig().await;
        drive(driver, async {
            rig.flaws.second_question.store(true, Ordering::SeqCst);
            let mut due = rig.two_keys_due().await;
            rig.until(&rig.flaws.asked, 2).await;
            due.sort();
            assert_eq!(rig.deleted(), due);
        })
        .await;
    });
}

#[test]
fn deletions_that_took_place_are_there_though_the_end_came_in_the_middle_of_the_round() {
    futures::executor::block_on(async {
        let (rig, mut driver) = rig().await;
        rig.flaws.second_deletion.store(true, Ordering::SeqCst);
        let test = async {
            rig.two_keys_due().await;
            rig.until(&rig.flaws.deleted, 2).await;
        };
        {
            futures::pin_mut!(test);
            let by_then = futures::future::select(&mut driver, test).await;
            assert!(matches!(by_then, futures::future::Either::Right(_)));
        }
        rig.kms.shut_down();
        driver.await;
        let (deleted, in_doubt) = rig.ended();
        assert_eq!((deleted.len(), in_doubt), (1, 1), "the second may be deleted all the same");
    });
}

#[test]
fn a_deletion_of_which_the_catalogue_did_not_say_in_time_that_it_took_place_is_there() {
    futures::executor::block_on(async {
        let (rig, driver) = rig().await;
        drive(driver, async {
            rig.flaws.late_deletions.store(true, Ordering::SeqCst);
            let mut due = rig.two_keys_due().await;
            rig.until(&rig.flaws.deleted, 2).await;
            due.sort();
            assert_eq!(rig.deleted(), due);
        })
        .await;
    });
}
