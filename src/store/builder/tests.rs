use std::sync::Arc;

use futures::executor::block_on;

use super::StoreBuilder;
use crate::backend::StoreName;
use crate::backend::software::KeyManager;
use crate::catalog::{Catalog as _, CatalogErrorKind, Ledger, MemoryCatalog, Stored, Table};
use crate::crypto::SealingKey;
use crate::identity::Identity;
use crate::secret::SecretBytes;
use crate::store::{AnyKeyStore, ConnectionState, StoreRecord};

fn builder() -> StoreBuilder {
    StoreBuilder::new(Arc::new(KeyManager::new()))
}

fn name() -> StoreName {
    StoreName::new("root").unwrap()
}

fn secret() -> SecretBytes {
    SecretBytes::from(b"correct horse".as_slice())
}

async fn listed(ledger: &Ledger) -> Stored<StoreRecord> {
    ledger.list(None, None, 10).await.unwrap().pop().unwrap()
}

#[test]
fn a_secret_is_kept_sealed_and_found_after_a_restart() {
    block_on(async {
        let (catalog, sealer) = (Arc::new(MemoryCatalog::new()), SealingKey::from_bytes(&[7; 32]));
        let ledger = Ledger::create(Arc::clone(&catalog), &sealer, Identity::nobody()).await.unwrap();
        drop(builder().secret(secret()).create(&ledger, name()).await.unwrap());
        let row = catalog.find(Table::Stores, "root").await.unwrap().unwrap();
        let body = String::from_utf8(row.body).unwrap();
        assert!(
            body.contains("\"secret\":\"") && !body.contains("horse") && !body.contains("Y29ycmVjdCBob3JzZ")
        );

        let ledger = Ledger::open(catalog, &sealer).await.unwrap();
        let record = listed(&ledger).await.record;
        assert_eq!(record.unsealed_secret(&ledger).unwrap(), Some(secret()));
        // For that place alone.
        let moved = StoreRecord { id: crate::StoreId::generate(), ..record };
        assert_eq!(moved.unsealed_secret(&ledger).unwrap_err().kind(), CatalogErrorKind::Corrupt);
    });
}

#[test]
fn a_store_without_a_secret_is_kept_as_ever() {
    block_on(async {
        let ledger = Ledger::ephemeral(Identity::nobody());
        drop(builder().create(&ledger, name()).await.unwrap());
        let record = listed(&ledger).await.record;
        assert_eq!(record.unsealed_secret(&ledger).unwrap(), None);
        let body = serde_json::to_string(&record).unwrap();
        assert!(!body.contains("secret"), "{body}");
        assert_eq!(serde_json::from_str::<StoreRecord>(&body).unwrap(), record);
    });
}

#[test]
fn a_store_is_opened_from_a_list_without_reading_it_again() {
    block_on(async {
        let ledger = Ledger::ephemeral(Identity::nobody());
        let store = builder().create(&ledger, name()).await.unwrap().connect().await.unwrap();
        let (id, stored) = (store.id().clone(), listed(&ledger).await);
        // Somebody has it still.
        let error = builder().open_listed(&ledger, stored.clone()).unwrap_err();
        assert_eq!(error.kind(), CatalogErrorKind::InUse);
        drop(store);

        ledger.close().await.unwrap();
        let store: AnyKeyStore = builder().open_listed(&ledger, stored).unwrap();
        assert_eq!((store.id(), store.state()), (&id, ConnectionState::Connecting));
    });
}
