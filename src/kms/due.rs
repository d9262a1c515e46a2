//! Keys whose time has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use super::shared::Shared;
use super::slot::Slot;
use crate::backend::CustomKeyStoreType;
use crate::key::{KeyId, stores_with_keys_due};
use crate::panics::{Panicked, caught};
use crate::store::ConnectionState;
use crate::store_id::StoreId;

/// Of how many stores keys are deleted at once.
const STORES_AT_ONCE: usize = 16;

/// How long after a round of deletions the next one begins.
const ROUND: Duration = Duration::from_secs(60 * 60);

/// Deletes keys whose time has come, again and again.
pub(super) async fn rounds(shared: Arc<Shared>) {
    let mut postponed = Postponed::default();
    loop {
        let pause = match caught(round(&shared, &mut postponed)).await {
            Ok(()) if !postponed.0.is_empty() => ROUND / 60,
            Ok(()) | Err(Panicked) => ROUND,
        };
        shared.clock().sleep(pause).await;
    }
}

/// What is due now; what fails is tried again in the next round.
async fn round(shared: &Shared, postponed: &mut Postponed) {
    let Ok(due) = stores_with_keys_due(&shared.ledger, &shared.timing()).await else { return };
    let slots: Vec<Arc<Slot>> = match due {
        Some(due) => due.iter().filter_map(|id| shared.find(id)).collect(),
        None => shared.all_slots(),
    };
    let ready = postponed.but_for(slots, shared.clock().monotonic());
    // One whose cluster does not answer holds up no other.
    stream::iter(ready)
        .for_each_concurrent(STORES_AT_ONCE, |slot: Arc<Slot>| async move {
            let view = slot.view_full();
            let identity = shared.ledger.identity();
            // Each as soon as it is gone: whatever becomes of the rest, its line is written.
            let tell = |id: &KeyId, fate| shared.trail.deleted(&slot, identity, id, fate);
            if let Ok(report) = view.keys(&slot).delete_due_telling(&tell).await {
                for (id, error) in &report.failed {
                    shared.trail.not_deleted(&slot, identity, id, error);
                }
            }
        })
        .await;
}

/// Stores whose keys are due and wait, and since when. The key in a cluster is deleted with its KMS key, so that one whose
/// store is just being connected waits for that; but not for ever, as a store may be CONNECTING after a restart: what is in
/// the cluster is an orphan then, as it is where the store is not connected at all.
#[derive(Default)]
struct Postponed(HashMap<StoreId, Instant>);

/// How long keys that are due wait for their store to be connected. Counted anew by each process, so that it is less than
/// most of them last.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

impl Postponed {
    /// The stores that need not wait, or have waited long enough. The others are here.
    fn but_for(&mut self, stores: Vec<Arc<Slot>>, now: Instant) -> Vec<Arc<Slot>> {
        let before = std::mem::take(&mut self.0);
        let mut must_wait = |slot: &Arc<Slot>| {
            let is_connecting = slot.view().state == ConnectionState::Connecting;
            let since = before.get(&slot.id).copied().unwrap_or(now);
            let waits = is_connecting
                && slot.store_type == CustomKeyStoreType::AwsCloudhsm
                && now.saturating_duration_since(since) < PATIENCE;
            if waits {
                self.0.insert(slot.id.clone(), since);
            }
            waits
        };
        stores.into_iter().filter(|slot| !must_wait(slot)).collect()
    }
}
