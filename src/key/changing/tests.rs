use std::sync::Arc;

use super::*;
use crate::catalog::Ledger;
use crate::clock::SystemClock;
use crate::identity::Identity;
use crate::store_id::StoreId;

#[test]
fn a_change_supersedes_what_was_kept_when_it_begins_and_again_when_it_is_done() {
    let ring =
        Keyring::new(Ledger::ephemeral(Identity::nobody()), StoreId::generate(), Arc::new(SystemClock));
    let id = KeyId::generate();
    let before = ring.generation(&id);
    let change = Change::begin(&ring, id);
    let during = ring.generation(&id);
    assert_ne!(before, during, "nobody may go on with what was kept before");
    assert!(ring.is_changing(&id));
    change.done();
    assert_ne!(during, ring.generation(&id), "nor with what was read while it was not yet committed");
    assert!(!ring.is_changing(&id));

    // It is unknown whether this one takes place.
    let before = ring.generation(&id);
    {
        let _never_done = Change::begin(&ring, id);
    }
    assert_ne!(before, ring.generation(&id));
    assert!(ring.is_changing(&id), "so that nothing is kept from now on");
}

#[test]
fn a_ring_does_not_begin_where_another_began() {
    let ring =
        || Keyring::new(Ledger::ephemeral(Identity::nobody()), StoreId::generate(), Arc::new(SystemClock));
    let id = KeyId::generate();
    assert_ne!(ring().generation(&id), ring().generation(&id));
}
