//! How a key manager is: a reading, never a state of the store.

use crate::value::wire_enum;

wire_enum! {
    /// How one instance of a key manager is.
    #[non_exhaustive]
    HealthStatus, field: "healthStatus" {
        /// Healthy.
        Active = "ACTIVE",
        /// Unhealthy, but serving.
        Degraded = "DEGRADED",
        /// Not serving.
        Unavailable = "UNAVAILABLE",
    }
}

/// How a key manager is at this moment.
///
/// A reading apart from the connection state: a store stays `CONNECTED` however sick its key manager is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Who made the key manager.
    pub vendor: String,
    /// The instances behind it: one at least, and no more than ten, which is what the XKS protocol can carry.
    /// They are not all `UNAVAILABLE` while calls succeed.
    pub instances: Vec<ManagerInstance>,
    /// The proxy in front of it, where there is one.
    pub proxy: Option<ProxyDescription>,
}

impl Health {
    /// A reading of one or more instances.
    #[must_use]
    pub fn new(vendor: impl Into<String>, instances: Vec<ManagerInstance>) -> Self {
        Self { vendor: vendor.into(), instances, proxy: None }
    }

    /// The same, seen through a proxy.
    #[must_use]
    pub fn with_proxy(mut self, proxy: ProxyDescription) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// The whole in one word: `UNAVAILABLE` when no instance serves, `ACTIVE` when all are healthy,
    /// otherwise `DEGRADED`.
    ///
    /// ```
    /// use custom_key_store::backend::{Health, HealthStatus, ManagerInstance};
    ///
    /// let health = Health::new("Example", vec![
    ///     ManagerInstance::new("a", "model", HealthStatus::Active),
    ///     ManagerInstance::new("b", "model", HealthStatus::Unavailable),
    /// ]);
    /// assert_eq!(health.status(), HealthStatus::Degraded);
    /// ```
    #[must_use]
    pub fn status(&self) -> HealthStatus {
        let all = |status| self.instances.iter().all(|instance| instance.status == status);
        if all(HealthStatus::Unavailable) {
            HealthStatus::Unavailable
        } else if all(HealthStatus::Active) {
            HealthStatus::Active
        } else {
            HealthStatus::Degraded
        }
    }
}

/// One instance of a key manager, such as one HSM of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagerInstance {
    /// Its name, unique in the cluster.
    pub id: String,
    /// Product, hardware version and what else helps to estimate its capacity.
    pub model: String,
    /// How it is.
    pub status: HealthStatus,
}

impl ManagerInstance {
    /// An instance.
    #[must_use]
    pub fn new(id: impl Into<String>, model: impl Into<String>, status: HealthStatus) -> Self {
        Self { id: id.into(), model: model.into(), status }
    }
}

/// The external key store proxy in front of a key manager.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyDescription {
    /// How many servers it has.
    pub fleet_size: u64,
    /// Who made it.
    pub vendor: String,
    /// Product and version.
    pub model: String,
}

impl ProxyDescription {
    /// A proxy.
    #[must_use]
    pub fn new(fleet_size: u64, vendor: impl Into<String>, model: impl Into<String>) -> Self {
        Self { fleet_size, vendor: vendor.into(), model: model.into() }
    }
}
