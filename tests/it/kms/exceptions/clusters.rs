//! CloudHSM clusters that the application has described, whose library is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use custom_key_store::backend::{Change, CloudHsmClusterId, ConnectionErrorCode, TrustAnchorCertificate};
use custom_key_store::cloudhsm::{CloudHsmBuilder, CloudHsmCluster, InvalidSetup, TokenName};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{BackendMap, Kms, KmsError};
use custom_key_store::{ConnectionState, StoreId};

use crate::kms::support::{cloud_hsm, drive, until};
use crate::support::ledger;

/// As [`cloud_hsm`] names a cluster, and with the certificate that it gives.
fn cluster(tail: &str) -> CloudHsmBuilder {
    let certificate = TrustAnchorCertificate::new(format!("-----{tail}-----")).unwrap();
    described(tail).trust_anchor_certificate(certificate)
}

fn described(tail: &str) -> CloudHsmBuilder {
    CloudHsmCluster::builder()
        .library("/of-the-operator/libcloudhsm.so")
        .token(TokenName::Label("root".to_owned()))
        .cluster_id(CloudHsmClusterId::new(format!("cluster-{tail}")).unwrap())
}

fn is<T: std::fmt::Debug>(result: Result<T, KmsError>, expected: Exception) {
    let error = result.unwrap_err();
    assert_eq!(error.exception(), expected, "{error:?}");
    assert!(!error.message().contains("of-the-operator"), "{error}");
    assert!(!format!("{error:?}").contains("correcthorse"), "{error:?}");
}

#[test]
fn a_cluster_is_the_one_that_the_application_describes_or_none() {
    const NOBODY_KNOWS: usize = usize::MAX;
    let active = Arc::new(AtomicUsize::new(2));
    let asked = Arc::clone(&active);
    let counted = cluster("abcdefghij2").active_hsms(move || {
        let active = asked.load(SeqCst);
        async move { if active == NOBODY_KNOWS { Err("the account is closed") } else { Ok(active) } }
    });
    // Restored from a backup of the first, and not.
    let (related, unrelated) = (described("abcdefghij3"), cluster("abcdefghij4"));
    let backends = [counted, related, unrelated]
        .into_iter()
        .try_fold(BackendMap::new(), |map, cluster| map.cluster(cluster))
        .unwrap();
    futures::executor::block_on(async {
        let (kms, driver) = Kms::open(ledger(), backends).await.unwrap();
        drive(driver, async {
            let create = |name, tail| kms.create_custom_key_store(cloud_hsm(name, tail));
            is(create("root", "abcdefghij5").await, CloudHsmClusterNotFound);
            let other_anchor = cloud_hsm("root", "abcdefghij2");
            for (number, exception) in [
                (0, CloudHsmClusterInvalidConfiguration),
                (1, CloudHsmClusterInvalidConfiguration),
                (NOBODY_KNOWS, KmsInternal),
            ] {
                active.store(number, SeqCst);
                is(create("root", "abcdefghij2").await, exception);
            }
            active.store(2, SeqCst);
            let id = kms.create_custom_key_store(other_anchor).await.unwrap();
            changed(&kms, &id).await;
            fails_for_its_library(&kms, &id).await;
        })
        .await;
    });
}

async fn changed(kms: &Kms, id: &StoreId) {
    let update = |tail: &str| {
        let cluster = CloudHsmClusterId::new(format!("cluster-{tail}")).unwrap();
        kms.update_custom_key_store(id, Change::new().cluster_id(cluster))
    };
    is(update("abcdefghij5").await, CloudHsmClusterNotFound);
    is(update("abcdefghij4").await, CloudHsmClusterNotRelated);
    update("abcdefghij3").await.unwrap();
    update("abcdefghij2").await.unwrap();
}

/// An operator's mistake, which is told to whoever reads the log, and is a code to everybody else.
async fn fails_for_its_library(kms: &Kms, id: &StoreId) {
    kms.connect_custom_key_store(id).await.unwrap();
    until(kms, id, ConnectionState::Failed).await;
    let described = kms.describe_custom_key_store(id).await.unwrap();
    assert_eq!(described.connection_error_code, Some(ConnectionErrorCode::InternalError));
}

#[test]
fn a_certificate_that_is_not_the_clusters_is_refused() {
    let anchor = TrustAnchorCertificate::new("-----another-----").unwrap();
    let backends =
        BackendMap::new().cluster(described("abcdefghij2").trust_anchor_certificate(anchor)).unwrap();
    futures::executor::block_on(async {
        let (kms, driver) = Kms::open(ledger(), backends).await.unwrap();
        let create = kms.create_custom_key_store(cloud_hsm("root", "abcdefghij2"));
        drive(driver, async { is(create.await, IncorrectTrustAnchor) }).await;
    });
}

#[test]
fn a_description_that_lacks_more_than_the_password_is_none() {
    let without_library = CloudHsmCluster::builder()
        .token(TokenName::Label("root".to_owned()))
        .cluster_id(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap());
    let refused = BackendMap::new().cluster(without_library).unwrap_err();
    assert!(matches!(refused, InvalidSetup::Missing { setting: "library" }), "{refused}");
    let without_id = CloudHsmCluster::builder().library("/x").token(TokenName::Label("root".to_owned()));
    let refused = BackendMap::new().cluster(without_id).unwrap_err();
    assert!(matches!(refused, InvalidSetup::Missing { setting: "cluster_id" }), "{refused}");
}
