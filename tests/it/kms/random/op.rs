//! What can be done: calls, faults, time, restarts.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, Method};

/// How many there are of each thing: few, so that calls meet.
pub(super) const NAMES: u8 = 4;
pub(super) const ENDPOINTS: u8 = 2;
pub(super) const PATHS: u8 = 3;
pub(super) const SERVICES: u8 = 2;
pub(super) const CLUSTERS: u8 = 2;
pub(super) const COPIES: u8 = 2;
pub(super) const SECRETS: u8 = 2;
pub(super) const BACKING_KEYS: u8 = 3;
pub(super) const ALIASES: u8 = 2;
pub(super) const TAGS: u8 = 2;
/// Each endpoint has a key manager of its own, and so has each cluster.
pub(super) const MANAGERS: usize = 4;

/// What a store is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Settings {
    pub(super) name: u8,
    pub(super) place: Place,
    /// The credential or the password.
    pub(super) secret: u8,
}

/// Where its key manager is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    External {
        endpoint: u8,
        path: u8,
        /// Reached through this VPC endpoint service.
        service: Option<u8>,
    },
    Cluster {
        cluster: u8,
        /// Clusters of the same backup have the same keys, and the same certificate.
        copy: u8,
    },
}

/// What an update changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit {
    pub(super) name: Option<u8>,
    pub(super) credential: Option<u8>,
    pub(super) password: Option<u8>,
    pub(super) path: Option<u8>,
    pub(super) endpoint: Option<u8>,
    /// Through this service from now on, or through none.
    pub(super) service: Option<Option<u8>>,
    pub(super) copy: Option<u8>,
}

/// One step. Numbers that choose one of several things wrap around.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Call(Call, Then),
    /// Polls a call that was kept, so often as it is woken.
    PollCall(usize),
    DropCall(usize),
    /// The next call of this method of this key manager meets the fault.
    Inject(usize, Method, Fault),
    Heal(usize),
    /// The key manager accepts this secret from now on.
    Accept(usize, u8),
    /// A commit or a read to come meets the mood.
    Commit(Option<Mood>),
    Read(Option<ReadMood>),
    /// So many seconds pass, and nobody is polled.
    Advance(u64),
    /// The driver is polled as long as it is woken.
    Drive,
    /// Everything comes to its end: everybody is polled, and time passes.
    Rest,
    Restart(End),
}

/// What becomes of the future of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Awaited; time passes when nothing else happens. The driver is polled beside it, or only when nothing else helps.
    Await { driven: bool },
    /// Polled so often, woken or not, and dropped unless it resolved.
    Drop { polls: u8, driven: bool },
    /// The same, but it is kept.
    Keep { polls: u8, driven: bool },
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Without warning. What the catalogue had not yet committed is committed after all, or never.
    Crash { kms_first: bool, late: bool },
    /// The driver is dropped, and somebody goes on calling.
    Driverless,
    /// In good order.
    Orderly,
}

/// What a commit meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// There is no room; nothing was changed.
    Full,
    /// `Unavailable`, and nothing was changed.
    Refused,
    /// `Unavailable`, and it was committed.
    Lost,
    /// Never answers, and commits nothing.
    Hang,
    /// Commits, and never says so.
    Silent,
    /// Never answers, and takes place before whatever is committed next.
    Late,
    /// Comes back so often before it commits.
    Slow(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadMood {
    Unavailable,
    Hang,
    Slow(u8),
}

/// A call. Stores, keys and blobs by their numbers, deleted ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create(Settings),
    Connect(usize),
    Disconnect(usize),
    Update(usize, Edit),
    Delete(usize),
    /// On an external key, or one that the cluster makes.
    CreateKey(usize, Option<u8>),
    Key(usize, KeyEdit),
    CreateAlias(u8, usize),
    UpdateAlias(u8, usize),
    DeleteAlias(u8),
    Encrypt {
        key: Named,
        context: u8,
        dry: bool,
    },
    Decrypt {
        blob: usize,
        wrong: Option<Wrong>,
        named: Option<Named>,
        dry: bool,
    },
    ReEncrypt {
        blob: usize,
        to: Named,
    },
    DataKey {
        key: Named,
        plaintext: bool,
    },
    Random(Option<usize>),
}

/// A change of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyEdit {
    Enable,
    Disable,
    Schedule(u32),
    Cancel,
    Describe(u8),
    Tag(u8, u8),
    Untag(u8),
}

/// A key as a call names it, by its number or that of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Id(usize),
    Arn(usize),
    Alias(u8),
    AliasArn(u8),
}

/// What is wrong with what is to be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Context,
    /// A bit of the last byte.
    Blob,
}

impl Settings {
    pub(super) fn edited(mut self, edit: Edit) -> Self {
        self.name = edit.name.unwrap_or(self.name);
        match &mut self.place {
            Place::External { endpoint, path, service } => {
                *endpoint = edit.endpoint.unwrap_or(*endpoint);
                *path = edit.path.unwrap_or(*path);
                *service = edit.service.unwrap_or(*service);
                self.secret = edit.credential.unwrap_or(self.secret);
            }
            Place::Cluster { copy, .. } => {
                *copy = edit.copy.unwrap_or(*copy);
                self.secret = edit.password.unwrap_or(self.secret);
            }
        }
        self
    }
}

impl Place {
    pub(super) const fn is_external(self) -> bool {
        matches!(self, Self::External { .. })
    }

    /// Which key manager is there, if each place has its own.
    pub(super) fn manager(self) -> usize {
        match self {
            Self::External { endpoint, .. } => usize::from(endpoint),
            Self::Cluster { cluster, .. } => usize::from(ENDPOINTS + cluster),
        }
    }
}

impl Edit {
    /// Whether it says something that only external key stores have, or only those in clusters.
    pub(super) const fn fits(self, external: bool) -> bool {
        if external {
            self.password.is_none() && self.copy.is_none()
        } else {
            self.credential.is_none()
                && self.path.is_none()
                && self.endpoint.is_none()
                && self.service.is_none()
        }
    }

    pub(super) const fn concerns_backend(self) -> bool {
        !(self.fits(true) && self.fits(false))
    }

    pub(super) const fn is_live(self) -> bool {
        self.password.is_none() && self.copy.is_none() && self.endpoint.is_none() && self.service.is_none()
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// By how much time passes in [`Op::Advance`]: a moment, longer than any limit, a round of deletions, a window.
pub(super) const ADVANCES: [u64; 4] = [1, 20, 2 * 60 * 60, 8 * 24 * 60 * 60];

pub(super) const fn delay(seconds: u64) -> Fault {
    Fault::Delay(Duration::from_secs(seconds))
}
