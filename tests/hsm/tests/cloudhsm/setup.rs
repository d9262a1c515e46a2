//! What the tests have in common.

use std::path::Path;
use std::time::Duration;

use custom_key_store::backend::{
    Backend as _, CloudHsmClusterId, ConnectReason, ConnectRequest, Connection, ConnectionError,
    KeyStorePassword,
};
use custom_key_store::cloudhsm::{CloudHsmBuilder, CloudHsmCluster, TokenName};
use custom_key_store_hsm::{Hsm, Token};
use std::sync::Arc;

/// A cluster that is this token, through this library.
pub(crate) fn described(library: &Path, token: &Token) -> CloudHsmBuilder {
    CloudHsmCluster::builder()
        .library(library)
        .token(TokenName::Label(token.label().to_owned()))
        .cluster_id(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap())
        .password(KeyStorePassword::new(&token.pin()).unwrap())
}

/// The first token, through the shim.
pub(crate) fn cluster(hsm: &Hsm) -> CloudHsmBuilder {
    described(hsm.shim().library(), hsm.token())
}

pub(crate) fn request(reason: ConnectReason) -> ConnectRequest {
    ConnectRequest::new(reason, Duration::from_secs(10))
}

pub(crate) async fn connect(cluster: &CloudHsmCluster) -> Result<Arc<dyn Connection>, ConnectionError> {
    cluster.connect(&request(ConnectReason::Connect)).await
}
