//! What the benchmarks of the XKS protocol share: both ends of it, bare and of this crate, over loopback.
#![expect(clippy::missing_errors_doc, reason = "whatever fails ends the benchmark, and says why")]
#![expect(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "nobody outside this package uses them"
)]

mod exchange;
mod lane;
mod saturate;
mod server;
mod turns;
mod wire;

pub use exchange::{Call, Exchange, Recorded, connect, settings};
pub use lane::{Lane, lanes};
pub use saturate::{Throughput, saturate};
pub use server::{Elsewhere, always, constant, proxy, proxy_over};
pub use turns::{Row, take_turns};
pub use wire::{Tls, Wire};

use std::error::Error;
use std::time::Duration;

use custom_key_store::backend::UriPath;
use custom_key_store::xks::Region;

/// The name of the server, which is always dialled at an address of loopback.
pub const HOST: &str = "xks.example.com";
/// The numbers of requests that are under way at any time.
pub const IN_FLIGHT: [usize; 3] = [1, 16, 64];
/// Longer than whatever is waited for takes: a benchmark fails rather than hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The name of the key that everything is encrypted under.
pub const KEY: &str = "key";
const PLAINTEXT: [u8; 32] = [7; 32];

/// Whatever went wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Whether the benchmark is only to show that it runs: as criterion does it, unless `cargo bench` asks for more.
#[must_use]
pub fn is_trial() -> bool {
    let is_given = |wanted| std::env::args().any(|argument| argument == wanted);
    is_given("--test") || !is_given("--bench")
}

fn path() -> Result<UriPath, Failure> {
    Ok(UriPath::new("/bench/kms/xks/v1")?)
}

fn region() -> Result<Region, Failure> {
    Ok(Region::new("us-east-1")?)
}
