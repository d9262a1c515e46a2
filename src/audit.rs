//! The audit trail: who did what with which key, and how it ended.
//!
//! Every operation leaves one [`AuditRecord`], whether it was allowed or refused; and so does what happens by itself, such
//! as the end of an attempt to connect. (Refusals by which somebody without rights could fill the medium leave so many a second
//! for each principal (1,024 at a time; all others share one limit), and of the rest a record that says how many there were:
//! [`audit_refusals`](crate::kms::KmsBuilder::audit_refusals).) An [`AuditTrail`] takes them to an [`AuditSink`], which is a log in files whose lines
//! are chained, [`AuditLog`], or something of an application's own. [`verify`] says whether such a log is as it was written.

mod chain;

mod error;
pub use error::{AuditError, AuditErrorKind};

mod form;

mod lines;

mod log;
pub use log::{AuditLog, AuditLogBuilder};

mod record;
pub use record::{AuditCategory, AuditEventType, AuditOutcome, AuditRecord};

mod sink;
pub use sink::{AuditSink, OnFailure};

mod trail;
pub use trail::{AuditEntry, AuditTrail};

mod value;
pub use value::{AuditParameters, AuditValue};

mod verify;
pub use verify::{AuditFinding, AuditFindingKind, AuditReport, verify, verify_end, verify_part};
