//! What a catalogue keeps.

use std::fmt;

use super::error::{CatalogError, CatalogErrorKind};

/// Declares the tables with their names, so that none is left out of either.
macro_rules! tables {
    ($( $(#[$doc:meta])* $table:ident = $name:literal ),+ $(,)?) => {
        /// Which kind of thing a row is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Table {
            $( $(#[$doc])* $table, )+
        }

        impl Table {
            /// Every table.
            pub const ALL: &'static [Self] = &[$(Self::$table),+];

            /// The name, for an implementation to store: it never changes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$table => $name),+
                }
            }
        }
    };
}

tables! {
    /// What the catalogue says of itself.
    Catalog = "catalog",
    /// Custom key stores.
    Stores = "stores",
    /// What a backend keeps for itself, sealed, by store.
    Vaults = "vaults",
    /// KMS keys, by key id; they belong to their store.
    Keys = "keys",
    /// What the material of a KMS key is sealed under, by key id. Its deletion is what deletes the key.
    WrappingKeys = "wrapping_keys",
    /// Aliases, by name; they belong to their key.
    Aliases = "aliases",
    /// Tags; they belong to their key.
    Tags = "tags",
    /// Keys in a key manager that nothing refers to, not yet or not any more; they belong to their store.
    Orphans = "orphans",
    /// Where the audit log ends.
    Audit = "audit",
}

impl Table {
    /// The table of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.as_str() == name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is kept. `Debug` shows neither its body nor its code.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// What kind of thing it is.
    pub table: Table,
    /// Its id, unlike every other in the table: 1 to [`MAX_TEXT_LEN`](Self::MAX_TEXT_LEN) bytes.
    pub id: String,
    /// 1 at first, and one more each time it is replaced. A row that comes from elsewhere, such as a backup, is inserted
    /// at the version it has.
    pub version: u64,
    /// The id of what it belongs to, if it belongs to anything. Not checked: that is the crate's affair.
    pub owner: Option<String>,
    /// A text that no other row of the table may have.
    pub unique: Option<String>,
    /// When something is to be done about it, in milliseconds since the Unix epoch.
    pub due: Option<i64>,
    /// What it is about, at most [`MAX_BODY_LEN`](Self::MAX_BODY_LEN) bytes.
    pub body: Vec<u8>,
    /// The code that covers everything above.
    pub mac: [u8; 32],
}

impl Row {
    /// The greatest length of an id, an owner and a unique text, in bytes.
    pub const MAX_TEXT_LEN: usize = 1024;
    /// The greatest version: what a signed 64-bit column holds.
    pub const MAX_VERSION: u64 = i64::MAX.unsigned_abs();
    /// The greatest length of a body, in bytes.
    pub const MAX_BODY_LEN: usize = 1 << 20;

    /// A row at its first version that belongs to nothing, with an empty body.
    #[must_use]
    pub fn new(table: Table, id: impl Into<String>) -> Self {
        Self {
            table,
            id: id.into(),
            version: 1,
            owner: None,
            unique: None,
            due: None,
            body: Vec::new(),
            mac: [0; 32],
        }
    }

    /// Refuses a row that breaks a limit. For implementers: call it on every row that is inserted or replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidRow`](CatalogErrorKind::InvalidRow), about this row.
    pub fn check(&self) -> Result<(), CatalogError> {
        let texts = [Some(&self.id), self.owner.as_ref(), self.unique.as_ref()];
        let legal = |text: &String| !text.is_empty() && text.len() <= Self::MAX_TEXT_LEN;
        let versions = 1..=Self::MAX_VERSION;
        if texts.into_iter().flatten().all(legal)
            && self.body.len() <= Self::MAX_BODY_LEN
            && versions.contains(&self.version)
        {
            Ok(())
        } else {
            Err(CatalogError::at(CatalogErrorKind::InvalidRow, self.table, self.id.clone()))
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("table", &self.table)
            .field("id", &self.id)
            .field("version", &self.version)
            .field("owner", &self.owner)
            .field("unique", &self.unique)
            .field("due", &self.due)
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish_non_exhaustive()
    }
}
