use crate::backend::BackingKeyId;
use crate::conformance::{Outcome, not_applicable};

/// The keys, in the key manager under test, that the suite works with.
///
/// One usable key is enough to begin with. A check that needs a key which is not here is reported as not
/// applicable. The suite changes no key that it is given.
///
/// ```
/// use custom_key_store::backend::{BackingKeyId, conformance::Keys};
///
/// let keys = Keys::new(BackingKeyId::new("usable")?)
///     .encrypt_only(BackingKeyId::new("encrypt-only")?)
///     .disabled(BackingKeyId::new("disabled")?);
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Keys {
    pub(super) usable: BackingKeyId,
    another: Option<BackingKeyId>,
    encrypt_only: Option<BackingKeyId>,
    decrypt_only: Option<BackingKeyId>,
    neither: Option<BackingKeyId>,
    disabled: Option<BackingKeyId>,
    absent: Option<BackingKeyId>,
}

impl Keys {
    /// An enabled 256-bit AES key that may encrypt and decrypt.
    pub fn new(usable: BackingKeyId) -> Self {
        Self {
            usable,
            another: None,
            encrypt_only: None,
            decrypt_only: None,
            neither: None,
            disabled: None,
            // Legal by the rule of the type, so it is always there.
            absent: BackingKeyId::new("conformance-suite-no-such-key").ok(),
        }
    }

    /// A second usable key. Decrypting under it shows whether the key matters at all.
    pub fn another(mut self, key: BackingKeyId) -> Self {
        self.another = Some(key);
        self
    }

    /// An enabled key that may encrypt and not decrypt.
    pub fn encrypt_only(mut self, key: BackingKeyId) -> Self {
        self.encrypt_only = Some(key);
        self
    }

    /// An enabled key that may decrypt and not encrypt.
    pub fn decrypt_only(mut self, key: BackingKeyId) -> Self {
        self.decrypt_only = Some(key);
        self
    }

    /// An enabled key that may do neither.
    pub fn neither(mut self, key: BackingKeyId) -> Self {
        self.neither = Some(key);
        self
    }

    /// A disabled key that may encrypt and decrypt once it is enabled.
    pub fn disabled(mut self, key: BackingKeyId) -> Self {
        self.disabled = Some(key);
        self
    }

    /// An id that no key has; unless given, `conformance-suite-no-such-key`.
    pub fn absent(mut self, key: BackingKeyId) -> Self {
        self.absent = Some(key);
        self
    }

    pub(super) fn another_key(&self) -> Outcome<&BackingKeyId> {
        given(self.another.as_ref(), "another")
    }

    pub(super) fn encrypt_only_key(&self) -> Outcome<&BackingKeyId> {
        given(self.encrypt_only.as_ref(), "encrypt_only")
    }

    pub(super) fn decrypt_only_key(&self) -> Outcome<&BackingKeyId> {
        given(self.decrypt_only.as_ref(), "decrypt_only")
    }

    pub(super) fn neither_key(&self) -> Outcome<&BackingKeyId> {
        given(self.neither.as_ref(), "neither")
    }

    pub(super) fn disabled_key(&self) -> Outcome<&BackingKeyId> {
        given(self.disabled.as_ref(), "disabled")
    }

    pub(super) fn absent_key(&self) -> Outcome<&BackingKeyId> {
        given(self.absent.as_ref(), "absent")
    }
}

fn given<'a>(key: Option<&'a BackingKeyId>, method: &str) -> Outcome<&'a BackingKeyId> {
    key.map_or_else(|| not_applicable(format!("no such key was given (Keys::{method})")), Ok)
}
