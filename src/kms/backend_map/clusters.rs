//! CloudHSM clusters that the application has described.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::{Backend, CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword};
use crate::cloudhsm::{CloudHsmBuilder, InvalidSetup};
use crate::kms::{Purpose, Refusal};

/// How many of a cluster's HSMs are to be active to create or to change a store, and to make a key.
const ACTIVE: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Clusters(HashMap<CloudHsmClusterId, CloudHsmBuilder>);

impl Clusters {
    pub(super) fn add(&mut self, description: CloudHsmBuilder) -> Result<(), InvalidSetup> {
        let id = description.described_cluster().cloned();
        let id = id.ok_or(InvalidSetup::Missing { setting: "cluster_id" })?;
        description.check_all_but_password()?;
        self.0.insert(id, description);
        Ok(())
    }

    /// `None` for a cluster that nobody has described.
    pub(super) fn backend(
        &self,
        cluster: &CloudHsmConfiguration,
        password: &KeyStorePassword,
    ) -> Option<Result<Arc<dyn Backend>, Refusal>> {
        self.0.get(&cluster.cluster_id).map(|description| described(description, cluster, password))
    }

    pub(super) async fn inspect(
        &self,
        cluster: &CloudHsmConfiguration,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        // To connect takes one, and that is the cluster's own to see; to make a key too.
        if !matches!(purpose, Purpose::Create | Purpose::Update) {
            return Ok(());
        }
        let asked = self.0.get(&cluster.cluster_id).and_then(CloudHsmBuilder::ask_active_hsms);
        let Some(asked) = asked else { return Ok(()) };
        match asked.await {
            Ok(active) if active < ACTIVE => Err(Refusal::ClusterInvalidConfiguration(format!(
                "{active} of its HSMs are active, and {ACTIVE} needed"
            ))),
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::Internal),
        }
    }
}

fn described(
    description: &CloudHsmBuilder,
    cluster: &CloudHsmConfiguration,
    password: &KeyStorePassword,
) -> Result<Arc<dyn Backend>, Refusal> {
    let given = cluster.trust_anchor_certificate.as_ref();
    if let Some(anchor) = description.described_trust_anchor()
        && given.is_none_or(|given| !anchor.is_same(given))
    {
        return Err(Refusal::IncorrectTrustAnchor);
    }
    let mut description = description.clone().password(password.clone());
    if let Some(given) = given {
        description = description.trust_anchor_certificate(given.clone());
    }
    let made = description.build().map_err(|error| Refusal::Unsupported(error.to_string()))?;
    Ok(Arc::new(made))
}
