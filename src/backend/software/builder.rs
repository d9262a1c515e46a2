//! How a key manager is set up.

use std::sync::Arc;

use super::manager::{KeyManager, Manager, Secrets};
use crate::backend::{
    AccessKeyId, KeyStorePassword, StoreConfiguration, UriEndpoint, UriPath, XksProxyConfiguration,
    XksProxyCredential,
};
use crate::clock::{Clock, SystemClock};
use crate::value::InvalidValue;

/// Sets up a [`KeyManager`]; what is not set is as in [`KeyManager::new`].
///
/// ```
/// use std::sync::Arc;
///
/// use custom_key_store::backend::software::KeyManager;
/// use custom_key_store::backend::{AccessKeyId, SecretAccessKey, XksProxyCredential};
/// use custom_key_store::clock::ManualClock;
///
/// let credential = XksProxyCredential::new(
///     AccessKeyId::new("AKIDOFATEST222222222")?,
///     SecretAccessKey::new("0123456789abcdef0123456789abcdef0123456789abcdef")?,
/// );
/// let manager =
///     KeyManager::builder().clock(Arc::new(ManualClock::new())).credential(credential).build();
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct KeyManagerBuilder {
    configuration: Option<StoreConfiguration>,
    clock: Option<Arc<dyn Clock>>,
    secrets: Secrets,
}

impl KeyManagerBuilder {
    /// The type of store that the key manager serves, and where it pretends to be.
    pub fn configuration(mut self, configuration: StoreConfiguration) -> Self {
        self.configuration = Some(configuration);
        self
    }

    /// The clock that [`Fault::Delay`](super::Fault::Delay) goes by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The credential that the key manager accepts as a proxy, and that it is first connected to with; its
    /// access key id becomes that of the configuration. Without one, any credential and none is accepted.
    ///
    /// Of no concern when the configuration is that of a CloudHSM cluster.
    pub fn credential(mut self, credential: XksProxyCredential) -> Self {
        self.secrets.credential = Some(credential);
        self
    }

    /// The password that the key manager accepts as a CloudHSM cluster, and that it is first connected to with.
    /// Without one, any password and none is accepted.
    ///
    /// Of no concern when the configuration is that of an external key store proxy.
    pub fn password(mut self, password: KeyStorePassword) -> Self {
        self.secrets.password = Some(password);
        self
    }

    /// The key manager.
    #[must_use]
    pub fn build(self) -> KeyManager {
        let Self { configuration, clock, secrets } = self;
        let mut configuration = configuration.unwrap_or_else(default_configuration);
        if let (StoreConfiguration::External(proxy), Some(credential)) =
            (&mut configuration, &secrets.credential)
        {
            proxy.access_key_id = credential.access_key_id.clone();
        }
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
        KeyManager::assemble(Manager::new(clock, secrets.clone()), configuration, secrets)
    }
}

#[expect(clippy::expect_used, reason = "constants, and a doc test builds them")]
fn default_configuration() -> StoreConfiguration {
    let proxy = || {
        Ok::<_, InvalidValue>(XksProxyConfiguration::public(
            UriEndpoint::new("https://software.example.com")?,
            UriPath::new("/kms/xks/v1")?,
            AccessKeyId::new("SOFTWAREKEYMANAGER22")?,
        ))
    };
    StoreConfiguration::External(proxy().expect("the constants are legal"))
}
