//! What lies around a key manager, as the application sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::backends::{Backends, Purpose, Refusal};
use crate::backend::{
    Backend, Change, ConnectReason, ConnectRequest, Connection, ConnectionError, ConnectionErrorCode as Code,
    CustomKeyStoreType, InvalidChange, StoreConfiguration,
};
use crate::clock::{Clock, within};

/// Whom to ask, and for how long.
pub(super) struct Surroundings {
    pub(super) backends: Arc<dyn Backends>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limit: Duration,
}

impl Surroundings {
    pub(super) async fn inspect(
        &self,
        configuration: &StoreConfiguration,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        let inspected = self.backends.inspect(configuration, purpose);
        within(&*self.clock, self.limit, inspected).await.unwrap_or(Err(Refusal::TimedOut))
    }

    /// The same backend, whose surroundings are looked at whenever its store connects: of what is found then AWS documents
    /// codes, and no exceptions.
    pub(super) fn around(self: &Arc<Self>, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        Arc::new(Surrounded { backend, surroundings: Arc::clone(self) })
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("backends", &self.backends).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Surrounded {
    backend: Arc<dyn Backend>,
    surroundings: Arc<Surroundings>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Surrounded {
    fn configuration(&self) -> StoreConfiguration {
        self.backend.configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        self.backend.reconfigured(change).map(|backend| self.surroundings.around(backend))
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        // Before a store is created or changed `Kms` has looked itself.
        if matches!(request.reason, ConnectReason::Connect | ConnectReason::Resume) {
            let configuration = self.backend.configuration();
            let inspected = self.surroundings.inspect(&configuration, Purpose::Connect).await;
            inspected.map_err(|refusal| failed(configuration.store_type(), &refusal))?;
        }
        self.backend.connect(request).await
    }
}

/// The code that a store shows which did not connect for this. (Facts: 3.1 to 3.3)
pub(super) fn failed(store_type: CustomKeyStoreType, refusal: &Refusal) -> ConnectionError {
    let code = match (refusal, store_type) {
        (Refusal::ClusterNotFound, _) => Code::ClusterNotFound,
        (Refusal::VpcEndpointServiceNotFound, _) => Code::XksVpcEndpointServiceNotFound,
        (Refusal::VpcEndpointServiceInvalidConfiguration(_), _) => {
            Code::XksVpcEndpointServiceInvalidConfiguration
        }
        (Refusal::Unreachable(_), CustomKeyStoreType::ExternalKeyStore) => Code::XksProxyNotReachable,
        (Refusal::Unreachable(_), CustomKeyStoreType::AwsCloudhsm) | (Refusal::TimedOut, _) => {
            Code::NetworkErrors
        }
        // What has no code: AWS KMS refuses a connect for it at once, and so does `Kms`. Found after a restart, it may pass.
        _ => Code::InternalError,
    };
    ConnectionError::new(code).with_detail(refusal.to_string()).with_source(refusal.clone())
}
