//! The credentials of one tenant: several at once, so that they can be exchanged.

use std::sync::Arc;

use super::SetupError;
use crate::backend::{AccessKeyId, XksProxyCredential};
use crate::secret::SecretBytes;
use crate::sigv4::SigningKeys;

/// A handful, so a list is faster than a map. The signing keys are shared with the list's next version: they are
/// not derived anew when another credential comes or goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials(Vec<(AccessKeyId, Arc<SigningKeys>)>);

impl Credentials {
    pub(super) fn find(&self, id: &str) -> Option<&SigningKeys> {
        self.0.iter().find(|(known, _)| known.as_str() == id).map(|(_, keys)| &**keys)
    }

    /// One id, one secret (XKS-P-132), for requests from so many Regions.
    pub(super) fn add(&mut self, credential: XksProxyCredential, regions: usize) -> Result<(), SetupError> {
        if self.find(credential.access_key_id.as_str()).is_some() {
            return Err(SetupError::CredentialExists);
        }
        let secret = SecretBytes::from(credential.secret_access_key.expose());
        self.0.push((credential.access_key_id, Arc::new(SigningKeys::new(secret).for_scopes(regions))));
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &AccessKeyId) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != id);
        self.0.len() < before
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &AccessKeyId> {
        self.0.iter().map(|(id, _)| id)
    }
}
