//! A store that nobody makes a backend for.

use std::sync::Arc;

use async_trait::async_trait;

use super::backends::Refusal;
use super::surroundings::failed;
use crate::backend::{
    Backend, Change, ConnectReason, ConnectRequest, Connection, ConnectionError, ConnectionErrorCode,
    InvalidChange, StoreConfiguration,
};

/// Stands in for the backend of a store that was created when the application made one for its configuration.
#[derive(Debug)]
pub(super) struct Unmapped {
    configuration: StoreConfiguration,
    /// What the application says; `None` where nothing is kept that one could be made with.
    refusal: Option<Refusal>,
}

impl Unmapped {
    pub(super) const fn new(configuration: StoreConfiguration, refusal: Option<Refusal>) -> Self {
        Self { configuration, refusal }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Unmapped {
    fn configuration(&self) -> StoreConfiguration {
        self.configuration.clone()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let configuration = change.apply_to(&self.configuration)?;
        Ok(Arc::new(Self { configuration, refusal: self.refusal.clone() }))
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        let internal = ConnectionError::new(ConnectionErrorCode::InternalError);
        let Some(refusal) = &self.refusal else {
            return Err(internal.with_detail("nothing is kept that a backend could be made with"));
        };
        let detail = format!("the application makes no backend for this configuration: {refusal}");
        let error = failed(self.configuration.store_type(), refusal).with_detail(detail.clone());
        // Whoever connects a store is told what AWS would tell him. A restart waits, whatever it is: for the next one, of an
        // application in whose configuration the line is not forgotten. What ends `FAILED` nobody but a person leads out.
        if request.reason == ConnectReason::Resume && !error.code().is_transient() {
            return Err(internal.with_detail(detail).with_source(error));
        }
        Err(error)
    }
}
