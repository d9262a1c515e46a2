use std::sync::Arc;

use super::Ledger;
use crate::identity::Identity;
use crate::store_id::StoreId;

#[test]
fn what_nobody_shares_any_more_does_not_pile_up() {
    let ledger = Ledger::ephemeral(Identity::nobody());
    let kept: Vec<Arc<u32>> = (0..100).map(|number| ledger.share(&StoreId::generate(), || number)).collect();
    for _ in 0..10_000 {
        drop(ledger.share(&StoreId::generate(), || 0_u32));
    }
    let listed = ledger.0.shared.lock().unwrap().left.len();
    assert!((kept.len()..300).contains(&listed), "{listed}");
}

#[test]
fn what_somebody_has_still_is_shared() {
    let ledger = Ledger::ephemeral(Identity::nobody());
    let id = StoreId::generate();
    let first = ledger.share(&id, || 1_u32);
    for _ in 0..100 {
        drop(ledger.share(&StoreId::generate(), || 0_u32));
    }
    assert!(Arc::ptr_eq(&first, &ledger.share(&id, || 2)));
    drop(first);
    assert_eq!(*ledger.share(&id, || 3), 3);
}
