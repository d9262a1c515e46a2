//! A catalogue that does everything right but one thing.

mod conditions;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind as Kind, Edit, MemoryCatalog, Row, Snapshot, Table,
};
use futures::future::poll_fn;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Sound,
    // Reading
    FindsSomething,
    ForgetsDue,
    IgnoresCase,
    MixesTables,
    // Listing
    SortsLikePeople,
    IgnoresOwner,
    RepeatsTheLast,
    ZeroIsAll,
    ForgetsBeyondForty,
    // Due
    DueById,
    DueTooLate,
    DueUnlimited,
    DueOfWhomever,
    DueForever,
    // Commits
    RefusesNothing,
    OneByOne,
    DeletesFirst,
    NamesNoRow,
    // Versions
    ReplacesAnyVersion,
    DeletesAnyVersion,
    ReplacesWhatIsNot,
    InsertsOverOld,
    BeginsAtOne,
    FewVersions,
    // Conditions
    IgnoresRequire,
    IgnoresRequireNone,
    RequiresTheFirstVersion,
    RequiresNoneOfAnybody,
    RequiresAtFirst,
    RequiresTooEarly,
    // Unique
    IgnoresUnique,
    NeverFreesDeleted,
    NeverFreesReplaced,
    ChecksAllAtFirst,
    OwnIsTaken,
    UniqueEverywhere,
    NoneIsAText,
    // Limits
    ShortBodies,
    TakesAnything,
    CutsAtNul,
    TextBodies,
    // Snapshots
    SnapshotOfSomething,
    LiveSnapshot,
    EmptyPieces,
    OneSnapshot,
    KeepsSnapshots,
    // Concurrency
    ChecksTooEarly,
    FewCommitsAtOnce,
    Torn,
    // Cancellation
    NotCancelSafe(&'static str),
    LosesPiece,
    CommitsLater,
    LeaksPlaces,
    HoldsOthersUp,
    // Closing
    ClosesOnce,
    WorksAfterClose,
    // Durability
    LosesOnClose,
    LosesOnDrop,
    TwoOwners,
}

/// Where a catalogue lies.
#[derive(Clone, Default)]
pub(super) struct Place {
    content: Arc<Mutex<Arc<MemoryCatalog>>>,
    owned: Arc<AtomicBool>,
}

impl Place {
    pub(super) fn open(&self, flaw: Flaw) -> Result<Flawed, CatalogError> {
        if self.owned.swap(true, SeqCst) && flaw != Flaw::TwoOwners {
            return Err(CatalogError::new(Kind::InUse));
        }
        Ok(Flawed {
            flaw,
            inner: Arc::clone(&self.content.lock().unwrap()),
            place: self.clone(),
            closed: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            places: AtomicUsize::new(0),
            snapshots: Arc::default(),
            later: Arc::default(),
            never_free: Mutex::default(),
            deleted: Mutex::default(),
        })
    }

    fn lose(&self) {
        *self.content.lock().unwrap() = Arc::default();
    }
}

#[derive(Debug)]
pub(super) struct Flawed {
    flaw: Flaw,
    inner: Arc<MemoryCatalog>,
    place: Place,
    /// How often.
    closed: AtomicUsize,
    /// By a call that was dropped.
    broken: AtomicBool,
    /// Of calls under way, or for `LeaksPlaces` those that were dropped.
    places: AtomicUsize,
    snapshots: Arc<AtomicUsize>,
    later: Arc<Mutex<Vec<Edit>>>,
    never_free: Mutex<HashSet<(Table, String)>>,
    /// Rows that are due though they are not there.
    deleted: Mutex<Vec<Row>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl Drop for Flawed {
    fn drop(&mut self) {
        if self.closed.load(SeqCst) == 0 {
            self.place.owned.store(false, SeqCst);
            if self.flaw == Flaw::LosesOnDrop {
                self.place.lose();
            }
        }
    }
}

/// Lets others go on.
async fn step() {
    let mut polled = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Does something when it is dropped, unless it is forgotten.
struct Unless<F: FnMut()>(F);

impl<F: FnMut()> Drop for Unless<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn late() -> CatalogError {
    CatalogError::new(Kind::Unavailable)
}

impl Flawed {
    /// How each call begins: with an await, at which it may be dropped.
    async fn enter(&self, method: &'static str) -> Result<(), CatalogError> {
        if self.closed.load(SeqCst) > 0 && self.flaw != Flaw::WorksAfterClose {
            return Err(CatalogError::new(Kind::Closed));
        }
        let places = match self.flaw {
            Flaw::LeaksPlaces => 40,
            Flaw::HoldsOthersUp => 0,
            _ => usize::MAX,
        };
        if self.broken.load(SeqCst) || self.places.load(SeqCst) > places {
            return Err(late());
        }
        let _place = (self.flaw == Flaw::HoldsOthersUp && method == "due").then(|| {
            self.places.fetch_add(1, SeqCst);
            Unless(|| {
                self.places.fetch_sub(1, SeqCst);
            })
        });
        if method == "commit" {
            let later = std::mem::take(&mut *self.later.lock().unwrap());
            let _ = self.inner.commit(later).await;
        }
        let dropped = Unless(|| match self.flaw {
            Flaw::NotCancelSafe(of) if of == method => self.broken.store(true, SeqCst),
            Flaw::LeaksPlaces if method == "list" || method == "commit" => {
                self.places.fetch_add(1, SeqCst);
            }
            _ => {}
        });
        step().await;
        std::mem::forget(dropped);
        Ok(())
    }

    async fn all(&self, table: Table) -> Vec<Row> {
        self.inner.list(table, None, None, usize::MAX).await.unwrap()
    }

    async fn everything(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for table in Table::ALL {
            rows.extend(self.all(*table).await);
        }
        rows
    }

    /// What becomes of the edits of a commit before they are made.
    async fn altered(&self, mut edits: Vec<Edit>) -> Result<Vec<Edit>, CatalogError> {
        if self.flaw == Flaw::DeletesFirst {
            edits.sort_by_key(|edit| !matches!(edit, Edit::Delete { .. }));
        }
        if self.flaw == Flaw::TakesAnything {
            edits.retain(|edit| match edit {
                Edit::Insert(row) | Edit::Replace(row) => row.owner.as_deref() != Some(""),
                _ => true,
            });
        }
        let before = self.everything().await;
        let mut altered = Vec::new();
        for mut edit in edits {
            let (table, id) = edit.place();
            let id = id.to_owned();
            let old = before.iter().find(|row| row.table == table && row.id == id);
            let refuse = |kind| Err(CatalogError::at(kind, table, id.clone()));
            if let Edit::Insert(row) | Edit::Replace(row) = &mut edit {
                match self.flaw {
                    Flaw::ForgetsDue => row.due = None,
                    Flaw::BeginsAtOne if old.is_none() && row.version > 1 && row.version < 1 << 40 => {
                        row.version = 1
                    }
                    Flaw::FewVersions if row.version > 1 << 53 => return refuse(Kind::InvalidRow),
                    Flaw::IgnoresUnique if row.unique.as_deref() == Some("u") && old.is_some() => {
                        row.unique = None
                    }
                    Flaw::IgnoresUnique if row.unique.as_deref() == Some("u") && row.id != "1" => {
                        row.unique = None
                    }
                    Flaw::ShortBodies if row.body.len() > 1 << 16 => return refuse(Kind::InvalidRow),
                    Flaw::CutsAtNul if row.id.len() > 1 => {
                        row.id = row.id.trim_end_matches('\0').to_owned()
                            + if row.id.ends_with('\0') { "?" } else { "" };
                    }
                    Flaw::TextBodies => {
                        row.body = String::from_utf8_lossy(&row.body).into_owned().into_bytes()
                    }
                    _ => {}
                }
                if let Some(unique) = &row.unique {
                    let taken = |other: &&Row| other.unique.as_ref() == Some(unique) && other.id != id;
                    let other = before.iter().filter(|other| other.table == table).find(taken);
                    let wrong = match self.flaw {
                        Flaw::ChecksAllAtFirst => other.is_some(),
                        Flaw::OwnIsTaken => old.is_some_and(|old| old.unique.as_ref() == Some(unique)),
                        Flaw::UniqueEverywhere => {
                            before.iter().any(|other| taken(&other))
                                || altered
                                    .iter()
                                    .any(|edit| matches!(edit, Edit::Insert(other) if taken(&other)))
                        }
                        Flaw::NeverFreesDeleted | Flaw::NeverFreesReplaced => {
                            self.never_free.lock().unwrap().contains(&(table, unique.clone()))
                        }
                        _ => false,
                    };
                    if wrong {
                        return refuse(Kind::UniqueTaken);
                    }
                } else if self.flaw == Flaw::NoneIsAText
                    && table == Table::Keys
                    && before
                        .iter()
                        .chain(altered.iter().filter_map(inserted))
                        .any(|other| other.table == table && other.unique.is_none() && other.id != id)
                {
                    return refuse(Kind::UniqueTaken);
                }
            }
            let latest = old.map(|old| old.version);
            match (&mut edit, self.flaw) {
                (Edit::Replace(row), Flaw::ReplacesAnyVersion) if row.version < 1 << 40 => {
                    row.version = latest.map_or(row.version, |latest| latest + 1);
                }
                (Edit::Delete { version, .. }, Flaw::DeletesAnyVersion) => {
                    *version = latest.unwrap_or(*version)
                }
                (Edit::Replace(row), Flaw::ReplacesWhatIsNot) if latest.is_none() && row.version > 1 => {
                    let inserted = altered.iter().filter_map(inserted).any(|other| other.id == row.id);
                    if !inserted {
                        edit = Edit::Insert(row.clone());
                    }
                }
                (Edit::Insert(row), Flaw::InsertsOverOld) if latest.is_some() && row.version < 9 => {
                    row.version = latest.unwrap_or_default() + 1;
                    edit = Edit::Replace(row.clone());
                }
                _ => {}
            }
            altered.push(edit);
        }
        Ok(altered)
    }

    /// What is remembered of edits that were made.
    fn remember(&self, edits: &[Edit], before: &[Row]) {
        for edit in edits {
            let (table, id) = edit.place();
            let Some(old) = before.iter().find(|row| row.table == table && row.id == id) else { continue };
            let new = match edit {
                Edit::Insert(row) | Edit::Replace(row) => Some(row),
                Edit::Delete { .. } => None,
                _ => continue,
            };
            let given_up =
                old.unique.clone().filter(|unique| new.is_none_or(|new| new.unique.as_ref() != Some(unique)));
            let matches = match self.flaw {
                Flaw::NeverFreesDeleted => new.is_none(),
                Flaw::NeverFreesReplaced => new.is_some(),
                _ => false,
            };
            if let Some(unique) = given_up.filter(|_| matches) {
                self.never_free.lock().unwrap().insert((table, unique));
            }
            if self.flaw == Flaw::DueForever && new.is_none() && old.due.is_some() {
                self.deleted.lock().unwrap().push(old.clone());
            }
        }
    }

    async fn make(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        if edits.is_empty() && self.flaw == Flaw::RefusesNothing {
            return Err(CatalogError::new(Kind::InvalidRow));
        }
        let before = self.everything().await;
        let edits = conditions::altered(self.flaw, self.altered(edits).await?, &before)?;
        if self.flaw == Flaw::ChecksTooEarly {
            let seen = self.inner.snapshot().await?.next().await?;
            step().await;
            // As if nothing had happened meanwhile.
            let mut edits = edits;
            for edit in &mut edits {
                let (table, id) = edit.place();
                let now = self.inner.read(table, id).await?.map(|row| row.version);
                let then = seen
                    .iter()
                    .flatten()
                    .find(|row| row.table == table && row.id == id)
                    .map(|row| row.version);
                if let (Edit::Replace(row), Some(now), Some(then)) = (edit, now, then)
                    && row.version == then + 1
                {
                    row.version = now + 1;
                }
            }
            return self.inner.commit(edits).await;
        }
        if matches!(self.flaw, Flaw::OneByOne | Flaw::Torn) {
            if self.flaw == Flaw::Torn {
                try_on(before, &edits).await?;
            }
            for edit in edits {
                self.inner.commit(vec![edit]).await?;
                if self.flaw == Flaw::Torn {
                    step().await;
                }
            }
            return Ok(());
        }
        if self.flaw == Flaw::RequiresTooEarly {
            try_on(before, &edits).await?;
            step().await;
            return self.inner.commit(conditions::without(edits)).await;
        }
        self.inner.commit(edits.clone()).await?;
        self.remember(&edits, &before);
        Ok(())
    }
}

/// Finds out at first what is wrong.
async fn try_on(before: Vec<Row>, edits: &[Edit]) -> Result<(), CatalogError> {
    let trial = MemoryCatalog::new();
    trial.commit(before.into_iter().map(Edit::Insert).collect()).await?;
    trial.commit(edits.to_vec()).await
}

fn inserted(edit: &Edit) -> Option<&Row> {
    match edit {
        Edit::Insert(row) => Some(row),
        _ => None,
    }
}

#[async_trait]
impl Catalog for Flawed {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.enter("read").await?;
        let found = self.inner.read(table, id).await?;
        match self.flaw {
            Flaw::FindsSomething if table == Table::Catalog && found.is_none() => {
                Ok(Some(Row::new(table, id)))
            }
            Flaw::IgnoresCase if found.is_none() => {
                Ok(self.all(table).await.into_iter().find(|row| row.id.eq_ignore_ascii_case(id)))
            }
            _ => Ok(found),
        }
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.enter("find").await?;
        self.inner.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.enter("list").await?;
        let owner = if self.flaw == Flaw::IgnoresOwner { None } else { owner };
        let limit = if self.flaw == Flaw::ZeroIsAll && limit == 0 { usize::MAX } else { limit };
        let mut rows = self.inner.list(table, owner, after, limit).await?;
        match self.flaw {
            Flaw::SortsLikePeople => rows.sort_by_key(|row| row.id.to_lowercase()),
            Flaw::ForgetsBeyondForty => rows.truncate(40),
            Flaw::RepeatsTheLast => {
                if let Some(last) = self.inner.read(table, after.unwrap_or_default()).await? {
                    rows.insert(0, last);
                    rows.truncate(limit);
                }
            }
            _ => {}
        }
        Ok(rows)
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.enter("due").await?;
        let owner = if self.flaw == Flaw::DueOfWhomever { None } else { owner };
        let until = if self.flaw == Flaw::DueTooLate { until.saturating_sub(1) } else { until };
        let limit = if self.flaw == Flaw::DueUnlimited { usize::MAX } else { limit };
        let mut rows = self.inner.due(table, owner, until, limit).await?;
        match self.flaw {
            Flaw::DueById => rows.sort_by(|one, other| one.id.cmp(&other.id)),
            Flaw::DueForever => rows.extend(self.deleted.lock().unwrap().iter().cloned()),
            Flaw::MixesTables => rows.extend(self.inner.due(Table::Catalog, owner, until, limit).await?),
            _ => {}
        }
        Ok(rows)
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let left = Unless(|| {
            if self.flaw == Flaw::CommitsLater {
                self.later.lock().unwrap().clone_from(&edits);
            }
        });
        let entered = self.enter("commit").await;
        std::mem::forget(left);
        entered?;
        if self.flaw == Flaw::FewCommitsAtOnce {
            let under_way = self.places.fetch_add(1, SeqCst);
            let _left = Unless(|| {
                self.places.fetch_sub(1, SeqCst);
            });
            step().await;
            if under_way > 8 {
                return Err(late());
            }
        }
        match self.make(edits).await {
            Err(error) if self.flaw == Flaw::NamesNoRow => Err(CatalogError::new(error.kind())),
            made => made,
        }
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.enter("snapshot").await?;
        let under_way = self.snapshots.fetch_add(1, SeqCst);
        if (self.flaw == Flaw::OneSnapshot && under_way > 0)
            || (self.flaw == Flaw::KeepsSnapshots && under_way > 30)
        {
            self.snapshots.fetch_sub(1, SeqCst);
            return Err(late());
        }
        let mut rows = self.everything().await;
        match self.flaw {
            Flaw::SnapshotOfSomething if rows.is_empty() => rows.push(Row::new(Table::Catalog, "something")),
            _ => {}
        }
        let mut pieces: Vec<Vec<Row>> = rows.chunks(50).map(<[Row]>::to_vec).collect();
        pieces.reverse();
        if self.flaw == Flaw::EmptyPieces {
            pieces.insert(0, Vec::new());
        }
        let live = (self.flaw == Flaw::LiveSnapshot).then(|| Arc::clone(&self.inner));
        let (flaw, count) = (self.flaw, Arc::clone(&self.snapshots));
        Ok(Box::new(Pieces { flaw, pieces, live, count, broken: false }))
    }

    async fn close(&self) -> Result<(), CatalogError> {
        if self.flaw == Flaw::NotCancelSafe("close") && self.broken.load(SeqCst) {
            return Err(late());
        }
        if self.closed.load(SeqCst) == 0 {
            self.enter("close").await?;
        }
        if self.closed.fetch_add(1, SeqCst) > 0 {
            return if self.flaw == Flaw::ClosesOnce { Err(CatalogError::new(Kind::Closed)) } else { Ok(()) };
        }
        if self.flaw == Flaw::LosesOnClose {
            self.place.lose();
        }
        self.place.owned.store(false, SeqCst);
        Ok(())
    }
}

#[derive(Debug)]
struct Pieces {
    flaw: Flaw,
    /// The last comes first.
    pieces: Vec<Vec<Row>>,
    live: Option<Arc<MemoryCatalog>>,
    count: Arc<AtomicUsize>,
    broken: bool,
}

#[async_trait]
impl Snapshot for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CatalogError> {
        if self.broken {
            return Err(late());
        }
        let piece = if self.flaw == Flaw::LosesPiece { self.pieces.pop() } else { None };
        self.broken = self.flaw == Flaw::NotCancelSafe("next");
        step().await;
        self.broken = false;
        if self.flaw == Flaw::LosesPiece {
            return Ok(piece);
        }
        let piece = self.pieces.pop();
        match (&self.live, piece) {
            (Some(live), Some(piece)) => {
                let mut now = Vec::new();
                for row in piece {
                    now.extend(live.read(row.table, &row.id).await?);
                }
                Ok(Some(now))
            }
            (_, piece) => Ok(piece),
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.flaw != Flaw::KeepsSnapshots {
            self.count.fetch_sub(1, SeqCst);
        }
    }
}
