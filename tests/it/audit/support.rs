//! What the tests of the audit log share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use async_trait::async_trait;
use custom_key_store::SealingKey;
use custom_key_store::audit::{
    AuditCategory, AuditError, AuditErrorKind, AuditLog, AuditLogBuilder, AuditOutcome, AuditRecord,
    AuditSink as _, OnFailure,
};
use custom_key_store::backend::Operation;
use custom_key_store::catalog::{
    Catalog, CatalogError, Edit, Ledger, MemoryCatalog, Row, Snapshot, SqliteCatalog, Table,
};

use crate::support::identity;

pub(super) fn sealer() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}

/// A folder with a catalogue and, later, a log.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path("audit.jsonl")
    }

    pub(super) async fn ledger(&self) -> Ledger {
        ledger_at(&self.path("catalogue")).await
    }

    /// The names of all files of the log, with what is in them.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        files_in(self.folder.path())
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files().into_iter().map(|(name, _)| self.path(&name)).collect()
    }

    /// Their lines, in their order.
    pub(super) fn lines(&self) -> Vec<serde_json::Value> {
        let mut lines: Vec<serde_json::Value> = self
            .files()
            .iter()
            .flat_map(|(_, content)| content.split_inclusive(|byte| *byte == b'\n'))
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        lines.sort_by_key(|line| line["sequence"].as_u64());
        lines
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["eventName"].as_str().unwrap().to_owned()).collect()
    }
}

pub(super) fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".jsonl") && name != "audit.new.jsonl")
        .map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap()))
        .collect();
    files.sort();
    files
}

pub(super) async fn ledger_at(path: &Path) -> Ledger {
    let start = Instant::now();
    loop {
        // What was dropped without being closed ends on a thread of its own.
        match SqliteCatalog::open_or_create(path).await {
            Ok(catalog) => break Ledger::open_or_create(catalog, &sealer(), identity()).await.unwrap(),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::yield_now();
    }
}

/// A ledger on a catalogue that can be looked at, and copied.
pub(super) async fn ledger_on(catalog: impl Catalog) -> Ledger {
    Ledger::open_or_create(catalog, &sealer(), identity()).await.unwrap()
}

/// Another catalogue of the same rows.
pub(super) async fn copy_of(catalog: &MemoryCatalog) -> Arc<MemoryCatalog> {
    let copy = MemoryCatalog::new();
    let mut snapshot = catalog.snapshot().await.unwrap();
    while let Some(rows) = snapshot.next().await.unwrap() {
        copy.commit(rows.into_iter().map(Edit::Insert).collect()).await.unwrap();
    }
    Arc::new(copy)
}

/// A log that writes at once.
pub(super) fn prompt(ledger: &Ledger) -> AuditLogBuilder {
    AuditLog::builder(ledger).delay(Duration::ZERO)
}

pub(super) fn record(name: impl Into<String>) -> AuditRecord {
    AuditRecord::call(UNIX_EPOCH, AuditCategory::Management, Operation::new(name.into()))
        .with_outcome(AuditOutcome::Succeeded)
}

pub(super) async fn write(log: &AuditLog, name: impl Into<String>) -> Result<(), AuditError> {
    log.reserve(OnFailure::Continue)?;
    log.write(record(name)).await
}

pub(super) fn enqueue(log: &AuditLog, name: impl Into<String>) {
    log.reserve(OnFailure::Continue).unwrap();
    log.enqueue(record(name)).unwrap();
}

/// Waits until it is so.
#[track_caller]
pub(super) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never is so");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Opens what was dropped without being closed.
pub(super) async fn open_patiently(ledger: &Ledger, path: &Path) -> AuditLog {
    let start = Instant::now();
    loop {
        match prompt(ledger).open(path).await {
            Err(error)
                if error.kind() == AuditErrorKind::InUse && start.elapsed() < Duration::from_secs(60) =>
            {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

/// What a test makes of the commits of a catalogue.
pub(super) type OnCommit = dyn Fn(&[Edit]) -> Result<(), CatalogError> + Send + Sync;

/// A catalogue whose commits of the log's end are met by a test, before they take place.
pub(super) struct Met {
    pub(super) inner: Arc<MemoryCatalog>,
    pub(super) on_commit: Box<OnCommit>,
}

impl Met {
    pub(super) fn new(
        on_commit: impl Fn(&[Edit]) -> Result<(), CatalogError> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(MemoryCatalog::new()), on_commit: Box::new(on_commit) }
    }
}

impl std::fmt::Debug for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Met")
    }
}

#[async_trait]
impl Catalog for Met {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.inner.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.inner.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.inner.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.inner.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        if edits.iter().any(|edit| edit.place().0 == Table::Audit) {
            (self.on_commit)(&edits)?;
        }
        self.inner.commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.inner.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}
