//! A sweep wraps every stored data key anew, whatever gets in its way.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use custom_key_store::ErrorKind;
use custom_key_store::envelope::{
    Envelope, StorageError, StoreKey, StoredKey, Sweep, SweepError, WrappedKeys, with_wrapped_data_key,
    wrapped_data_key,
};
use futures::executor::block_on;

use super::support::{Fixture, context};

/// Records by name, whose headers hold the wrapped data keys.
#[derive(Default)]
struct Table {
    rows: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Names whose rows cannot be written, and those that somebody else changes just before.
    broken: HashSet<String>,
    contended: HashSet<String>,
    /// How many batches can be read still.
    batches: AtomicUsize,
    writing: AtomicUsize,
    most_writing: AtomicUsize,
}

#[async_trait]
impl WrappedKeys for Table {
    async fn after(&self, position: Option<&str>, limit: usize) -> Result<Vec<StoredKey>, StorageError> {
        let left = self.batches.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| "the storage is gone")?;
        let rows = self.rows.lock().unwrap();
        let after = rows.iter().filter(|(name, _)| position.is_none_or(|position| name.as_str() > position));
        let stored = |(name, record): (&String, &Vec<u8>)| {
            let wrapped = wrapped_data_key(record).map_or_else(|_| record.clone(), <[u8]>::to_vec);
            StoredKey::new(name, wrapped, context())
        };
        Ok(after.take(limit).map(stored).collect())
    }

    async fn replace(&self, old: &StoredKey, wrapped: &[u8]) -> Result<bool, StorageError> {
        let writing = self.writing.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_writing.fetch_max(writing, Ordering::SeqCst);
        yielded().await;
        self.writing.fetch_sub(1, Ordering::SeqCst);
        if self.broken.contains(&old.position) {
            return Err("the row cannot be written".into());
        }
        let mut rows = self.rows.lock().unwrap();
        let record = rows.get_mut(&old.position).unwrap();
        if self.contended.contains(&old.position) || wrapped_data_key(record).unwrap() != old.wrapped {
            return Ok(false);
        }
        *record = with_wrapped_data_key(record, wrapped).unwrap();
        Ok(true)
    }
}

/// Pending once.
async fn yielded() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::take(&mut first) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

async fn table(fixture: &Fixture, rows: usize) -> Table {
    // A data key for each row.
    let envelope = Envelope::builder(fixture.source()).max_messages(1).build();
    let table = Table { batches: AtomicUsize::new(usize::MAX), ..Default::default() };
    for row in 0..rows {
        let record = envelope.seal(format!("row {row}").as_bytes(), &context()).await.unwrap();
        table.rows.lock().unwrap().insert(format!("{row:03}"), record);
    }
    table
}

async fn all_open_under(fixture: &Fixture, key: custom_key_store::KeyId, table: &Table) {
    let envelope = Envelope::new(StoreKey::new(&fixture.store.handle(), key));
    let rows = table.rows.lock().unwrap().clone();
    for (row, record) in rows.values().enumerate() {
        let opened = envelope.open(record, &context()).await.unwrap();
        assert_eq!(opened.expose(), format!("row {row}").as_bytes());
    }
}

#[test]
fn every_data_key_is_wrapped_anew_and_the_data_stays() {
    block_on(async {
        let fixture = Fixture::new().await;
        let table = table(&fixture, 25).await;
        let newer = fixture.another_key("key-2").await;
        let sweep = Sweep::new(&fixture.store.handle(), newer).batch(10).concurrency(4);
        let mut seen = Vec::new();
        let report = sweep.run(&table, |report| seen.push((report.rewrapped, report.position.clone()))).await;
        assert!(report.stopped.is_none() && report.failed.is_empty(), "{report:?}");
        assert_eq!((report.rewrapped, report.current, report.changed), (25, 0, 0));
        let expected = [(10, "009"), (20, "019"), (25, "024")];
        assert_eq!(seen, expected.map(|(count, position)| (count, Some(position.to_owned()))));
        all_open_under(&fixture, newer, &table).await;
        let most = table.most_writing.load(Ordering::SeqCst);
        assert!((2..=4).contains(&most), "{most} at the same time");

        let again = sweep.run(&table, |_| {}).await;
        assert_eq!((again.rewrapped, again.current), (0, 25), "what is done is passed over");
    });
}

#[test]
fn a_sweep_goes_on_where_one_before_it_stopped() {
    block_on(async {
        let fixture = Fixture::new().await;
        let table = table(&fixture, 25).await;
        let newer = fixture.another_key("key-2").await;
        let sweep = Sweep::new(&fixture.store.handle(), newer).batch(10);
        table.batches.store(2, Ordering::SeqCst);
        let report = sweep.run(&table, |_| {}).await;
        assert!(matches!(report.stopped, Some(SweepError::Storage(_))), "{report:?}");
        assert_eq!(report.rewrapped, 20);

        table.batches.store(usize::MAX, Ordering::SeqCst);
        let report = sweep.after(report.position.unwrap()).run(&table, |_| {}).await;
        assert_eq!((report.rewrapped, report.current), (5, 0), "it did not begin again");
        all_open_under(&fixture, newer, &table).await;
    });
}

#[test]
fn what_is_wrong_with_one_is_noted_and_the_others_are_done() {
    block_on(async {
        let fixture = Fixture::new().await;
        let mut table = table(&fixture, 10).await;
        let newer = fixture.another_key("key-2").await;
        table.broken.insert("003".into());
        table.contended.insert("005".into());
        table.rows.lock().unwrap().insert("007".into(), b"no record".to_vec());
        let report = Sweep::new(&fixture.store.handle(), newer).run(&table, |_| {}).await;
        assert!(report.stopped.is_none());
        assert_eq!((report.rewrapped, report.changed), (7, 1));
        let failed: Vec<_> =
            report.failed.iter().map(|(position, error)| (position.as_str(), error)).collect();
        assert!(
            matches!(&failed[..], [("003", SweepError::Storage(_)), ("007", SweepError::Store(error))]
                if matches!(error.kind(), ErrorKind::InvalidCiphertext | ErrorKind::UnknownVersion)),
            "{failed:?}"
        );
    });
}

#[test]
fn a_sweep_stops_when_its_key_cannot_be_used() {
    block_on(async {
        let fixture = Fixture::new().await;
        let table = table(&fixture, 25).await;
        let newer = fixture.another_key("key-2").await;
        let handle = fixture.store.handle();
        let sweep = Sweep::new(&handle, newer).batch(10);
        handle.keys().disable(&newer).await.unwrap();
        let report = sweep.run(&table, |_| {}).await;
        assert!(
            matches!(&report.stopped, Some(SweepError::Store(error)) if error.kind() == ErrorKind::KeyDisabled)
        );
        assert_eq!((report.position, report.failed.len()), (None, 0));

        // Disconnected between two batches.
        handle.keys().enable(&newer).await.unwrap();
        let Fixture { store, .. } = fixture;
        let mut store = Some(store);
        let report = sweep.run(&table, |_| drop(store.take())).await;
        assert!(
            matches!(&report.stopped, Some(SweepError::Store(error)) if error.kind() == ErrorKind::NotConnected)
        );
        assert_eq!(report.position.as_deref(), Some("009"));
        assert_eq!((report.rewrapped, report.failed.len()), (10, 0));
    });
}

#[test]
fn a_sweep_may_be_given_to_a_task() {
    fn sent<T: Send>(_: &T) {}
    block_on(async {
        let fixture = Fixture::new().await;
        let table = Table::default();
        let sweep = Sweep::new(&fixture.store.handle(), fixture.key);
        sent(&sweep.run(&table, |_| {}));
    });
}
