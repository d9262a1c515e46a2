//! What the suites of the traits share: how a check is written, run, cut short and reported.

mod check;
mod dropping;
mod report;

pub(crate) use check::{
    Check, Expect, Fault, Outcome, Stop, applies, checks, ensure, failed, not_applicable, verdict,
};
pub(crate) use dropping::{Moment, moments, poll_all, poll_and_drop, poll_and_leave};
pub use report::{Finding, Report, Verdict};
