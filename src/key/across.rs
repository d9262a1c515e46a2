//! Keys and aliases of a whole catalogue, whichever store they belong to.

use std::collections::BTreeSet;

use super::aliases::Alias;
use super::id::KeyId;
use super::page::{Page, PageRequest};
use super::record::{AliasRecord, KeyRecord};
use super::ring::Timing;
use super::value::AliasName;
use crate::catalog::{Ledger, Record, Stored};
use crate::epoch;
use crate::error::{Error, ErrorKind};
use crate::store_id::StoreId;

/// How many keys that are due are looked at.
const DUE: usize = 1000;

/// The key of this id.
pub(crate) async fn find_key(ledger: &Ledger, timing: &Timing, id: &KeyId) -> Result<KeyRecord, Error> {
    let found: Option<Stored<KeyRecord>> = timing.bounded(ledger.read(&id.to_string())).await?;
    found.map(|key| key.record).ok_or_else(|| Error::key_not_found(*id))
}

/// The alias of this name.
pub(crate) async fn find_alias(ledger: &Ledger, timing: &Timing, name: &AliasName) -> Result<Alias, Error> {
    let found: Option<Stored<AliasRecord>> = timing.bounded(ledger.read(name.as_str())).await?;
    found.map(|alias| alias.record.into()).ok_or_else(|| Error::about(ErrorKind::AliasNotFound, name))
}

/// All keys, in the order of their ids.
pub(crate) async fn list_keys(
    ledger: &Ledger,
    timing: &Timing,
    page: &PageRequest,
) -> Result<Page<KeyRecord>, Error> {
    list(ledger, timing, "keys", page).await
}

/// All aliases, in the order of their names.
pub(crate) async fn list_aliases(
    ledger: &Ledger,
    timing: &Timing,
    page: &PageRequest,
) -> Result<Page<Alias>, Error> {
    Ok(list::<AliasRecord>(ledger, timing, "aliases", page).await?.map(Alias::from))
}

async fn list<R: Record>(
    ledger: &Ledger,
    timing: &Timing,
    list: &str,
    page: &PageRequest,
) -> Result<Page<R>, Error> {
    let after = page.after_id(list)?;
    let found = timing.bounded(ledger.list::<R>(None, after, page.limit() + 1)).await?;
    Ok(Page::new(list, page.limit(), found, |row| row.record.id(), |row| row.record))
}

/// The stores of which keys are due to be deleted, each to be asked for [`delete_due`](super::Keys::delete_due). One query,
/// however many stores there are. `None` when so many keys are due that not all were looked at: every store may have some
/// then, and those that cannot be deleted shall not hide the rest.
pub(crate) async fn stores_with_keys_due(
    ledger: &Ledger,
    timing: &Timing,
) -> Result<Option<BTreeSet<StoreId>>, Error> {
    let now = epoch::millis(timing.clock.wall());
    let due: Vec<Stored<KeyRecord>> = timing.bounded(ledger.due(None, now, DUE + 1)).await?;
    let all = due.len() <= DUE;
    Ok(all.then(|| due.into_iter().map(|key| key.record.store).collect()))
}

impl From<AliasRecord> for Alias {
    fn from(alias: AliasRecord) -> Self {
        Self {
            created: epoch::from_millis(alias.created),
            updated: epoch::from_millis(alias.updated),
            name: alias.name,
            key: alias.key,
        }
    }
}

#[cfg(test)]
mod tests;
