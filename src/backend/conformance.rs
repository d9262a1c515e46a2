//! A suite of checks that every implementation of [`Backend`] and [`Connection`] should pass.
//!
//! The two traits promise more than their signatures say: that whatever was changed is refused, that a call
//! may be dropped at any await, that a closed connection says so. Stores, proxies and the rest of the crate
//! rely on it. Run the [`Suite`] in the tests of an implementation:
//!
//! ```
//! use custom_key_store::backend::conformance::{Keys, Suite};
//! use custom_key_store::backend::software::{KeyManager, SoftwareKey};
//! use custom_key_store::backend::{BackingKeyId, KeyStatus};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (usable, disabled) = (BackingKeyId::new("usable")?, BackingKeyId::new("disabled")?);
//! let manager = KeyManager::new();
//! manager.insert_key(usable.clone(), SoftwareKey::from_bytes(&[7; 32]));
//! manager.insert_key(disabled.clone(), SoftwareKey::generate().status(KeyStatus::Disabled));
//!
//! let suite = Suite::new(manager, Keys::new(usable).disabled(disabled))
//!     .usable_key_material([7; 32])
//!     .largest_plaintext(KeyManager::MAX_PLAINTEXT_LEN)
//!     .largest_aad(KeyManager::MAX_AAD_LEN);
//! let report = futures::executor::block_on(suite.run());
//! println!("{report}");
//! report.assert();
//! # Ok(())
//! # }
//! ```
//!
//! The suite needs one key; the more [`Keys`] it is given and the more the methods of [`Suite`] tell it, the
//! more it can check. What it could not check is in the [`Report`] as *not applicable*, with the reason: look
//! at a printed report once.
//!
//! # What is checked
//!
//! | theme | that |
//! |---|---|
//! | `connecting` | it connects for every reason, twice at once, and again after connections were merely dropped |
//! | `configuration` | the configuration is stable, changes give a changed backend, `Debug` shows no secret |
//! | `round_trip` | what is encrypted comes back, at every length; no two ciphertexts are alike |
//! | `layout` | the tag covers [`authenticated_data`], by the suite's own AES-GCM |
//! | `tampering` | a change of any part is refused, and always in the same way |
//! | `usage` | keys that may not be used are refused as the right kind of error |
//! | `management` | keys are made and deleted, random bytes are drawn, health makes sense |
//! | `concurrency` | many calls at once do not mix up their results |
//! | `cancellation` | calls can be dropped at every await |
//! | `closing` | a goodbye can be said twice, and nothing works after it |
//!
//! A check that fails says in which way. A panic of the implementation is a failed check, and so is a check
//! that takes longer than the [deadline](Suite::deadline).
//!
//! # What cannot be checked
//!
//! That nothing is left behind in the key manager (sessions, logins, keys whose creation was cancelled), how
//! it behaves when it is sick, and that every refusal takes the same time. The suite is one task and starts no
//! threads: a race between two threads that is rare it finds by luck at best.
//!
//! # Stability
//!
//! Later versions of the crate will check more: an implementation may fail a minor version's suite though it
//! passed the one before. The names of checks are for people.
//!
//! [`Backend`]: super::Backend
//! [`Connection`]: super::Connection
//! [`authenticated_data`]: super::authenticated_data

mod cancellation;
mod closing;
mod concurrency;
mod configuration;
mod connecting;
mod gcm;
mod keys;
mod layout;
mod link;
mod management;
mod round_trip;
mod suite;
mod tampering;
mod usage;

pub use crate::conformance::{Finding, Report, Verdict};
pub use keys::Keys;
pub use suite::Suite;
