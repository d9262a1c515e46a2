//! The end of KMS keys.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::id::KeyId;
use super::keys::Keys;
use super::page::PageRequest;
use super::record::{AliasRecord, Backing, KeyRecord};
use crate::catalog::{CatalogErrorKind, Edit, Ledger, Stored};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// How far the clocks may run apart before it counts as a jump: somebody set the time.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How long nothing is deleted after a jump, so that somebody can put it right.
const QUIET: Duration = Duration::from_secs(24 * 60 * 60);
/// How many keys are deleted at once.
const BATCH: usize = 100;

/// Watches the wall clock for jumps, by the monotonic one.
#[derive(Debug)]
pub(super) struct Jumps(Mutex<Watch>);

#[derive(Debug)]
struct Watch {
    wall: SystemTime,
    monotonic: Instant,
    quiet_until: Option<Instant>,
}

impl Jumps {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        Self(Mutex::new(Watch { wall, monotonic, quiet_until: None }))
    }

    /// How much longer the wall clock is not to be trusted with a deletion.
    fn quiet(&self, clock: &dyn Clock) -> Option<Duration> {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        let passed = monotonic.saturating_duration_since(watch.monotonic);
        let apart = match watch.wall.checked_add(passed).map(|expected| wall.duration_since(expected)) {
            Some(Ok(ahead)) => ahead,
            Some(Err(behind)) => behind.duration(),
            None => Duration::MAX,
        };
        (watch.wall, watch.monotonic) = (wall, monotonic);
        if apart > TOLERANCE {
            watch.quiet_until = monotonic.checked_add(QUIET);
        }
        let left = watch.quiet_until?.saturating_duration_since(monotonic);
        (!left.is_zero()).then_some(left)
    }
}

/// What a round of deletions did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeletionReport {
    /// Keys that are gone, and can never be used again.
    pub deleted: Vec<KeyId>,
    /// Of those, the ones whose key in the cluster could not be deleted with them, and why. See
    /// [`Keys::orphans`](crate::Keys::orphans).
    pub orphaned: Vec<(KeyId, Error)>,
    /// Keys that are due and could not be deleted, and why: the rest was.
    pub failed: Vec<(KeyId, Error)>,
    /// Why it came to an end before all that are due were looked at, if it did: it could not be read which they are.
    pub interrupted: Option<Error>,
    /// Nothing was deleted, since the wall clock was set to another time: how much longer that lasts.
    pub postponed: Option<Duration>,
}

/// What became of a KMS key, and of the key in the cluster that it stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Both are gone, or the store has no cluster.
    Gone,
    /// The KMS key is gone, and the other could not be deleted.
    LeftInCluster,
    /// The KMS key is gone, and the round was dropped before it was known what became of the other.
    UnknownInCluster,
    /// Whether the KMS key is gone is not known: the round was dropped meanwhile, or the catalogue did not say.
    InDoubt,
}

/// Told of each KMS key when it is gone, or may be.
pub(crate) type Tell<'t> = &'t (dyn Fn(&KeyId, Fate) + Sync);

/// A KMS key that is being deleted, which is told even if nobody waits for the end of it.
struct Telling<'t> {
    id: KeyId,
    tell: Option<Tell<'t>>,
    /// What is told if nobody waits.
    so_far: Fate,
}

impl Telling<'_> {
    fn of(mut self, fate: Fate) {
        if let Some(tell) = self.tell.take() {
            tell(&self.id, fate);
        }
    }

    /// It is there still.
    fn nothing(mut self) {
        self.tell = None;
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        // Whoever is told may panic in its turn.
        if let Some(tell) = self.tell.take()
            && !std::thread::panicking()
        {
            tell(&self.id, self.so_far);
        }
    }
}

impl Keys<'_> {
    /// Deletes the keys whose time has come: call it now and then, once an hour say.
    ///
    /// A key's material is gone when its wrapping key is overwritten in the catalogue; backups that were made before
    /// still hold it. The key of an external key manager is left alone. The key that a cluster made is deleted there,
    /// if the store is connected; if that fails it becomes an [orphan](Self::orphans).
    ///
    /// When the wall clock has been set to another time, by more than five minutes, nothing is deleted for 24 hours by
    /// the monotonic clock, so that a date that is wrong for a while costs no keys. It is not known how the clock was set
    /// before this process began.
    ///
    /// # Errors
    ///
    /// [`Catalog`](crate::ErrorKind::Catalog) when it cannot be read which keys are due, and nothing was done yet; if something
    /// was, the report says what [interrupted](DeletionReport::interrupted) it.
    ///
    /// # Cancel safety
    ///
    /// Every key is deleted wholly or not at all. One whose key in the cluster was just being deleted is listed as
    /// an orphan.
    pub async fn delete_due(&self) -> Result<DeletionReport, Error> {
        self.delete_due_telling(&|_, _| ()).await
    }

    /// The same, for somebody who is told of each key when it is gone, also if this is dropped meanwhile.
    pub(crate) async fn delete_due_telling(&self, tell: Tell<'_>) -> Result<DeletionReport, Error> {
        let ring = self.ring();
        let mut report =
            DeletionReport { postponed: ring.jumps.quiet(&*ring.timing().clock), ..Default::default() };
        if report.postponed.is_some() {
            return Ok(report);
        }
        // Once: what the clock is set to meanwhile is not trusted either.
        let until = ring.now();
        loop {
            let (deleted, failed) = (report.deleted.len(), report.failed.len());
            // Beyond those that cannot be deleted, so that they keep no others.
            let due = ring.bounded(ring.ledger.due(Some(ring.store.as_str()), until, failed + BATCH)).await;
            let due: Vec<Stored<KeyRecord>> = match due {
                Ok(due) => due,
                Err(error) if report.deleted.is_empty() && report.failed.is_empty() => return Err(error),
                Err(error) => return Ok(DeletionReport { interrupted: Some(error), ..report }),
            };
            report.failed.clear();
            for key in due {
                match self.delete_key(&key, tell, &mut report).await {
                    // Cancelled in this moment, or somebody else's round was faster.
                    Err(error) if error.kind() == ErrorKind::Busy => {}
                    Err(error) => report.failed.push((key.record.id, error)),
                    Ok(()) => {}
                }
            }
            if report.deleted.len() == deleted && report.failed.len() <= failed {
                return Ok(report);
            }
        }
    }

    async fn delete_key(
        &self,
        key: &Stored<KeyRecord>,
        tell: Tell<'_>,
        report: &mut DeletionReport,
    ) -> Result<(), Error> {
        let ring = self.ring();
        let id = key.record.id;
        let mut edits = vec![Ledger::delete(key)];
        edits.extend(ring.without_wrapping_key(&id).await?);
        edits.extend(self.without_aliases(&id).await?);
        edits.extend(self.stored_tags(&id).await?.iter().map(Ledger::delete));

        let telling = Telling { id, tell: Some(tell), so_far: Fate::InDoubt };
        let Backing::CloudHsm { key: backing_key, .. } = &key.record.backing else {
            self.commit_deletion(edits, telling).await?.of(Fate::Gone);
            report.deleted.push(id);
            return Ok(());
        };
        // First written down, then deleted: whatever happens in between, it is not forgotten. After the deletion of the
        // key, so that where both are gone it is the key that somebody else was faster with.
        edits.extend(ring.store_is_there());
        edits.push(ring.ledger.insert(&ring.orphan(id, Some(backing_key.clone())))?);
        let telling = self.commit_deletion(edits, telling).await?;
        report.deleted.push(id);
        match self.reach().delete_key(backing_key, &id.arn(ring.ledger.identity())).await {
            // What is listed although it is gone does no harm; and somebody else may have taken it off already.
            Ok(()) => {
                telling.of(Fate::Gone);
                drop(self.forget_orphan(&id).await);
            }
            Err(error) => {
                telling.of(Fate::LeftInCluster);
                report.orphaned.push((id, error));
            }
        }
        Ok(())
    }

    /// Where the catalogue does not say in time whether it took place, it is asked: what is not told now, no later round finds.
    async fn commit_deletion<'t>(
        &self,
        edits: Vec<Edit>,
        mut telling: Telling<'t>,
    ) -> Result<Telling<'t>, Error> {
        const LATE: ErrorKind = ErrorKind::Catalog(CatalogErrorKind::Unavailable);
        let (ring, id) = (self.ring(), telling.id);
        match ring.commit_change(id, edits).await {
            Ok(()) => {}
            Err(error) if error.kind() == LATE => {
                match ring.bounded(ring.ledger.read::<KeyRecord>(&id.to_string())).await {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        telling.nothing();
                        return Err(error);
                    }
                    // In doubt.
                    Err(_) => return Err(error),
                }
            }
            Err(error) => {
                telling.nothing();
                return Err(error);
            }
        }
        telling.so_far = Fate::UnknownInCluster;
        Ok(telling)
    }

    async fn without_aliases(&self, id: &KeyId) -> Result<Vec<Edit>, Error> {
        let owner = id.to_string();
        let (mut edits, mut after) = (Vec::new(), None);
        loop {
            let limit = PageRequest::MAX_LIMIT;
            let page: Vec<Stored<AliasRecord>> =
                self.ring().bounded(self.ring().ledger.list(Some(&owner), after.as_deref(), limit)).await?;
            edits.extend(page.iter().map(Ledger::delete));
            match page.last() {
                Some(last) if page.len() == limit => after = Some(last.record.name.to_string()),
                _ => return Ok(edits),
            }
        }
    }
}
