//! How a cluster is described.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::cluster::{ActiveAnswer, ActiveHsms, CloudHsmCluster, Seen, Settings};
use super::gcm::IvOrigin;
use super::keys::KeyNames;
use super::login::{LoginForm, User};
use super::pin::Pin;
use super::pool::PoolLimits;
use super::token::TokenName;
use crate::backend::{CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword, TrustAnchorCertificate};
use crate::clock::{Clock, SystemClock};

/// The crypto user that AWS KMS logs in as.
const USER: &str = "kmsuser";
/// Long for an HSM in the same network; short for a caller who waits.
const DEADLINE: Duration = Duration::from_secs(2);
const SESSIONS: usize = 16;
const QUEUE: usize = 1024;
const HANGING: usize = 16;

/// Describes a [`CloudHsmCluster`]; made by [`CloudHsmCluster::builder`].
///
/// Four settings are required: [`library`](Self::library), [`token`](Self::token), [`cluster_id`](Self::cluster_id) and
/// [`password`](Self::password) or [`pin`](Self::pin).
#[derive(Clone, Default)]
#[must_use]
pub struct CloudHsmBuilder {
    library: Option<PathBuf>,
    tokens: Vec<TokenName>,
    cluster_id: Option<CloudHsmClusterId>,
    trust_anchor: Option<TrustAnchorCertificate>,
    user: Option<String>,
    form: LoginForm,
    password: Option<Pin>,
    names: KeyNames,
    iv: IvOrigin,
    sessions: Option<usize>,
    queue: Option<usize>,
    hanging: Option<usize>,
    deadline: Option<Duration>,
    rotates: bool,
    active_hsms: Option<Arc<ActiveHsms>>,
    clock: Option<Arc<dyn Clock>>,
}

impl CloudHsmBuilder {
    /// The vendor's PKCS#11 library. Required. It is loaded into this process, once, whoever uses it: it must be
    /// trusted as the process itself is. That is done by connecting, which fails as `INTERNAL_ERROR` where there is none.
    ///
    /// What it reads from the environment, such as `SOFTHSM2_CONF`, is to be set before the program starts.
    pub fn library(mut self, path: impl Into<PathBuf>) -> Self {
        self.library = Some(path.into());
        self
    }

    /// The token that the keys are in. Required.
    ///
    /// Called again, another one that holds the *same* keys under the same ids, for when this one fails; health is that of
    /// each. No keys can be made or deleted then: what cannot be extracted can be copied by the vendor's tools alone.
    /// AWS's library shows a whole cluster as one token, and fails over by itself.
    pub fn token(mut self, name: TokenName) -> Self {
        self.tokens.push(name);
        self
    }

    /// Which cluster it is, as the store's description says it. Required. Nobody checks it: who has no cluster of AWS's
    /// invents one, such as `cluster-mainhsmroom`.
    pub fn cluster_id(mut self, id: CloudHsmClusterId) -> Self {
        self.cluster_id = Some(id);
        self
    }

    /// What the cluster's certificate is signed by, as the store's description says it. The library itself is given it by
    /// its own configuration.
    pub fn trust_anchor_certificate(mut self, certificate: TrustAnchorCertificate) -> Self {
        self.trust_anchor = Some(certificate);
        self
    }

    /// The crypto user that logs in. Default: `kmsuser`, as in AWS. PKCS#11 itself knows one user of a token, so that the
    /// name goes to the library in the [form](Self::login_form) alone that has one.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// The user's password, of the form that AWS has for it: what an update takes too. This or [`pin`](Self::pin) is
    /// required; of several calls the last one holds.
    ///
    /// An update of the store's password replaces this one, for as long as the store is in this process: put the new one
    /// in here before the next start. What the store's catalogue has of passwords goes by the one that the store was
    /// given last. A store that is opened with that one in here uses the catalogue's: the one that the store
    /// [made](Self::rotate_password), and that a refused one is not to be tried again, unless an update has told the store
    /// that one since: that is kept with the store, and counts once, in this process or a later one. Another
    /// one in here counts as being told one: it is tried, and replaces the catalogue's when a login works with it. Should
    /// it be refused, open the store with the earlier one again.
    pub fn password(self, password: KeyStorePassword) -> Self {
        self.pin(password.into())
    }

    /// The user's password, of whatever form the token takes: [`password`](Self::password) for all other HSMs.
    ///
    /// An update takes a [`KeyStorePassword`] alone. Another PIN of another form is told to the store by
    /// [opening](crate::StoreBuilder::open) it with that in here.
    pub fn pin(mut self, pin: Pin) -> Self {
        self.password = Some(pin);
        self
    }

    /// How the library takes user and password. Default: the password alone. AWS's wants both.
    pub const fn login_form(mut self, form: LoginForm) -> Self {
        self.form = form;
        self
    }

    /// What the ids of backing keys say. Default: a key's `CKA_ID`.
    pub const fn key_names(mut self, names: KeyNames) -> Self {
        self.names = names;
        self
    }

    /// Who chooses initialization vectors. Default: this crate. AWS's library insists on choosing them.
    pub const fn initialization_vectors(mut self, origin: IvOrigin) -> Self {
        self.iv = origin;
        self
    }

    /// What AWS's Client SDK 5 wants: [`UserAndPassword`](LoginForm::UserAndPassword) and IVs of
    /// [the token's](IvOrigin::Token).
    pub const fn aws_cloudhsm(self) -> Self {
        self.login_form(LoginForm::UserAndPassword).initialization_vectors(IvOrigin::Token)
    }

    /// How many sessions there are with each token, and so how many calls it works on at a time; each has a thread.
    /// They are opened as they are needed; where the token has fewer to give, those will do. Default: 16.
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// How many calls may wait for a session; more are refused as
    /// [`Throttled`](crate::backend::BackendErrorKind::Throttled). Default: 1,024.
    pub const fn max_waiting(mut self, calls: usize) -> Self {
        self.queue = Some(calls);
        self
    }

    /// How many threads may hang in the library and be replaced by others, for each token; and as many in loading it.
    /// Default: 16.
    pub const fn max_hanging(mut self, threads: usize) -> Self {
        self.hanging = Some(threads);
        self
    }

    /// How long a call to a token may take, waiting for a session included; then it is
    /// [`TimedOut`](crate::backend::BackendErrorKind::TimedOut). Default: 2 seconds. Where there are several tokens, each
    /// has that time.
    pub const fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Whether connecting changes the password to one that only the store knows, as AWS KMS does. Default: no.
    ///
    /// The new password lies in the store's catalogue, sealed; the one that was given works no more. It stays in this
    /// builder nevertheless, since what is in the catalogue goes by it.
    /// [`password_rotation`](CloudHsmCluster::password_rotation) says what became of it. A store that is not in a
    /// catalogue, or in one that does not outlive the process, leaves the password as it is
    /// ([`NotKept`](super::PasswordRotation::NotKept)).
    ///
    /// <div class="warning">
    ///
    /// Nobody else knows the new password. Deleting the store loses it, and so does restoring a backup of the catalogue
    /// from before the change. An officer of the HSM gets the user back in: by resetting the password, and telling the
    /// store that one by an update, be it the same as before. One that is no
    /// [`KeyStorePassword`] must be another than before; [open](crate::StoreBuilder::open) the store with it.
    ///
    /// </div>
    pub const fn rotate_password(mut self, rotates: bool) -> Self {
        self.rotates = rotates;
        self
    }

    /// Asks the application how many HSMs of the cluster are active, which PKCS#11 does not tell. One is needed to
    /// connect; two to create or change a store and to make a key, as in AWS. Default: whoever can connect has enough.
    pub fn active_hsms<F, E>(mut self, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<usize, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.active_hsms = Some(Arc::new(move || {
            let answer = ask();
            Box::pin(async { answer.await.map_err(Into::into) })
        }));
        self
    }

    /// Where time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The cluster that is described.
    pub(crate) const fn described_cluster(&self) -> Option<&CloudHsmClusterId> {
        self.cluster_id.as_ref()
    }

    /// The certificate that is described.
    pub(crate) const fn described_trust_anchor(&self) -> Option<&TrustAnchorCertificate> {
        self.trust_anchor.as_ref()
    }

    /// Refuses a description to which more is to be added than a password.
    pub(crate) fn check_all_but_password(&self) -> Result<(), InvalidSetup> {
        match self.clone().build() {
            Err(InvalidSetup::Missing { setting: "password" }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many HSMs are active, if anybody knows.
    pub(crate) fn ask_active_hsms(&self) -> Option<BoxFuture<'static, ActiveAnswer>> {
        self.active_hsms.as_ref().map(|ask| ask())
    }

    /// The cluster. Contacts nobody.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup`] when a required setting is missing, when there is no session, no waiting call or no time, when
    /// a token's label or serial number is empty or longer than PKCS#11 has them, or when the user's name is empty or has
    /// a colon or a NUL in it.
    pub fn build(self) -> Result<CloudHsmCluster, InvalidSetup> {
        let missing = |setting| InvalidSetup::Missing { setting };
        let library = self.library.ok_or_else(|| missing("library"))?;
        if self.tokens.is_empty() {
            return Err(missing("token"));
        }
        let id = self.cluster_id.ok_or_else(|| missing("cluster_id"))?;
        let password = self.password.ok_or_else(|| missing("password"))?;
        self.tokens.iter().try_for_each(check)?;
        let name = self.user.unwrap_or_else(|| USER.to_owned());
        if name.is_empty() || name.contains([':', '\0']) {
            return Err(invalid("user", "a name without colons"));
        }
        let limits = PoolLimits {
            sessions: at_least_one("max_sessions", self.sessions.unwrap_or(SESSIONS))?,
            queue: at_least_one("max_waiting", self.queue.unwrap_or(QUEUE))?,
            hanging: self.hanging.unwrap_or(HANGING),
            deadline: self.deadline.unwrap_or(DEADLINE),
        };
        if limits.deadline.is_zero() {
            return Err(invalid("deadline", "more than no time"));
        }
        let mut configuration = CloudHsmConfiguration::new(id);
        configuration.trust_anchor_certificate = self.trust_anchor;
        Ok(CloudHsmCluster {
            settings: Arc::new(Settings {
                library,
                tokens: self.tokens,
                user: User { name, form: self.form },
                names: self.names,
                iv: self.iv,
                limits,
                rotates: self.rotates,
                active_hsms: self.active_hsms,
                clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            }),
            configuration,
            password,
            seen: Arc::<Seen>::default(),
        })
    }
}

/// As long as the fields of `CK_TOKEN_INFO` are.
fn check(token: &TokenName) -> Result<(), InvalidSetup> {
    let legal = match token {
        TokenName::Label(label) => (1..=32).contains(&label.len()) && !label.ends_with(' '),
        TokenName::Serial(serial) => (1..=16).contains(&serial.len()) && !serial.ends_with(' '),
        TokenName::Slot(_) => true,
    };
    // PKCS#11 fills them up with spaces.
    let expected = "a label of 1 to 32 bytes, or a serial number of 1 to 16, without spaces at its end";
    if legal { Ok(()) } else { Err(invalid("token", expected)) }
}

fn at_least_one(setting: &'static str, number: usize) -> Result<usize, InvalidSetup> {
    if number == 0 { Err(invalid(setting, "at least 1")) } else { Ok(number) }
}

const fn invalid(setting: &'static str, expected: &'static str) -> InvalidSetup {
    InvalidSetup::Invalid { setting, expected }
}

/// A [`CloudHsmCluster`] cannot be built from these settings. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSetup {
    /// A required setting was not given.
    #[error("the setting {setting} is missing")]
    Missing {
        /// The builder's method of this name.
        setting: &'static str,
    },
    /// A setting is not what it can be.
    #[error("the setting {setting} is invalid (expected {expected})")]
    Invalid {
        /// The builder's method of this name.
        setting: &'static str,
        /// What it can be.
        expected: &'static str,
    },
}

impl fmt::Debug for CloudHsmBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudHsmBuilder")
            .field("library", &self.library)
            .field("tokens", &self.tokens)
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}
