//! The example server, killed in every transition: what it said is done is done, and every store is in a state of which the
//! documentation speaks, when it is started again.
//!
//! The proxy that its stores are on is one of this process, so that external keys outlive the kills. The kills come at
//! random moments of calls that are under way, by a seed that failures show.

mod audited;
mod caller;
mod kills;
mod server;
mod starting;
mod together;
mod verifying;
