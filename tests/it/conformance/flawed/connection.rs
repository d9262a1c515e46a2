//! Its connection: the flaws of calls.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use custom_key_store::SecretBytes;
use custom_key_store::backend::{
    BackendError, BackendErrorKind as Kind, BackingKeyId, Ciphertext, CiphertextMetadata, Closed, Connection,
    DecryptRequest, Decrypted, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest, GenerateKeyRequest,
    GenerateRandomRequest, GeneratedKey, Health, HealthRequest, KeyDescription, KeyUsages, ManagerInstance,
};

use super::{Flaw, Part, Shared, unsafely, yield_now};

type Result<T, E = BackendError> = std::result::Result<T, E>;

pub(super) struct FlawedConnection {
    flaw: Flaw,
    inner: Arc<dyn Connection>,
    shared: Arc<Shared>,
    state: Arc<State>,
}

impl fmt::Debug for FlawedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FlawedConnection");
        if self.flaw == Flaw::ShowsPlaintext {
            debug.field("latest", &self.shared.plaintext.lock().unwrap());
        }
        debug.finish()
    }
}

impl FlawedConnection {
    pub(super) fn new(
        flaw: Flaw,
        inner: Arc<dyn Connection>,
        shared: Arc<Shared>,
        state: Arc<State>,
    ) -> Self {
        Self { flaw, inner, shared, state }
    }

    /// What every method begins with.
    async fn begin(&self, method: &'static str) -> Result<()> {
        if self.state.broken.load(SeqCst) > 0 && self.state.closed.load(SeqCst) == 0 {
            return Err(Kind::Unreachable.into());
        }
        if self.flaw == Flaw::NotCancelSafe(method) {
            unsafely(&self.state.broken).await;
        }
        Ok(())
    }

    fn is(&self, flaw: Flaw, key: &BackingKeyId, name: &str) -> bool {
        self.flaw == flaw && key.as_str() == name
    }
}

#[async_trait]
impl Connection for FlawedConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription> {
        self.begin("describe_key").await?;
        if self.flaw == Flaw::DescribesFewAtOnce {
            let _place = Place::take(&self.state.busy);
            yield_now().await;
            if self.state.busy.load(SeqCst) > 8 {
                return Err(Kind::Throttled.into());
            }
        }
        let mut description = self.inner.describe_key(request).await?;
        if self.is(Flaw::DescribesNoUsage, request.key, "usable") {
            description.usages = KeyUsages::NONE;
        }
        if self.is(Flaw::DisabledIsNotDescribed, request.key, "disabled") {
            return Err(Kind::InvalidKeyState.into());
        }
        Ok(description)
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey> {
        self.begin("generate_key").await?;
        if let (Flaw::SameKeyTwice, Some(key)) = (self.flaw, self.state.key.lock().unwrap().take()) {
            return Ok(GeneratedKey::new(key));
        }
        let generated = self.inner.generate_key(request).await?;
        *self.state.key.lock().unwrap() = Some(generated.key.clone());
        Ok(generated)
    }

    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<()> {
        self.begin("delete_key").await?;
        *self.state.key.lock().unwrap() = None;
        if self.flaw == Flaw::KeepsDeletedKeys && self.state.closed.load(SeqCst) == 0 {
            return Ok(());
        }
        self.inner.delete_key(request).await
    }

    async fn generate_random(&self, request: &GenerateRandomRequest<'_>) -> Result<SecretBytes> {
        self.begin("generate_random").await?;
        let mut random = self.inner.generate_random(request).await?;
        match self.flaw {
            Flaw::ShortRandom => random.truncate(1000),
            Flaw::SameRandom => {
                random = SecretBytes::from((0..=u8::MAX).cycle().take(request.length).collect::<Vec<_>>())
            }
            _ => {}
        }
        Ok(random)
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext> {
        self.begin("encrypt").await?;
        let mut request = *request;
        let aad = request.additional_authenticated_data;
        let (joined, prefixed) = ([aad, b"\x01"].concat(), [b"x", aad].concat());
        let (usable, absent) = (key("usable"), key("absent"));
        match self.flaw {
            Flaw::RefusesLongPlaintext if request.plaintext.len() > 4096 => {
                return Err(Kind::Unsupported.into());
            }
            Flaw::NoKeyForNothing if request.plaintext.is_empty() => request.key = &absent,
            Flaw::SameVector if request.key == &usable && self.state.closed.load(SeqCst) == 0 => {
                if let Some((input, ciphertext)) = &*self.state.same.lock().unwrap()
                    && *input == [request.plaintext, aad].concat()
                {
                    return Ok(ciphertext.clone());
                }
            }
            Flaw::IgnoresAad => request.additional_authenticated_data = b"",
            Flaw::JoinsWithoutLengths => request.additional_authenticated_data = &joined,
            Flaw::OwnLayout => request.additional_authenticated_data = &prefixed,
            Flaw::VerifiesWithoutDecrypting if request.key.as_str() == "encrypt-only" => {
                request.verified = false;
            }
            Flaw::DecryptOnlyEncrypts if request.key.as_str() == "decrypt-only" => request.key = &usable,
            Flaw::DisabledWorks if request.key.as_str() == "disabled" => request.key = &usable,
            Flaw::LeaksPlaces => {
                if self.state.busy.fetch_add(1, SeqCst) >= 100 {
                    self.state.busy.fetch_sub(1, SeqCst);
                    return Err(Kind::Throttled.into());
                }
                yield_now().await;
                self.state.busy.fetch_sub(1, SeqCst);
            }
            _ => {}
        }
        let mut ciphertext = self.inner.encrypt(&request).await.map_err(|error| self.changed(error))?;

        self.shared.genuine.lock().unwrap().push(ciphertext.clone());
        self.state.made.lock().unwrap().push(ciphertext.clone());
        *self.shared.plaintext.lock().unwrap() = request.plaintext.to_vec();
        *self.state.same.lock().unwrap() = Some(([request.plaintext, aad].concat(), ciphertext.clone()));
        match self.flaw {
            Flaw::DamagesUnverified if !request.verified => ciphertext.authentication_tag[0] ^= 1,
            Flaw::LongerCiphertext => ciphertext.bytes.push(0),
            Flaw::MixesEncryptions => {
                *self.state.encrypted.lock().unwrap() = Some(ciphertext);
                yield_now().await;
                ciphertext = self.state.encrypted.lock().unwrap().clone().unwrap();
            }
            _ => {}
        }
        Ok(ciphertext)
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted> {
        self.begin("decrypt").await?;
        let mut request = *request;
        let mut ciphertext = request.ciphertext.clone();
        let aad = request.additional_authenticated_data;
        let (joined, prefixed) = ([aad, ciphertext.metadata.as_bytes()].concat(), [b"x", aad].concat());
        let usable = key("usable");
        let marked = CiphertextMetadata::new(b"\x01").unwrap();
        match self.flaw {
            Flaw::LongerCiphertext => drop(ciphertext.bytes.pop()),
            Flaw::OwnCiphertextOnly if !self.state.made.lock().unwrap().contains(&ciphertext) => {
                return Err(Kind::InvalidCiphertext.into());
            }
            Flaw::Forgives(part) => self.forgive(part, &mut ciphertext),
            Flaw::IgnoresAad => request.additional_authenticated_data = b"",
            Flaw::IgnoresMetadata => ciphertext.metadata = marked,
            Flaw::JoinsWithoutLengths => {
                request.additional_authenticated_data = &joined;
                ciphertext.metadata = marked;
            }
            Flaw::OwnLayout => request.additional_authenticated_data = &prefixed,
            Flaw::IgnoresKey if request.key.as_str() == "another" => request.key = &usable,
            Flaw::UnusableDecrypts if request.key.as_str() == "neither" => request.key = &usable,
            Flaw::DisabledWorks if request.key.as_str() == "disabled" => request.key = &usable,
            _ => {}
        }
        request.ciphertext = &ciphertext;
        let decrypted = self.inner.decrypt(&request).await.map_err(|error| self.changed(error));
        if self.flaw == Flaw::TellsOfBadTag && ciphertext.authentication_tag == [0; 16] {
            return Err(BackendError::new(Kind::InvalidRequest).with_detail("the tag is wrong"));
        }
        let mut decrypted = decrypted?;
        if self.flaw == Flaw::MixesDecryptions {
            *self.state.decrypted.lock().unwrap() = Some(decrypted);
            yield_now().await;
            decrypted = self.state.decrypted.lock().unwrap().clone().unwrap();
        }
        Ok(decrypted)
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health> {
        self.begin("health").await?;
        let mut health = self.inner.health(request).await?;
        if self.flaw == Flaw::SameInstanceTwice {
            let ManagerInstance { id, model, status, .. } = health.instances[0].clone();
            health.instances.push(ManagerInstance::new(id, model, status));
        }
        Ok(health)
    }

    async fn close(&self) -> Result<Closed> {
        if self.flaw == Flaw::NotCancelSafe("close") {
            unsafely(&self.shared.failing).await;
        }
        let before = self.state.closed.fetch_add(1, SeqCst);
        match self.flaw {
            Flaw::WorksAfterClose => Ok(Closed::new()),
            Flaw::ClosesOnce if before > 0 => Err(Kind::Closed.into()),
            Flaw::CountsPhantoms => self.inner.close().await.map(|closed| closed.with_still_running(1)),
            Flaw::ConnectsNoMoreAfterClose => {
                self.shared.failing.store(1, SeqCst);
                self.inner.close().await
            }
            Flaw::ReleasesOnlyOnClose => {
                self.shared.unclosed.fetch_sub(1, SeqCst);
                self.inner.close().await
            }
            _ => self.inner.close().await,
        }
    }
}

impl FlawedConnection {
    fn changed(&self, error: BackendError) -> BackendError {
        match (self.flaw, error.kind()) {
            (Flaw::AbsentIsInvalid, Kind::KeyNotFound) | (Flaw::InvalidBeyondLimits, Kind::Unsupported) => {
                Kind::InvalidRequest.into()
            }
            _ => error,
        }
    }

    /// Repairs a ciphertext that differs in one part from one that was made.
    fn forgive(&self, part: Part, ciphertext: &mut Ciphertext) {
        for genuine in &*self.shared.genuine.lock().unwrap() {
            let mut repaired = ciphertext.clone();
            match part {
                Part::Bytes => repaired.bytes.clone_from(&genuine.bytes),
                Part::Tag => repaired.authentication_tag = genuine.authentication_tag,
                Part::Vector => repaired.initialization_vector = genuine.initialization_vector,
            }
            if repaired == *genuine {
                *ciphertext = repaired;
                return;
            }
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    broken: AtomicUsize,
    busy: AtomicUsize,
    closed: AtomicUsize,
    made: Mutex<Vec<Ciphertext>>,
    same: Mutex<Option<(Vec<u8>, Ciphertext)>>,
    decrypted: Mutex<Option<Decrypted>>,
    encrypted: Mutex<Option<Ciphertext>>,
    key: Mutex<Option<BackingKeyId>>,
}

impl State {
    pub(super) fn disturb(&self) {
        self.broken.store(1, SeqCst);
    }
}

fn key(name: &str) -> BackingKeyId {
    BackingKeyId::new(name).unwrap()
}

struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(busy: &'a AtomicUsize) -> Self {
        busy.fetch_add(1, SeqCst);
        Self(busy)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
