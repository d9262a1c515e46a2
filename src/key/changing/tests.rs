use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::catalog::Ledger;
use crate::clock::SystemClock;
use crate::identity::Identity;
use crate::key::Timing;
use crate::store_id::StoreId;

fn ring() -> Arc<Keyring> {
    let timing = Timing { clock: Arc::new(SystemClock), limit: Duration::from_secs(5) };
    Keyring::of(&Ledger::ephemeral(Identity::nobody()), &StoreId::generate(), timing)
}

#[test]
fn a_change_supersedes_what_was_kept_when_it_begins_and_again_when_it_is_done() {
    let (ring, id) = (ring(), KeyId::generate());
    let before = ring.generation(&id);
    let change = Change::begin(&ring, id);
    let during = ring.generation(&id);
    assert_ne!(before, during, "nobody may go on with what was kept before");
    assert!(ring.is_changing(&id));
    change.done();
    assert_ne!(during, ring.generation(&id), "nor with what was read while it was not yet committed");
    assert!(!ring.is_changing(&id));
}

#[test]
fn a_change_that_is_lost_counts_as_under_way_until_another_is_done() {
    let (ring, id) = (ring(), KeyId::generate());
    let before = ring.generation(&id);
    drop(Change::begin(&ring, id));
    assert_ne!(before, ring.generation(&id));
    assert!(ring.is_changing(&id));
    // While that one lasts, another that is lost changes nothing.
    let lasting = Change::begin(&ring, id);
    drop(Change::begin(&ring, id));
    assert!(ring.is_changing(&id));
    lasting.done();
    assert!(!ring.is_changing(&id));
}

#[test]
fn a_ring_does_not_begin_where_another_began() {
    let id = KeyId::generate();
    assert_ne!(ring().generation(&id), ring().generation(&id));
}
