//! What tests of a PKCS#11 backend need: tokens in files, a process for each test, and a module that misbehaves.
//!
//! PKCS#11 is one state for the whole process, and modules read where their tokens are when they are initialized. So
//! each test is [`alone`] in a process, with an [`Hsm`] of its own:
//!
//! ```no_run
//! #[test]
//! fn a_token_has_its_label() {
//!     custom_key_store_hsm::alone(|hsm| {
//!         let context = hsm.initialized(hsm.shim().library());
//!         let slot = hsm.token().slot(&context);
//!         assert_eq!(context.get_token_info(slot).unwrap().label(), hsm.token().label());
//!         assert_eq!(hsm.shim().calls("C_Initialize"), 1);
//!     });
//! }
//! ```
#![expect(clippy::missing_panics_doc, reason = "whatever fails ends the test, and says why")]
#![expect(clippy::unwrap_in_result, reason = "an error is of the test, a panic of its support")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml does not know")]

mod alone;
mod errand;
mod hsm;
mod module;
mod shim;
mod token;

pub use alone::{LIMIT, alone, alone_on, attempt};
pub use cryptoki_sys;
pub use hsm::Hsm;
pub use module::Module;
pub use shim::{Failure, Shim};
pub use token::{Found, Token, Trait};
