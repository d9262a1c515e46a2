//! What the catalogue says of the log: where it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::audit::chain::Position;
use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::catalog::{CatalogError, CatalogErrorKind, Ledger, Record, Stored, Table, base64_text};
use crate::clock::{Clock, within};
use crate::panics::{Panicked, caught};
use crate::thread::wait_for;

/// The end of the log, in the catalogue. There is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeadRecord {
    lines: u64,
    #[serde(with = "base64_text")]
    code: Vec<u8>,
}

const ID: &str = "log";

impl Record for HeadRecord {
    const TABLE: Table = Table::Audit;

    fn id(&self) -> String {
        ID.to_owned()
    }
}

impl HeadRecord {
    fn new(position: &Position) -> Self {
        Self { lines: position.lines, code: position.code.to_vec() }
    }

    fn position(&self) -> Result<Position, CatalogError> {
        let code = self.code.as_slice().try_into();
        let code = code.map_err(|_| CatalogError::at(CatalogErrorKind::Corrupt, Table::Audit, ID))?;
        Ok(Position { lines: self.lines, code })
    }
}

/// Where the log of this ledger ends, for all that the catalogue knows.
pub(in crate::audit) async fn position(ledger: &Ledger) -> Result<Position, CatalogError> {
    let found: Option<Stored<HeadRecord>> = ledger.read(ID).await?;
    match found {
        Some(stored) => stored.record.position(),
        None if ledger.is_audited().await? => Err(gone()),
        None => Ok(Position::START),
    }
}

/// Somebody took away what says where the log ends.
fn gone() -> CatalogError {
    CatalogError::at(CatalogErrorKind::Altered, Table::Audit, ID)
}

/// What runs the futures of a catalogue that needs a runtime.
pub(super) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// How the catalogue is asked, from a thread that has no runtime.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) ledger: Ledger,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Duration,
    pub(super) spawn: Option<Spawn>,
}

impl Asking {
    /// Blocks until there is an answer, or no time left.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, CatalogError>> + Send + 'static,
    ) -> Result<T, AuditError> {
        let (clock, deadline) = (Arc::clone(&self.clock), self.deadline);
        let answer = async move {
            match within(&*clock, deadline, caught(question)).await {
                Some(Ok(answer)) => answer.map_err(refused),
                Some(Err(Panicked)) => {
                    Err(AuditError::caused_by(Kind::Unavailable, "the catalogue panicked"))
                }
                None => Err(AuditError::caused_by(Kind::TooLate, "the catalogue does not answer")),
            }
        };
        let Some(spawn) = &self.spawn else { return wait_for(answer) };
        let (tell, told) = oneshot::channel();
        spawn(
            async move {
                // Who asked may have given up.
                let _ = tell.send(answer.await);
            }
            .boxed(),
        );
        wait_for(told).unwrap_or_else(|_| {
            Err(AuditError::caused_by(Kind::Unavailable, "what runs the catalogue's futures has ended"))
        })
    }
}

/// The end of the log as it is in the catalogue.
pub(super) struct Head {
    asking: Asking,
    latest: Option<Stored<HeadRecord>>,
    /// Whether a commit was left, so that it may have taken place.
    unsettled: bool,
    /// Whether it is said elsewhere that there is one.
    is_marked: bool,
}

impl Head {
    /// Gives where the log ends, or that somebody took it away.
    pub(super) fn read(asking: Asking) -> Result<(Self, Result<Position, AuditError>), AuditError> {
        let latest = read(&asking)?;
        let ledger = asking.ledger.clone();
        let is_marked = asking.ask(async move { ledger.is_audited().await })?;
        let position = match &latest {
            Some(stored) => Ok(stored.record.position().map_err(refused)?),
            None if is_marked => Err(refused(gone())),
            None => Ok(Position::START),
        };
        Ok((Self { asking, latest, unsettled: false, is_marked }, position))
    }

    /// Writes down that the log ends here. Returns when it is durable.
    pub(super) fn write(&mut self, position: &Position) -> Result<(), AuditError> {
        if self.unsettled {
            let found = read(&self.asking)?;
            if found.is_none() && self.latest.is_some() {
                return Err(refused(gone()));
            }
            self.latest = found;
            self.unsettled = false;
        }
        let record = HeadRecord::new(position);
        if self.latest.as_ref().is_some_and(|latest| latest.record == record) {
            return Ok(());
        }
        self.unsettled = true;
        let ledger = &self.asking.ledger;
        let (edit, version) = match &self.latest {
            Some(latest) => (ledger.replace(latest.version, &record), latest.version + 1),
            None => (ledger.insert(&record), 1),
        };
        let (mut edits, ledger, is_marked) = (vec![edit.map_err(refused)?], ledger.clone(), self.is_marked);
        self.asking.ask(async move {
            if !is_marked {
                edits.extend(ledger.mark_audited().await?);
            }
            ledger.commit(edits).await
        })?;
        self.latest = Some(Stored { record, version });
        self.unsettled = false;
        self.is_marked = true;
        Ok(())
    }
}

fn read(asking: &Asking) -> Result<Option<Stored<HeadRecord>>, AuditError> {
    let ledger = asking.ledger.clone();
    asking.ask(async move { ledger.read(ID).await })
}

/// What an error of the catalogue means for the log.
pub(in crate::audit) fn refused(error: CatalogError) -> AuditError {
    let kind = match error.kind() {
        CatalogErrorKind::Full => Kind::NoRoom,
        CatalogErrorKind::Altered | CatalogErrorKind::Corrupt => Kind::Altered,
        _ => Kind::Unavailable,
    };
    AuditError::caused_by(kind, error)
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("latest", &self.latest).finish_non_exhaustive()
    }
}
