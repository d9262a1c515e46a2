//! A store that nobody makes a backend for.

use std::sync::Arc;

use async_trait::async_trait;

use super::backends::Refusal;
use crate::backend::{
    Backend, Change, ConnectRequest, Connection, ConnectionError, ConnectionErrorCode, InvalidChange,
    StoreConfiguration,
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

    async fn connect(&self, _: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        // Which may pass: with the next start of an application that is set up rightly.
        let error = ConnectionError::new(ConnectionErrorCode::InternalError);
        Err(match &self.refusal {
            Some(refusal) => error
                .with_detail("the application makes no backend for this configuration")
                .with_source(refusal.clone()),
            None => error.with_detail("nothing is kept that a backend could be made with"),
        })
    }
}
