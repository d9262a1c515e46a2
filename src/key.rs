//! KMS keys: keys of ours that refer to keys in a key manager.

mod changing;

mod create;
pub use create::NewKey;

mod deletion;
pub use deletion::DeletionReport;

mod id;
pub use id::{KeyArn, KeyId};

mod keys;
pub use keys::{Alias, Keys, Orphan};
pub(crate) use keys::{OutOfReach, Reach};

mod metadata;
pub use metadata::KeyMetadata;

mod page;
pub use page::{Marker, Page, PageRequest};

mod record;

mod ring;
pub(crate) use ring::{Keyring, Protection, ReadyKey, Timing};

mod state;
pub use state::{KeyOrigin, KeyState};

mod value;
pub use value::{AliasName, KeyText, TagKey, TagValue};
