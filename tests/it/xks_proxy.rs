//! The proxy server, over real sockets. Rows such as XKS-P-16 are those of the protocol's checklist; the table row →
//! test is in `xks_proxy/ROWS.md`.

mod faults;
mod floods;
mod health;
pub(crate) mod http2;
mod logging;
mod operations;
mod policy;
mod reviewed;
mod routing;
mod serving;
mod signing;
pub(crate) mod support;
mod tls;
mod traps;
