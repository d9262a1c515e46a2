//! CloudHSM key stores: keys that are made and held in an HSM, and used through its PKCS#11 library.
//!
//! AWS CloudHSM's client library speaks PKCS#11, and so does nearly every other HSM, SoftHSM among them.
//!
//! ```no_run
//! use custom_key_store::backend::{CloudHsmClusterId, KeyStorePassword};
//! use custom_key_store::cloudhsm::{CloudHsmCluster, TokenName};
//! use custom_key_store::{KeyStore, NewKey, StoreName};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = CloudHsmCluster::builder()
//!     .library("/usr/lib/softhsm/libsofthsm2.so") // for AWS: /opt/cloudhsm/lib/libcloudhsm_pkcs11.so
//!     .token(TokenName::Label("root keys".to_owned()))
//!     .cluster_id(CloudHsmClusterId::new("cluster-2a23b4cdefg")?)
//!     .password(KeyStorePassword::new("kmsPswd1")?)
//!     // .aws_cloudhsm()
//!     .build()?;
//! let store = KeyStore::ephemeral(StoreName::new("hsm")?, cluster).connect().await?;
//! let key = store.create_key(&NewKey::generated()).await?;
//! # let _ = key;
//! # Ok(()) }
//! ```
//!
//! Only AWS's clusters have an id of AWS's. Who has another HSM invents one, once for each: `cluster-` and 11 to 16
//! letters and digits from 2 to 7, such as `cluster-mainhsmroom`. The HSM is not asked about it.
//!
//! # The library
//!
//! It reads its own configuration when it is loaded, and where that is from the environment: `SOFTHSM2_CONF` of SoftHSM,
//! for instance. Such variables are set before the program starts; a program that sets them itself may be too late, and
//! may not while it has other threads. A library that cannot be loaded, because its path is wrong perhaps, is
//! `INTERNAL_ERROR` with its path.
//!
//! SoftHSM reads a token when it is initialized. A PIN that another process has changed since (`softhsm2-util`, say) it
//! notices only after the last store of this process that uses it has disconnected.
//!
//! # Keys
//!
//! Those that a store makes are AES-256 keys of the token: sensitive, not extractable, labelled with the ARN of their
//! KMS key, and found by a random `CKA_ID` of 16 bytes that the store's record of the key holds. Two keys of one id are
//! an error, never a choice. A key that somebody else made can be used too, through an XKS proxy in front of such a
//! connection, and may be named by its [label](KeyNames::Label).
//!
//! # Threads and time
//!
//! PKCS#11 calls block. Each session belongs to a thread, and calls wait for one in a queue that has an end. A call that
//! takes too long is answered [`TimedOut`](crate::backend::BackendErrorKind::TimedOut) while the thread still hangs in
//! the library; the thread is replaced, and its result thrown away when there is one. Where the token has fewer sessions to
//! give than it is asked for, calls share those.
//!
//! A session that was lost, by a restart of the HSM for instance, is opened again, and so is a login, without the
//! application noticing more than the time it takes. A password that the token refuses then is not tried again.
//!
//! # Passwords
//!
//! In PKCS#11 a password is a [`Pin`], of whatever form the token takes. What an update takes is
//! of AWS's form, a [`KeyStorePassword`](crate::backend::KeyStorePassword) of 7 to 32 letters and digits.
//!
//! Before a password is tried, that is written down in the store's catalogue. One that was refused, and one of which
//! three attempts ended nobody knows how, is not tried again until the store is told one by an update, be it the same:
//! AWS CloudHSM locks a user after five wrong ones. Being told counts once, and for the password that was told, also when a later
//! process is the first to connect with it. A password that never reached the token costs nothing. Where a login
//! was lost while the store is connected, attempts to log in again are counted in memory: after a refusal, or three that
//! end nobody knows how, calls are answered [`AuthenticationFailed`](crate::backend::BackendErrorKind::AuthenticationFailed). So are those of every
//! store of the process that shares the login, until one of them is told the password and logs in with it.
//!
//! Where the password is [changed](CloudHsmBuilder::rotate_password), the new one is written down first, beside the old
//! one, until a login has shown which of them is in force; whatever is cut off in between, one of the two logs in.
//! One that the store is told afterwards stands beside those until a login has shown that it is in force: after a mistaken
//! one, the store is given the earlier one again.
//!
//! # One process
//!
//! PKCS#11 belongs to a process: a library is initialized once, however many stores use it, and a login holds for all of
//! them. Two stores on one token share a login, which ends with the last; they must be the same user. The library is code
//! in this process: its crash is the process's, and what it does with its memory nobody can see.
//!
//! Nobody else in the process may finalize the library *and* initialize it again while a store is connected: the handles
//! that the store holds may then be those of other sessions and keys, which PKCS#11 has no way to tell.
//!
//! Disconnecting a store ends its sessions and, with the last store, finalizes the library. Of a store that is dropped
//! without, threads do that afterwards; should the process end meanwhile, it is up to the library whether it ends well.

mod builder;
mod class;
mod cluster;
mod connecting;
mod connection;
mod gcm;
mod health;
mod keys;
mod login;
mod module;
mod pace;
mod password;
mod pin;
mod pool;
mod rotating;
mod seat;
mod token;

pub use builder::{CloudHsmBuilder, InvalidSetup};
pub use cluster::{CloudHsmCluster, PasswordRotation};
pub use gcm::IvOrigin;
pub use keys::KeyNames;
pub use login::LoginForm;
pub use pin::Pin;
pub use token::TokenName;
