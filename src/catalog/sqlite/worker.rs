//! A connection, and the thread that does what is asked of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use futures_channel::oneshot;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::failure::failure;
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::panics::{Panicked, catch};
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
            let (mut connection, mut is_sound) = (Some(connection), true);
            for place in places {
                left.fetch_sub(1, Ordering::Relaxed);
                let Some(job) = place.job().take() else { continue };
                // Whoever waits for it hears that nobody will do it.
                if !is_sound {
                    continue;
                }
                if let Err(Panicked) = catch(|| job(&mut connection)) {
                    // Where it stands is unknown. Let go of, it rolls back.
                    (connection, is_sound) = (None, false);
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
        let ended =
            || unavailable("the thread that works on the database has failed; open the catalogue again");
        self.line.send(place.clone()).map_err(|_| ended())?;
        let _waiting = Waiting(place);
        told.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::executor::block_on;
    use futures::future::join3;
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[test]
    fn a_panic_is_an_error_of_all_who_wait_at_once() {
        let connection = block_on(SqliteConnectOptions::new().in_memory(true).connect()).unwrap();
        let worker = Worker::new(connection).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let panics = worker.run::<()>(async move |_| {
            wait.recv().unwrap();
            panic!("on purpose")
        });
        let others = || worker.run(async |_| Ok(()));
        let begin = async {
            go.send(()).unwrap();
            others().await
        };
        let (first, second, third) = block_on(join3(panics, others(), begin));
        for outcome in [first, second, third, block_on(others()), block_on(worker.close())] {
            assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable);
        }
    }
}
