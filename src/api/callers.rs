//! Who may call: access key ids, their secrets, and whose they are.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::SetupError;
use crate::secret::SecretBytes;
use crate::sigv4::SigningKeys;
use crate::value::{secret_newtype, text_newtype};

text_newtype! {
    /// Names a caller's secret, as `AWS_ACCESS_KEY_ID` does. Not secret itself.
    CallerKeyId,
    field: "AccessKeyId",
    expected: "1 to 128 characters of A-Z a-z 0-9 . _ -",
    length: 1..=128,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
}

impl CallerKeyId {
    pub(super) fn is_legal(text: &str) -> bool {
        Self::RULE.check(text).is_ok()
    }
}

text_newtype! {
    /// Who a caller is: an ARN such as `arn:aws:iam::111122223333:role/payroll`, or another name of the application's own. It
    /// reaches the key managers, the audit trail and the [rules](crate::kms::Rules).
    Principal,
    field: "Principal",
    expected: "1 to 2,048 printable characters of ASCII",
    length: 1..=2048,
    legal: |c| c.is_ascii_graphic() || c == ' ',
}

secret_newtype! {
    /// A caller's secret, as in `AWS_SECRET_ACCESS_KEY`. `Debug` hides it, memory is wiped.
    CallerSecret,
    field: "SecretAccessKey",
    expected: "1 to 128 printable characters of ASCII, none of them a space",
    length: 1..=128,
    legal: |c| c.is_ascii_graphic(),
}

secret_newtype! {
    /// What a caller has to send beside its signature, as in `AWS_SESSION_TOKEN`. `Debug` hides it, memory is wiped.
    SessionToken,
    field: "SessionToken",
    expected: "1 to 4,096 printable characters of ASCII, none of them a space",
    length: 1..=4096,
    legal: |c| c.is_ascii_graphic(),
}

/// What a caller signs its requests with, and who it is. Cheap to clone; clones share the signing keys that are derived from
/// the secret once a day, so that whoever looks callers up should keep what was found.
#[derive(Clone)]
pub struct CallerCredential {
    keys: Arc<SigningKeys>,
    principal: Arc<str>,
    token: Option<Arc<SessionToken>>,
}

impl CallerCredential {
    /// One of a caller that is this principal.
    #[must_use]
    pub fn new(secret: &CallerSecret, principal: &Principal) -> Self {
        Self {
            keys: Arc::new(SigningKeys::new(SecretBytes::from(secret.expose()))),
            principal: principal.as_str().into(),
            token: None,
        }
    }

    /// The same, of which every request has to carry this `X-Amz-Security-Token`. Without one, none may.
    #[must_use]
    pub fn with_session_token(mut self, token: SessionToken) -> Self {
        self.token = Some(Arc::new(token));
        self
    }

    pub(super) fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    pub(super) const fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// Whether a request with these values of `X-Amz-Security-Token` has the token that it needs, in constant time.
    pub(super) fn has_token<'h>(&self, mut sent: impl Iterator<Item = &'h [u8]>) -> bool {
        match (&self.token, sent.next(), sent.next()) {
            (None, None, _) => true,
            (Some(token), Some(sent), None) => verify_slices_are_equal(token.expose(), sent).is_ok(),
            _ => false,
        }
    }
}

impl fmt::Debug for CallerCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerCredential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Finds whoever an access key id belongs to: a directory, a database, a service of one's own. [`Callers`] is one.
#[async_trait]
pub trait CallerResolver: fmt::Debug + Send + Sync + 'static {
    /// The caller with this access key id, `None` if there is none. It is called for every request, before anything of the
    /// request is known to be genuine: the id may be anything of the form of a [`CallerKeyId`]. Has to answer within the
    /// [deadline](super::KmsApiBuilder::resolver_timeout).
    ///
    /// # Errors
    ///
    /// Whatever keeps it from knowing. The request is answered with `KMSInternalException`, and the error is logged; it must
    /// hold no secret.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any await.
    async fn resolve(
        &self,
        access_key_id: &str,
    ) -> Result<Option<CallerCredential>, Box<dyn Error + Send + Sync>>;
}

/// Callers that are configured. Clones are the same callers; they may come and go while requests are answered.
///
/// ```
/// use custom_key_store::api::{CallerCredential, CallerKeyId, CallerSecret, Callers, Principal};
///
/// let payroll = CallerCredential::new(
///     &CallerSecret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")?,
///     &Principal::new("arn:aws:iam::111122223333:role/payroll")?,
/// );
/// let callers = Callers::new();
/// callers.add(CallerKeyId::new("AKIAIOSFODNN7EXAMPLE")?, payroll)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Callers(Arc<ArcSwap<HashMap<Arc<str>, CallerCredential>>>);

impl Callers {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets somebody call from now on. A principal may have several access key ids, of which an old one is removed when a new
    /// one is in use.
    ///
    /// # Errors
    ///
    /// [`SetupError::CallerExists`] when the access key id is taken: it leads to exactly one secret.
    pub fn add(&self, id: CallerKeyId, credential: CallerCredential) -> Result<(), SetupError> {
        // The closure may run again, so it decides by what it is given.
        let before = self.0.rcu(|callers| {
            let mut callers = HashMap::clone(callers);
            callers.entry(id.as_str().into()).or_insert_with(|| credential.clone());
            callers
        });
        if before.contains_key(id.as_str()) { Err(SetupError::CallerExists(id)) } else { Ok(()) }
    }

    /// Lets nobody call with this access key id from now on; requests that are being carried out finish. `false` when there
    /// is none.
    pub fn remove(&self, id: &CallerKeyId) -> bool {
        let before = self.0.rcu(|callers| {
            let mut callers = HashMap::clone(callers);
            callers.remove(id.as_str());
            callers
        });
        before.contains_key(id.as_str())
    }
}

#[async_trait]
impl CallerResolver for Callers {
    async fn resolve(
        &self,
        access_key_id: &str,
    ) -> Result<Option<CallerCredential>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.load().get(access_key_id).cloned())
    }
}

/// Without their secrets.
impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.load().iter()).finish()
    }
}
