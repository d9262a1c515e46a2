//! A connection to the key manager.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::fault::Method;
use super::keys::{Key, SoftwareKey};
use super::manager::{Answer, Manager};
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, Ciphertext, Closed, Connection, CustomKeyStoreType,
    DecryptRequest, Decrypted, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest, GenerateKeyRequest,
    GenerateRandomRequest, GeneratedKey, Health, HealthRequest, KeyDescription, KeySpec,
};
use crate::primitive::{random, random_secret};
use crate::secret::SecretBytes;

/// The most random bytes in one call; a store asks for 1,024 at most.
const MAX_RANDOM_LEN: usize = 65_536;

pub(super) struct SoftwareConnection {
    manager: Arc<Manager>,
    store_type: CustomKeyStoreType,
    closed: AtomicBool,
}

impl SoftwareConnection {
    pub(super) fn open(manager: Arc<Manager>, store_type: CustomKeyStoreType) -> Self {
        manager.open_connections.fetch_add(1, Ordering::Relaxed);
        Self { manager, store_type, closed: AtomicBool::new(false) }
    }

    /// What every call but `close` begins with.
    async fn admit(&self, method: Method) -> Result<Answer, BackendError> {
        self.manager.calls.count(method);
        self.refuse_closed()?;
        let Some(fault) = self.manager.faults.next(method) else {
            return Ok(Answer::Honest);
        };
        let answer = self.manager.meet(fault, method).await?;
        // A delay may have lasted beyond the connection.
        self.refuse_closed()?;
        Ok(answer)
    }

    fn refuse_closed(&self) -> Result<(), BackendError> {
        if self.closed.load(Ordering::Relaxed) { Err(BackendErrorKind::Closed.into()) } else { Ok(()) }
    }

    /// The XKS protocol has no calls for what only a cluster does.
    fn refuse_external(&self) -> Result<(), BackendError> {
        match self.store_type {
            CustomKeyStoreType::AwsCloudhsm => Ok(()),
            CustomKeyStoreType::ExternalKeyStore => Err(BackendErrorKind::Unsupported.into()),
        }
    }

    /// Closes; `false` when it was closed before.
    fn shut(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::Relaxed);
        if first {
            self.manager.open_connections.fetch_sub(1, Ordering::Relaxed);
        }
        first
    }
}

impl Drop for SoftwareConnection {
    fn drop(&mut self) {
        self.shut();
    }
}

impl fmt::Debug for SoftwareConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareConnection")
            .field("store_type", &self.store_type)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Connection for SoftwareConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        let answer = self.admit(Method::DescribeKey).await?;
        let mut description = self.manager.keys.find(request.key)?.describe();
        if answer == Answer::Damaged {
            description.spec = KeySpec::Other("AES_257".to_owned());
        }
        Ok(description)
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        let answer = self.admit(Method::GenerateKey).await?;
        self.refuse_external()?;
        let mut name = format!("{:032x}", u128::from_be_bytes(random()));
        let id = backing_key_id(&name)?;
        self.manager.keys.insert(id.clone(), Key::new(&SoftwareKey::generate(), Some(request.label)));
        match answer {
            Answer::Honest => Ok(GeneratedKey::new(id)),
            Answer::Damaged => {
                name.pop();
                backing_key_id(&name).map(GeneratedKey::new)
            }
        }
    }

    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<(), BackendError> {
        let answer = self.admit(Method::DeleteKey).await?;
        self.refuse_external()?;
        match answer {
            Answer::Honest if self.manager.keys.remove(request.key) => Ok(()),
            Answer::Honest => Err(BackendErrorKind::KeyNotFound.into()),
            Answer::Damaged => self.manager.keys.find(request.key).map(drop),
        }
    }

    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        let answer = self.admit(Method::GenerateRandom).await?;
        self.refuse_external()?;
        if request.length > MAX_RANDOM_LEN {
            return Err(BackendError::new(BackendErrorKind::Unsupported)
                .with_detail("at most 65,536 random bytes are given at once"));
        }
        let mut random = random_secret(request.length);
        if answer == Answer::Damaged {
            random.truncate(request.length.saturating_sub(1));
        }
        Ok(random)
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let answer = self.admit(Method::Encrypt).await?;
        let key = self.manager.keys.find(request.key)?;
        key.encrypt(request, |ciphertext| match answer {
            Answer::Honest => (),
            Answer::Damaged => damage(ciphertext),
        })
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let answer = self.admit(Method::Decrypt).await?;
        let mut decrypted = self.manager.keys.find(request.key)?.decrypt(request)?;
        if answer == Answer::Damaged {
            match decrypted.plaintext.expose_mut().first_mut() {
                Some(byte) => *byte ^= 1,
                None => decrypted.plaintext = SecretBytes::new(vec![0]),
            }
        }
        Ok(decrypted)
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        let HealthRequest { metadata: _ } = request;
        let answer = self.admit(Method::Health).await?;
        let mut health = self.manager.health(self.store_type);
        if answer == Answer::Damaged {
            health.instances.clear();
        }
        Ok(health)
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.manager.calls.count(Method::Close);
        // Closed before the fault: a goodbye that fails, hangs or panics is one all the same.
        if !self.shut() {
            return Ok(Closed::new());
        }
        let answer = match self.manager.faults.next(Method::Close) {
            Some(fault) => self.manager.meet(fault, Method::Close).await?,
            None => Answer::Honest,
        };
        // Whatever ran was a future of ours, and a future that is not polled does not run.
        Ok(match answer {
            Answer::Honest => Closed::new(),
            Answer::Damaged => Closed::new().with_still_running(1),
        })
    }
}

fn backing_key_id(name: &str) -> Result<BackingKeyId, BackendError> {
    BackingKeyId::new(name)
        .map_err(|source| BackendError::new(BackendErrorKind::Internal).with_source(source))
}

fn damage(ciphertext: &mut Ciphertext) {
    let place = ciphertext.bytes.first_mut().or_else(|| ciphertext.authentication_tag.first_mut());
    if let Some(byte) = place {
        *byte ^= 1;
    }
}
