//! Whatever step fails, at whatever moment and for however long, nothing that was acknowledged is lost, and the log goes
//! on.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, UNIX_EPOCH};

use futures::executor::block_on;

use super::AuditLog;
use super::medium::{Medium, Step};
use crate::audit::{
    AuditCategory, AuditErrorKind as Kind, AuditOutcome, AuditRecord, AuditSink as _, OnFailure,
};
use crate::backend::Operation;
use crate::catalog::Ledger;
use crate::identity::Identity;

/// Which steps fail, counted from the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    met: AtomicUsize,
    failing: Mutex<Range<usize>>,
    seen: Mutex<HashSet<&'static str>>,
}

impl Faults {
    fn new(failing: Range<usize>) -> Self {
        Self(Arc::new(Plan { failing: Mutex::new(failing), ..Plan::default() }))
    }

    pub(super) fn meet(&self, step: Step) -> io::Result<()> {
        let number = self.0.met.fetch_add(1, Ordering::Relaxed);
        let name = match step {
            Step::Create => "create",
            Step::Write => "write",
            Step::Sync => "sync",
            Step::Cut => "cut",
            Step::Rename => "rename",
            Step::SyncFolder => "sync folder",
        };
        if self.failing().contains(&number) {
            self.seen().insert(name);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn failing(&self) -> MutexGuard<'_, Range<usize>> {
        self.0.failing.lock().unwrap()
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<&'static str>> {
        self.0.seen.lock().unwrap()
    }

    fn end(&self) {
        *self.failing() = 0..0;
    }
}

async fn open(ledger: &Ledger, path: &Path, faults: &Faults) -> Result<AuditLog, crate::audit::AuditError> {
    let mut builder = AuditLog::builder(ledger).delay(Duration::ZERO).max_file_size(500);
    builder.medium = Medium { faults: faults.clone() };
    let start = Instant::now();
    loop {
        match builder.open(path).await {
            // The one before ends on its own thread.
            Err(error) if error.kind() == Kind::InUse && start.elapsed() < Duration::from_secs(30) => {}
            opened => return opened,
        }
    }
}

async fn write(log: &AuditLog, number: usize) -> bool {
    let operation = Operation::new(format!("{number}"));
    let record = AuditRecord::call(UNIX_EPOCH, AuditCategory::Management, operation);
    log.reserve(OnFailure::Continue).unwrap();
    log.write(record.with_outcome(AuditOutcome::Succeeded)).await.is_ok()
}

/// The numbers of the lines that are there, after a look at all of them.
async fn there(log: &AuditLog, folder: &Path, case: &str) -> Vec<usize> {
    let report = log.verify().await.unwrap();
    assert!(report.is_intact(), "{case}: {report}");
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // One that was being begun is none yet.
        if path.extension().is_some_and(|extension| extension == "jsonl")
            && !path.ends_with("audit.new.jsonl")
        {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let record: AuditRecord = serde_json::from_str(line).unwrap();
                numbers.extend(record.operation.as_str().parse::<usize>());
            }
        }
    }
    numbers.sort_unstable();
    numbers
}

const LINES: usize = 4;

/// Writes some lines while steps fail; gives those that were acknowledged, and the log if it could be opened.
async fn written(ledger: &Ledger, path: &Path, faults: &Faults) -> (Vec<usize>, Option<AuditLog>) {
    let Ok(log) = open(ledger, path, faults).await else { return (Vec::new(), None) };
    let mut acknowledged = Vec::new();
    for number in 0..LINES {
        if write(&log, number).await {
            acknowledged.push(number);
        }
    }
    (acknowledged, Some(log))
}

/// How many steps there are if none fails.
fn steps() -> usize {
    let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
    let (acknowledged, log) = block_on(async {
        let ledger = Ledger::ephemeral(Identity::nobody());
        written(&ledger, &folder.path().join("audit.jsonl"), &faults).await
    });
    assert_eq!(acknowledged.len(), LINES);
    block_on(log.unwrap().close()).unwrap();
    faults.0.met.load(Ordering::Relaxed)
}

#[test]
fn after_steps_that_failed_every_line_is_there() {
    let mut seen = HashSet::new();
    for first in 0..steps() {
        for length in [1, 2, 5] {
            let case = format!("{length} steps from {first}");
            let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::new(first..first + length));
            let path = folder.path().join("audit.jsonl");
            block_on(async {
                let ledger = Ledger::ephemeral(Identity::nobody());
                let (_, log) = written(&ledger, &path, &faults).await;
                seen.extend(faults.seen().drain());
                let Some(log) = log else {
                    // It says so, and can be opened when there is room.
                    faults.end();
                    open(&ledger, &path, &faults).await.unwrap().close().await.unwrap();
                    return;
                };
                while log.flush().await.is_err() {}
                assert!(log.failure().is_none() && log.waiting() == 0, "{case} {log:?}");
                // Also those of which it was said at first that they are not durable.
                let all: Vec<_> = (0..LINES).collect();
                assert_eq!(there(&log, folder.path(), &case).await, all, "{case}");
                faults.end();
                assert!(write(&log, LINES).await, "{case}");
                log.close().await.unwrap();
                let log = open(&ledger, &path, &Faults::default()).await.unwrap();
                assert_eq!(there(&log, folder.path(), &case).await.len(), LINES + 1, "{case}");
            });
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

/// As a crash does, as far as a file system does what it is asked in the order in which it is asked.
#[test]
fn after_steps_that_never_come_what_was_acknowledged_is_there() {
    for first in 0..steps() {
        let case = format!("from {first}");
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::new(first..usize::MAX));
        let path = folder.path().join("audit.jsonl");
        block_on(async {
            let ledger = Ledger::ephemeral(Identity::nobody());
            let (acknowledged, log) = written(&ledger, &path, &faults).await;
            drop(log);
            let log = open(&ledger, &path, &Faults::default()).await.unwrap();
            let there = there(&log, folder.path(), &case).await;
            assert_eq!(acknowledged, (0..acknowledged.len()).collect::<Vec<_>>(), "{case}");
            assert!(there.starts_with(&acknowledged), "{case}: {there:?}, though {acknowledged:?}");
        });
    }
}

/// Starts that fail leave nothing behind, or so many of them would that no name is free.
#[test]
fn what_is_cut_off_is_kept_once_however_often_it_could_not_be() {
    // To make a file, write to it, make it durable, and give it its name.
    for first in 0..4 {
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        let path = folder.path().join("audit.jsonl");
        block_on(async {
            let ledger = Ledger::ephemeral(Identity::nobody());
            open(&ledger, &path, &faults).await.unwrap().close().await.unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            io::Write::write_all(&mut file, b"half a line").unwrap();
            for _ in 0..3 {
                let faults = Faults::new(first..first + 1);
                assert_eq!(open(&ledger, &path, &faults).await.unwrap_err().kind(), Kind::NoRoom, "{first}");
                assert_eq!(torn(folder.path()).len(), 0, "{first}");
            }
            open(&ledger, &path, &faults).await.unwrap().close().await.unwrap();
            assert_eq!(torn(folder.path()), [b"half a line"], "{first}");
        });
    }
}

/// What was cut off.
fn torn(folder: &Path) -> Vec<Vec<u8>> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_torn = |path: &std::path::PathBuf| path.to_str().unwrap().contains("torn");
    paths.filter(is_torn).map(|path| std::fs::read(path).unwrap()).collect()
}
