//! The client: a [`Backend`](crate::backend::Backend) that reaches an external key store proxy over the network.
//!
//! From the bottom up: `lookup` finds addresses, `public` knows which are of the Internet, `connector` makes a stream, `lane` is one HTTP/1.1 connection on it,
//! `pool` keeps the idle ones, `transport` sends a request on one of them, `connection` speaks the protocol, `proxy` and
//! `builder` are the configuration. `failure` says what became of a request that nobody answered.
//!
//! Nothing is spawned but the look-up of a host's name, which blocks a thread: a connection makes progress while the
//! call that uses it is polled, and no longer. So a call that is dropped takes its socket with it, and a connection that
//! is dropped takes all of them.

mod builder;
mod clock;
mod connection;
mod connector;
mod counters;
mod counts;
mod expiry;
mod failure;
mod lane;
mod lookup;
mod pool;
mod proxy;
mod public;
mod tls;
mod transport;

pub use builder::{InvalidSetup, XksProxyBuilder};
pub use counters::XksCounters;
pub use counts::{LatencyHistogram, XksCounts};
pub use proxy::XksProxy;
pub use tls::{ClientCertificate, TrustRoots};
