//! How a log is opened, where that is to differ from the defaults.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::BoxFuture;

use super::AuditLog;
use super::head::{Asking, Spawn};
use super::medium::Medium;
use super::opening::Opening;
use super::queue::{Bounds, Queue};
use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::catalog::Ledger;
use crate::clock::{Clock, SystemClock};

/// How an [`AuditLog`] is opened, where that is to differ from [`AuditLog::open`].
#[derive(Clone)]
#[must_use]
pub struct AuditLogBuilder {
    ledger: Ledger,
    bounds: Bounds,
    max_file_size: u64,
    deadline: Duration,
    clock: Arc<dyn Clock>,
    spawn: Option<Spawn>,
    begin_anew: bool,
    pub(super) medium: Medium,
}

impl AuditLogBuilder {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            bounds: Bounds { lines: 32_768, bytes: 32 << 20, delay: Duration::from_millis(50) },
            max_file_size: 64 << 20,
            deadline: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
            spawn: None,
            begin_anew: false,
            medium: Medium::default(),
        }
    }

    /// How many lines may wait to be written, those included for which a place is reserved; at least one. 32,768 unless
    /// set.
    pub fn max_lines(mut self, lines: usize) -> Self {
        self.bounds.lines = lines.max(1);
        self
    }

    /// How many bytes the lines that wait may take, about; when they do, no place is given until some are written. Operations
    /// that have a place by then keep it, and add what their lines take: a kilobyte or so each, and tens of kilobytes where
    /// encryption contexts or tags are as long as may be. 32 MiB unless set.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes.max(1);
        self
    }

    /// How long a line of cryptography may wait for others, to be made durable together with them. 50 milliseconds unless
    /// set.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.bounds.delay = delay;
        self
    }

    /// The size in bytes at which a file is full and a new one is begun. 64 MiB unless set. A file may become larger by
    /// what waited while it could not be written.
    pub fn max_file_size(mut self, bytes: u64) -> Self {
        self.max_file_size = bytes.max(1);
        self
    }

    /// How long a line may take to become durable before [`write`](super::AuditSink::write) fails as
    /// [`TooLate`](Kind::TooLate); and how long the catalogue may take to answer. 10 seconds unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where time comes from: that of the log's own lines, and the deadline.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs what the log asks of the catalogue as a task of the application's, for a catalogue that needs a runtime, such
    /// as a client of a database over the network: `|task| drop(runtime.spawn(task))`. Unless set, the log's own thread
    /// polls it.
    pub fn run_catalog_on(mut self, spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static) -> Self {
        self.spawn = Some(Arc::new(spawn));
        self
    }

    /// Begins a new file if the one that is there [was cut off](Kind::CutOff) or [altered](Kind::Altered). Its first line
    /// says why, and follows the last line that the catalogue knows of. What was there is given the name
    /// `<name>.damaged-<lines>`, and files that are full `<name>.damaged-<first>-<last>`. The same if somebody took away what the catalogue knows of the end of the log; its lines are then
    /// counted from 1 again.
    ///
    /// What was damaged stays so: [`verify`](crate::audit::verify) goes on finding it as long as it is in the folder, and
    /// [`verify_end`](crate::audit::verify_end) checks what was written since, given the files from the one that was begun.
    ///
    /// For after somebody has looked at it: a log that does so at every start tells nobody that it was changed.
    pub fn begin_anew(mut self) -> Self {
        self.begin_anew = true;
        self
    }

    /// As [`AuditLog::open`].
    ///
    /// # Errors
    ///
    /// Those of [`AuditLog::open`].
    ///
    /// # Cancel safety
    ///
    /// As [`AuditLog::open`].
    pub async fn open(&self, path: impl AsRef<Path> + Send) -> Result<AuditLog, AuditError> {
        let claim = self.ledger.claim_audit();
        let claim = claim.ok_or_else(|| AuditError::new(Kind::InUse).of_file(path.as_ref().to_owned()))?;
        let queue = Arc::new(Queue::new(self.bounds));
        let opening = Opening {
            path: path.as_ref().to_owned(),
            asking: Asking {
                ledger: self.ledger.clone(),
                clock: Arc::clone(&self.clock),
                deadline: self.deadline,
                spawn: self.spawn.clone(),
            },
            queue: Arc::clone(&queue),
            medium: self.medium.clone(),
            max_file_size: self.max_file_size,
            begin_anew: self.begin_anew,
        };
        // Whoever drops it unseen closes the log.
        let log = AuditLog::new(queue, &self.ledger, &self.clock, self.deadline);
        let (tell, told) = oneshot::channel();
        let write = move || match opening.open(claim) {
            Ok(writer) => {
                drop(tell.send(Ok(log)));
                writer.run();
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(write);
        thread.map_err(|error| AuditError::caused_by(Kind::Unavailable, error))?;
        told.await.unwrap_or_else(|_| Err(AuditError::new(Kind::Closed)))
    }
}

impl fmt::Debug for AuditLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogBuilder")
            .field("ledger", &self.ledger)
            .field("bounds", &self.bounds)
            .field("max_file_size", &self.max_file_size)
            .field("deadline", &self.deadline)
            .field("begin_anew", &self.begin_anew)
            .finish_non_exhaustive()
    }
}
