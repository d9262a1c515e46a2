use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    Finding, Report, cancellation, closing, commits, concurrency, conditions, due, durability, limits,
    listing, reading, snapshots, unique, versions,
};
use crate::catalog::{Catalog, CatalogError};
use crate::clock::{Clock, SystemClock};
use crate::conformance::{Check, Expect as _, Outcome, applies, verdict};

/// In the order in which they run.
const THEMES: [&[Check<Suite>]; 13] = [
    reading::CHECKS,
    listing::CHECKS,
    due::CHECKS,
    commits::CHECKS,
    versions::CHECKS,
    conditions::CHECKS,
    unique::CHECKS,
    limits::CHECKS,
    snapshots::CHECKS,
    concurrency::CHECKS,
    cancellation::CHECKS,
    closing::CHECKS,
    durability::CHECKS,
];

type Opened = Result<Arc<dyn Catalog>, CatalogError>;

/// Opens the catalogue of one place, at first an empty one.
pub(super) type Place = Box<dyn Fn() -> BoxFuture<'static, Opened> + Send + Sync>;

/// The suite, with catalogues to run it on. See the [module](super) for a program.
#[must_use]
pub struct Suite {
    places: Box<dyn Fn() -> Place + Send + Sync>,
    durable: bool,
    pub(super) cancellation_rounds: usize,
    pub(super) concurrent_commits: usize,
    deadline: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Suite {
    /// A suite for catalogues that cannot be opened again. Each call of `empty` gives a new one, which is empty.
    pub fn new<F, C>(empty: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<C, CatalogError>> + Send + 'static,
        C: Catalog,
    {
        let empty = Arc::new(empty);
        let place = move || {
            let empty = Arc::clone(&empty);
            move || empty()
        };
        Self { durable: false, ..Self::durable(place) }
    }

    /// A suite for catalogues that are still there when they are opened again.
    ///
    /// Each call of `place` gives a new place, as a function that opens the catalogue there, or makes an empty one if
    /// there is none.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use custom_key_store::catalog::SqliteCatalog;
    /// use custom_key_store::catalog::conformance::Suite;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().to_owned();
    /// let numbers = std::sync::atomic::AtomicUsize::new(0);
    /// let suite = Suite::durable(move || {
    ///     let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    ///     let path = path.join(number.to_string());
    ///     move || {
    ///         let path = path.clone();
    ///         async move {
    ///             if path.exists() { SqliteCatalog::open(path).await } else { SqliteCatalog::create(path).await }
    ///         }
    ///     }
    /// });
    /// # let _ = suite;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn durable<P, F, C>(place: impl Fn() -> P + Send + Sync + 'static) -> Self
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<C, CatalogError>> + Send + 'static,
        C: Catalog,
    {
        let places = move || -> Place {
            let open = place();
            Box::new(move || {
                let opening = open();
                Box::pin(async move { Ok(Arc::new(opening.await?) as Arc<dyn Catalog>) })
            })
        };
        Self {
            places: Box::new(places),
            durable: true,
            cancellation_rounds: 64,
            concurrent_commits: 32,
            deadline: Duration::from_secs(30),
            clock: Arc::new(SystemClock),
        }
    }

    /// After how many polls, at most, a call is dropped: 64 unless set. Calls are dropped after no poll, after one,
    /// after two and so on, until one completes earlier.
    ///
    /// Set it to more than the number of times that your longest call waits.
    pub const fn cancellation_rounds(mut self, rounds: usize) -> Self {
        self.cancellation_rounds = rounds;
        self
    }

    /// How many commits are made at once: 32 unless set.
    pub const fn concurrent_commits(mut self, commits: usize) -> Self {
        self.concurrent_commits = commits;
        self
    }

    /// How long one check may take, 30 seconds unless set. One that takes longer fails.
    ///
    /// A call that blocks its thread, instead of waiting, cannot be stopped by this.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What deadlines are measured by, the machine's clocks unless set. It must run by itself.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs every check, one after another, each on catalogues of its own.
    ///
    /// Never panics because of the catalogue: a panic in one of its methods is a failed check. The future needs
    /// no particular runtime; whatever the catalogue itself needs must be there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the calls and catalogues of the check under way.
    pub async fn run(self) -> Report {
        let mut findings = Vec::new();
        for check in THEMES.into_iter().flatten() {
            let verdict = verdict(&self, check, &*self.clock, self.deadline).await;
            findings.push(Finding::new(check.name, verdict));
        }
        Report::new(findings)
    }

    pub(super) fn place(&self) -> Place {
        (self.places)()
    }

    /// A catalogue of one's own for a check, so that what spoils it spoils no other check.
    pub(super) async fn empty(&self) -> Outcome<Arc<dyn Catalog>> {
        self.place()().await.or_fail("opening an empty catalogue")
    }

    pub(super) fn needs_durable(&self) -> Outcome {
        applies(self.durable, "it cannot be opened again (Suite::durable)")
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("durable", &self.durable).finish_non_exhaustive()
    }
}
