//! A suite of checks that every implementation of [`Catalog`] should pass.
//!
//! ```
//! use custom_key_store::catalog::MemoryCatalog;
//! use custom_key_store::catalog::conformance::Suite;
//!
//! let suite = Suite::new(|| async { Ok(MemoryCatalog::new()) });
//! let report = futures::executor::block_on(suite.run());
//! println!("{report}");
//! report.assert();
//! ```
//!
//! A catalogue that outlives its process is given to [`Suite::durable`] instead, which opens it again.
//!
//! # What is checked
//!
//! | theme | that |
//! |---|---|
//! | `reading` | what was committed is read and found; tables are apart |
//! | `listing` | rows come in the order of their bytes, by owner, page by page |
//! | `due` | rows come in the order in which they are due |
//! | `commits` | all edits of a commit take place, in their order, or none |
//! | `versions` | a row is changed only by who has seen its latest version |
//! | `conditions` | what a commit requires holds when it takes place, or nothing of it does |
//! | `unique` | a unique text is taken once, and free again when its row is gone or has another |
//! | `limits` | the longest, the shortest and the strangest are kept, what is beyond is refused |
//! | `snapshots` | a snapshot is of one moment, whatever happens meanwhile |
//! | `concurrency` | of many commits at once each is whole, and of those on the same version one wins |
//! | `cancellation` | calls can be dropped at every await |
//! | `closing` | closing can be done twice, and nothing works after it |
//! | `durability` | what was acknowledged is there when it is opened again; it has one owner |
//!
//! A check that fails says in which way. A panic of the implementation is a failed check, and so is a check
//! that takes longer than the [deadline](Suite::deadline).
//!
//! # What cannot be checked
//!
//! That what was acknowledged survives a crash, that deleted content is overwritten, that costs do not grow with the
//! number of rows, and what happens when the medium fails or is full. The suite is one task and starts no threads: a
//! race between two threads that is rare it finds by luck at best.
//!
//! # Stability
//!
//! Later versions of the crate will check more: an implementation may fail a minor version's suite though it
//! passed the one before. The names of checks are for people.
//!
//! [`Catalog`]: super::Catalog

mod cancellation;
mod closing;
mod commits;
mod concurrency;
mod conditions;
mod content;
mod due;
mod durability;
mod limits;
mod listing;
mod reading;
mod snapshots;
mod suite;
mod unique;
mod versions;

pub use crate::conformance::{Finding, Report, Verdict};
pub use suite::Suite;
