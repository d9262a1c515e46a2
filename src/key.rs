//! KMS keys: keys of ours that refer to keys in a key manager.

mod across;
pub(crate) use across::{find_alias, find_key, list_aliases, list_keys, stores_with_keys_due};

mod aliases;
pub use aliases::Alias;

mod changing;

mod create;
pub use create::NewKey;

mod deletion;
pub use deletion::DeletionReport;
pub(crate) use deletion::Fate;

mod id;
pub use id::{KeyArn, KeyId};

mod keys;
pub use keys::Keys;
pub(crate) use keys::{OutOfReach, Reach};

mod metadata;
pub use metadata::KeyMetadata;

mod orphans;
pub use orphans::Orphan;

mod page;
pub use page::{Marker, Page, PageRequest};

mod record;
pub(crate) use record::OrphanRecord;

mod ring;
pub(crate) use ring::{Keyring, Protection, ReadyKey, Timing};

mod state;
pub use state::{KeyOrigin, KeyState};

mod tags;
pub(crate) use tags::MAX_TAGS;

mod value;
pub use value::{AliasName, KeyText, TagKey, TagValue};
