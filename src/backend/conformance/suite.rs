use std::sync::Arc;
use std::time::Duration;

use super::{
    Finding, Keys, Report, Verdict, cancellation, closing, concurrency, configuration, connecting, layout,
    management, round_trip, tampering, usage,
};
use crate::backend::{Backend, MemoryVault, Vault};
use crate::clock::{Clock, SystemClock};
use crate::conformance::{Check, Outcome, applies, verdict};
use crate::secret::SecretBytes;

/// In the order in which they run. The first check of the first theme decides whether the others can be made.
const THEMES: [&[Check<Suite>]; 10] = [
    connecting::CHECKS,
    configuration::CHECKS,
    round_trip::CHECKS,
    layout::CHECKS,
    tampering::CHECKS,
    usage::CHECKS,
    management::CHECKS,
    concurrency::CHECKS,
    cancellation::CHECKS,
    closing::CHECKS,
];

/// The suite, with a backend to run it on.
///
/// The methods tell it of legitimate differences between key managers. See the [module](super) for a program.
#[derive(Debug)]
#[must_use]
pub struct Suite {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) keys: Keys,
    pub(super) key_material: Option<SecretBytes>,
    pub(super) secrets: Vec<SecretBytes>,
    pub(super) generates_keys: bool,
    pub(super) generates_random: bool,
    pub(super) sixteen_byte_iv: bool,
    pub(super) largest_plaintext: usize,
    pub(super) largest_aad: usize,
    pub(super) cancellation_rounds: usize,
    pub(super) concurrent_calls: usize,
    pub(super) principal: String,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) deadline: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Suite {
    /// A suite for a backend whose key manager makes neither keys nor random bytes, and takes no more data
    /// than every connection must.
    pub fn new(backend: impl Backend, keys: Keys) -> Self {
        Self {
            backend: Arc::new(backend),
            keys,
            key_material: None,
            secrets: Vec::new(),
            generates_keys: false,
            generates_random: false,
            sixteen_byte_iv: false,
            largest_plaintext: Self::LEAST_PLAINTEXT,
            largest_aad: Self::LEAST_AAD,
            cancellation_rounds: 16,
            concurrent_calls: 64,
            principal: "arn:aws:iam::111122223333:role/conformance".into(),
            vault: Arc::new(MemoryVault::new()),
            deadline: Duration::from_secs(30),
            clock: Arc::new(SystemClock),
        }
    }

    const LEAST_PLAINTEXT: usize = 4300;
    const LEAST_AAD: usize = 8192;

    /// The key that the key manager knows as [usable](Keys::new): with it the suite runs AES-GCM itself and
    /// checks what the connection authenticates ([`authenticated_data`](crate::backend::authenticated_data)).
    ///
    /// Never the material of a key that protects anything.
    pub fn usable_key_material(mut self, key: [u8; 32]) -> Self {
        self.key_material = Some(SecretBytes::from(key.as_slice()));
        self
    }

    /// A secret of the backend, such as its password, that `Debug` must not show. May be called repeatedly.
    pub fn secret(mut self, secret: SecretBytes) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Whether the key manager makes and deletes keys; otherwise it must answer `Unsupported`. Off unless set.
    ///
    /// The suite deletes the keys that it makes, except those whose creation it cancels: they carry a KMS key
    /// ARN as label, of account 111122223333.
    pub const fn generates_keys(mut self, generates: bool) -> Self {
        self.generates_keys = generates;
        self
    }

    /// Whether the key manager gives random bytes; otherwise it must answer `Unsupported`. Off unless set.
    pub const fn generates_random(mut self, generates: bool) -> Self {
        self.generates_random = generates;
        self
    }

    /// Whether the connection decrypts under an initialization vector of 16 bytes that it did not make;
    /// otherwise it must find such a ciphertext invalid. Off unless set.
    pub const fn sixteen_byte_iv(mut self, decrypts: bool) -> Self {
        self.sixteen_byte_iv = decrypts;
        self
    }

    /// The longest plaintext that is encrypted. 4,300 bytes unless set, and never less: every connection takes
    /// those.
    pub fn largest_plaintext(mut self, bytes: usize) -> Self {
        self.largest_plaintext = bytes.max(Self::LEAST_PLAINTEXT);
        self
    }

    /// The most additional authenticated data that is taken. 8,192 bytes unless set, never less, since every
    /// connection takes those, and never more than the 65,535 that can be authenticated.
    pub fn largest_aad(mut self, bytes: usize) -> Self {
        self.largest_aad = bytes.clamp(Self::LEAST_AAD, u16::MAX.into());
        self
    }

    /// After how many polls, at most, a call is dropped: 16 unless set. Calls are dropped after no poll, after
    /// one, after two and so on, until one completes earlier.
    ///
    /// Set it to more than the number of times that your longest call waits.
    pub const fn cancellation_rounds(mut self, rounds: usize) -> Self {
        self.cancellation_rounds = rounds;
        self
    }

    /// How many calls are made at once: 64 unless set. Lower it for a key manager that throttles.
    pub const fn concurrent_calls(mut self, calls: usize) -> Self {
        self.concurrent_calls = calls;
        self
    }

    /// On whose behalf calls are made, for a key manager that authorizes by principal.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = principal.into();
        self
    }

    /// Where the backend keeps a password that it changes. A fresh vault in memory unless set.
    pub fn vault(mut self, vault: impl Vault) -> Self {
        self.vault = Arc::new(vault);
        self
    }

    /// How long one check may take, 30 seconds unless set. One that takes longer fails.
    ///
    /// A call that blocks its thread, instead of waiting, cannot be stopped by this.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What deadlines are measured by, the machine's clocks unless set. It must run by itself.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs every check, one after another, each on connections of its own.
    ///
    /// Never panics because of the backend: a panic in one of its methods is a failed check. The future needs
    /// no particular runtime; whatever the backend itself needs must be there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the calls and connections of the check under way. Keys that this check has
    /// generated stay behind.
    pub async fn run(self) -> Report {
        let mut findings: Vec<Finding> = Vec::new();
        for check in THEMES.into_iter().flatten() {
            let unconnected = findings.first().is_some_and(|first| first.verdict != Verdict::Passed);
            let verdict = if unconnected {
                Verdict::NotApplicable("no connection could be made".into())
            } else {
                verdict(&self, check, &*self.clock, self.deadline).await
            };
            findings.push(Finding::new(check.name, verdict));
        }
        Report::new(findings)
    }

    pub(super) fn needs_generated_keys(&self) -> Outcome {
        applies(self.generates_keys, "it was not said to make keys (Suite::generates_keys)")
    }

    pub(super) fn needs_no_generated_keys(&self) -> Outcome {
        applies(!self.generates_keys, "it makes keys (Suite::generates_keys)")
    }

    pub(super) fn needs_random(&self) -> Outcome {
        applies(self.generates_random, "it was not said to give random bytes (Suite::generates_random)")
    }

    pub(super) fn needs_no_random(&self) -> Outcome {
        applies(!self.generates_random, "it gives random bytes (Suite::generates_random)")
    }
}
