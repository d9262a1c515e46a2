//! Where what an application must keep is kept: stores, KMS keys, aliases, tags.
//!
//! A [`Catalog`] keeps [`Row`]s and knows nothing of what they mean. It makes a few promises, each of which the
//! suite checks: an [`Edit`] takes place wholly or not at all, together with those it was given with;
//! what was acknowledged is there after a crash; an id and a unique text are taken once; a row is replaced only by who
//! has seen its latest version; and a commit can require that a row is there, or that nothing belongs to an owner.
//!
//! Built in are [`MemoryCatalog`], for tests and for what may die with the process, and, with the feature `sqlite`,
//! `SqliteCatalog`, a file. Rows hold no secret in the clear, and each carries a code that only the crate can make:
//! whoever keeps them can lose them or bring back old ones, but neither read nor alter them unseen.

mod backup;

pub(crate) mod base64_text;

#[cfg(feature = "conformance")]
pub mod conformance;

mod contract;
pub use contract::{Catalog, Snapshot};

mod edit;
pub use edit::Edit;

mod error;
pub use error::{CatalogError, CatalogErrorKind};

mod ledger;
pub(crate) use ledger::{AuditClaim, Claim, Record, Stored};
pub use ledger::{Ledger, Verification};

mod mac;

mod memory;
pub use memory::MemoryCatalog;

mod root;

mod row;
pub use row::{Row, Table};

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteBuilder, SqliteCatalog};
