//! The endpoint that AWS SDKs talk to, in this process and over sockets, by a client and a signer of the tests' own.

mod answers;
mod arbitrary;
mod audit;
mod bodies;
mod callers;
mod cases;
mod contradictions;
mod logging;
mod members;
mod routing;
mod serving;
mod signing;
pub(crate) mod support;
mod values;
