//! A connection, and the thread that does what is asked of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use futures_channel::oneshot;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::failure::failure;
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::thread::wait_for;

/// Of how many calls the thread keeps places, so that a medium that hangs does not fill the memory.
const MOST: usize = 100_000;

/// Owns a connection. Calls are done one after the other, in the order in which they came, by a thread: were they done by
/// whoever asked, one that is not polled any more would keep the connection from all others.
pub(super) struct Worker {
    line: mpsc::Sender<Place>,
    waiting: Arc<AtomicUsize>,
}

/// The connection is `None` once closed.
type Job = Box<dyn FnOnce(&mut Option<SqliteConnection>) + Send>;

/// The place of a call in the line. Empty, when nobody waits for it any more.
#[derive(Clone)]
struct Place(Arc<Mutex<Option<Job>>>);

impl Place {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is dropped is not begun, and what it brought is let go of at once. One that is begun goes on.
struct Waiting(Place);

impl Drop for Waiting {
    fn drop(&mut self) {
        // Bound, so that it is dropped after the lock is released.
        let job = self.0.job().take();
        drop(job);
    }
}

impl Worker {
    /// The thread ends when the worker is dropped, after what was asked until then.
    pub(super) fn new(connection: SqliteConnection) -> Result<Self, CatalogError> {
        let (line, places) = mpsc::channel::<Place>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let work = move || {
            let mut connection = Some(connection);
            for place in places {
                left.fetch_sub(1, Ordering::Relaxed);
                let job = place.job().take();
                if let Some(job) = job {
                    job(&mut connection);
                }
            }
        };
        let thread = thread::Builder::new().name("catalogue".to_owned());
        thread.spawn(work).map_err(|error| CatalogError::caused_by(Kind::Unavailable, error))?;
        Ok(Self { line, waiting })
    }

    /// Has something done, after all that was asked before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it is done wholly or not at all; what is asked later comes after it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.ask(|connection| match connection {
            Some(connection) => wait_for(work(connection)),
            None => Err(CatalogError::new(Kind::Closed)),
        })
        .await
    }

    /// Closes the connection. A second time it does nothing.
    pub(super) async fn close(&self) -> Result<(), CatalogError> {
        self.ask(|connection| match connection.take() {
            Some(connection) => wait_for(connection.close()).map_err(failure),
            None => Ok(()),
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Option<SqliteConnection>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let unavailable = |what: &str| CatalogError::caused_by(Kind::Unavailable, what);
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Who asked may have gone.
            let _ = tell.send(work(connection));
        });
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(unavailable("too many calls wait for the database"));
        }
        let place = Place(Arc::new(Mutex::new(Some(job))));
        let ended = || unavailable("the thread that works on the database has ended");
        self.line.send(place.clone()).map_err(|_| ended())?;
        let _waiting = Waiting(place);
        told.await.unwrap_or_else(|_| Err(ended()))
    }
}
