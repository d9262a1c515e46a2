//! A catalogue that is slow, fails, hangs, and commits what it said it would not, as far as its contract lets it.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use custom_key_store::catalog::{Catalog, CatalogError, CatalogErrorKind, Edit, Row, Snapshot, Table};
use custom_key_store::clock::{Clock as _, ManualClock};

use super::CALL_TIMEOUT;
use super::op::{Mood, ReadMood};

#[derive(Debug)]
pub(super) struct Moody {
    inner: Box<dyn Catalog>,
    clock: ManualClock,
    /// How often everything comes back before it is done, unless it is told otherwise.
    pace: u8,
    script: Mutex<Script>,
    /// Behaves.
    composed: AtomicBool,
    /// How many calls met a fault.
    met: AtomicU64,
    /// How many calls are at work in what is beneath, which may have threads of its own.
    at_work: AtomicUsize,
}

#[derive(Debug, Default)]
struct Script {
    commits: VecDeque<Option<Mood>>,
    reads: VecDeque<Option<ReadMood>>,
    /// What takes place before the next commit.
    late: Vec<Vec<Edit>>,
}

/// Counts a call as long as it is at work.
struct AtWork<'m> {
    at_work: &'m AtomicUsize,
    _taking: Taking<'m>,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.at_work.fetch_sub(1, SeqCst);
    }
}

/// Counts as a fault if it takes too long, since nobody polled it.
struct Taking<'m> {
    moody: &'m Moody,
    since: SystemTime,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let taken = self.moody.clock.wall().duration_since(self.since).unwrap();
        if taken >= Duration::from_secs(CALL_TIMEOUT) {
            self.moody.met.fetch_add(1, SeqCst);
        }
    }
}

async fn come_back(times: u8, _taking: Taking<'_>) {
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Moody {
    /// One of which so many faults are known.
    pub(super) fn new(inner: impl Catalog, clock: &ManualClock, pace: u8, met: u64) -> Self {
        Self {
            inner: Box::new(inner),
            clock: clock.clone(),
            pace,
            script: Mutex::default(),
            composed: AtomicBool::new(false),
            met: AtomicU64::new(met),
            at_work: AtomicUsize::new(0),
        }
    }

    pub(super) fn commit_meets(&self, mood: Option<Mood>) {
        self.script.lock().unwrap().commits.push_back(mood);
    }

    pub(super) fn read_meets(&self, mood: Option<ReadMood>) {
        self.script.lock().unwrap().reads.push_back(mood);
    }

    /// Has it behave, or go on as it was told.
    pub(super) fn compose(&self, composed: bool) {
        self.composed.store(composed, SeqCst);
    }

    /// Forgets what it was told.
    pub(super) fn heal(&self) {
        let mut script = self.script.lock().unwrap();
        script.commits.clear();
        script.reads.clear();
    }

    /// How many calls met a fault, those included that are late.
    pub(super) fn met(&self) -> u64 {
        self.met.load(SeqCst)
    }

    /// Whether something may take place later.
    pub(super) fn is_behind(&self) -> bool {
        !self.script.lock().unwrap().late.is_empty()
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.at_work.load(SeqCst) > 0
    }

    fn taking(&self) -> Taking<'_> {
        Taking { moody: self, since: self.clock.wall() }
    }

    fn enter(&self) -> AtWork<'_> {
        self.at_work.fetch_add(1, SeqCst);
        AtWork { at_work: &self.at_work, _taking: self.taking() }
    }

    /// What is late takes place now.
    pub(super) async fn catch_up(&self) {
        let late = std::mem::take(&mut self.script.lock().unwrap().late);
        for edits in late {
            let _at_work = self.enter();
            // Whether it can still be made: nobody waits for it.
            let _ = self.inner.commit(edits).await;
        }
    }

    /// Forgets what is late: it never takes place.
    pub(super) fn fall_behind(&self) {
        self.script.lock().unwrap().late.clear();
    }

    async fn read_in_mood(&self) -> Result<AtWork<'_>, CatalogError> {
        let mood = if self.composed.load(SeqCst) {
            None
        } else {
            let mood = self.script.lock().unwrap().reads.pop_front().flatten();
            mood.or(Some(ReadMood::Slow(self.pace)))
        };
        match mood {
            None => {}
            Some(ReadMood::Slow(times)) => come_back(times, self.taking()).await,
            Some(mood) => {
                self.met.fetch_add(1, SeqCst);
                match mood {
                    ReadMood::Hang => pending().await,
                    _ => return Err(CatalogError::new(CatalogErrorKind::Unavailable)),
                }
            }
        }
        Ok(self.enter())
    }
}

#[async_trait]
impl Catalog for Moody {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        let _at_work = self.read_in_mood().await?;
        self.inner.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        let _at_work = self.read_in_mood().await?;
        self.inner.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let _at_work = self.read_in_mood().await?;
        self.inner.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let _at_work = self.read_in_mood().await?;
        self.inner.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        self.catch_up().await;
        let mood = if self.composed.load(SeqCst) {
            None
        } else {
            let mood = self.script.lock().unwrap().commits.pop_front().flatten();
            mood.or(Some(Mood::Slow(self.pace)))
        };
        if mood.is_some_and(|mood| !matches!(mood, Mood::Slow(_))) {
            self.met.fetch_add(1, SeqCst);
        }
        let unavailable = || Err(CatalogError::new(CatalogErrorKind::Unavailable));
        match mood {
            Some(Mood::Full) => return Err(CatalogError::new(CatalogErrorKind::Full)),
            Some(Mood::Refused) => return unavailable(),
            Some(Mood::Hang) => return pending().await,
            Some(Mood::Late) => {
                self.script.lock().unwrap().late.push(edits);
                return pending().await;
            }
            Some(Mood::Slow(times)) => {
                come_back(times, self.taking()).await;
                self.catch_up().await;
            }
            Some(Mood::Silent | Mood::Lost) | None => {}
        }
        let committed = {
            let _at_work = self.enter();
            self.inner.commit(edits).await
        };
        match mood {
            Some(Mood::Silent) => pending().await,
            Some(Mood::Lost) => committed.and_then(|()| unavailable()),
            _ => committed,
        }
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.inner.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}
