mod control;

use std::path::Path;
use std::time::{Duration, Instant};

use control::{Control, Field, Setting};
use cryptoki::slot::Slot;
use cryptoki_sys::CK_RV;

/// How long this waits for calls to begin or end. Longer than they take, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(20);

/// A PKCS#11 module in front of another, and how it treats each function, which is named as in C: `"C_Encrypt"`.
///
/// Everything here takes effect at once, on calls that have not passed that point yet. In one call the shim waits for
/// the delay, hangs, fails instead of calling, or calls, hangs after it, and answers.
#[derive(Debug)]
pub struct Shim {
    control: Control,
}

/// How a function fails.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Failure {
    rv: CK_RV,
    after: u64,
    times: u64,
    is_late: bool,
}

impl Failure {
    /// With this value, always, and without being called.
    pub const fn new(rv: CK_RV) -> Self {
        Self { rv, after: 0, times: u64::MAX, is_late: false }
    }

    /// Lets that many calls through first.
    pub const fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// That many times, and then no more.
    pub const fn times(mut self, calls: u64) -> Self {
        self.times = calls;
        self
    }

    /// When it has done what it was called for: what fails is the answer.
    pub const fn late(mut self) -> Self {
        self.is_late = true;
        self
    }
}

impl Shim {
    pub(crate) fn create(path: &Path) -> Self {
        Self { control: Control::create(path) }
    }

    pub(crate) fn open(path: &Path) -> Self {
        Self { control: Control::open(path) }
    }

    /// The module. A process that loads it needs the environment of [`Hsm::env`](crate::Hsm::env), which that of a
    /// test has.
    #[must_use]
    pub fn library(&self) -> &'static Path {
        Path::new(concat!(env!("OUT_DIR"), "/shim.so"))
    }

    /// How often it was called, by whomever, whatever came of it.
    #[must_use]
    pub fn calls(&self, function: &str) -> u64 {
        self.control.get(function, Field::Calls)
    }

    /// How many of the calls of `C_Encrypt` or `C_Decrypt` only asked for the size of the output.
    #[must_use]
    pub fn queries(&self, function: &str) -> u64 {
        self.control.get(function, Field::Queries)
    }

    /// How many calls are under way now.
    #[must_use]
    pub fn under_way(&self, function: &str) -> u64 {
        self.control.get(function, Field::UnderWay)
    }

    /// How many calls were under way at once, at most.
    #[must_use]
    pub fn most_under_way(&self, function: &str) -> u64 {
        self.control.get(function, Field::MostUnderWay)
    }

    /// How many calls the shim failed, early or late.
    #[must_use]
    pub fn failed(&self, function: &str) -> u64 {
        self.control.get(function, Field::Failed)
    }

    /// Counts from zero again, all functions. Calls that are under way stay counted as such.
    pub fn forget_calls(&self) {
        for function in control::functions() {
            for field in [Field::Calls, Field::Queries, Field::MostUnderWay, Field::Failed] {
                self.control.set(function, field, 0);
            }
        }
    }

    /// Makes every call take that much longer, before it is done; zero ends it.
    pub fn delay(&self, function: &str, delay: Duration) {
        self.control.set(function, Field::DelayMicroseconds, u64::try_from(delay.as_micros()).unwrap());
    }

    /// Holds up calls before they are done, until they are released.
    pub fn hang(&self, function: &str) {
        self.control.set(function, Field::Hang, 1);
    }

    /// Holds up calls when they are done, before they answer, until they are released.
    pub fn hang_late(&self, function: &str) {
        self.control.set(function, Field::Hang, 2);
    }

    /// How many calls hang now.
    #[must_use]
    pub fn hanging(&self, function: &str) -> u64 {
        self.control.get(function, Field::Hanging)
    }

    /// Waits until at least that many calls hang.
    pub fn await_hanging(&self, function: &str, calls: u64) {
        wait(|| self.hanging(function) >= calls, || format!("{} hang in {function}", self.hanging(function)));
    }

    /// Lets calls go on, those that hang and later ones, and waits until none hangs.
    pub fn release(&self, function: &str) {
        self.control.set(function, Field::Hang, 0);
        wait(|| self.hanging(function) == 0, || format!("{} hang in {function}", self.hanging(function)));
    }

    /// Lets all calls go on.
    pub fn release_all(&self) {
        control::functions().for_each(|function| self.control.set(function, Field::Hang, 0));
    }

    /// Fails calls, in place of how it failed before.
    pub fn fail(&self, function: &str, failure: Failure) {
        // The kind is what turns it on, so it is written last, and it is one byte.
        self.mend(function);
        self.control.set(function, Field::Rv, failure.rv);
        self.control.set(function, Field::After, failure.after);
        self.control.set(function, Field::Times, failure.times);
        self.control.set(function, Field::Failure, if failure.is_late { 2 } else { 1 });
    }

    /// Fails calls no more.
    pub fn mend(&self, function: &str) {
        self.control.set(function, Field::Failure, 0);
    }

    /// Delays, holds up and fails only calls that concern this slot, from now on. The function's first argument must be
    /// a slot or a session.
    pub fn only_in(&self, function: &str, slot: Slot) {
        self.control.set(function, Field::Slot, slot.id() + 1);
    }

    /// Closes all sessions of all slots at the next call, whatever it is, before it is done, as a device does that is
    /// started again. Who is logged in is logged out by it.
    pub fn lose_sessions(&self) {
        self.control.configure(Setting::LoseSessions, 1);
    }

    /// Leaves the function out of the list, for whoever loads the module from now on. AWS CloudHSM has no `C_SetPIN`.
    pub fn hide(&self, function: &str) {
        self.control.set(function, Field::Hidden, 1);
    }

    /// Neither delays, holds up nor fails calls of `C_Encrypt` or `C_Decrypt` that only ask for the size of the output.
    pub fn spare_queries(&self, function: &str) {
        self.control.set(function, Field::SpareQueries, 1);
    }

    /// Chooses the IVs of AES-GCM, as AWS CloudHSM does: `C_EncryptInit` writes twelve fresh bytes where the caller
    /// left twelve zeros, and answers `CKR_MECHANISM_PARAM_INVALID` if it left anything else.
    pub fn choose_iv(&self) {
        self.control.configure(Setting::ChooseIv, 1);
    }

    /// Is as [`choose_iv`](Self::choose_iv), but leaves the zeros, and encrypts with them.
    pub fn leave_iv(&self) {
        self.choose_iv();
        self.control.configure(Setting::ZeroIv, 1);
    }

    /// Answers `CKR_SESSION_COUNT` when that many sessions are open, over all slots. Zero is no limit.
    pub fn limit_sessions(&self, most: u64) {
        self.control.configure(Setting::MaxSessions, most);
    }

    /// How many sessions are open, over all slots.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.control.setting(Setting::Sessions)
    }

    /// How many sessions were open at once, at most.
    #[must_use]
    pub fn most_sessions(&self) -> u64 {
        self.control.setting(Setting::MostSessions)
    }

    /// After that many wrong PINs in a row answers `CKR_PIN_LOCKED` to every one. Zero is never.
    pub fn lock_after(&self, wrong: u64) {
        self.control.configure(Setting::LockAfter, wrong);
    }

    /// Forgets the wrong PINs.
    pub fn unlock(&self) {
        self.control.configure(Setting::WrongPins, 0);
    }

    /// Takes PINs of the form `user:password`, as AWS CloudHSM does, and gives the module behind it the password as its PIN.
    /// Without a colon the answer is `CKR_ARGUMENTS_BAD`; for another user `CKR_PIN_INCORRECT`, so that nobody learns
    /// who exists, and it counts as a wrong PIN. An empty name ends it.
    ///
    /// # Panics
    ///
    /// If the name is longer than 63 bytes or has a colon.
    pub fn require_user(&self, name: &str) {
        self.control.name_user(name);
    }

    /// Waits until no call is under way.
    ///
    /// # Panics
    ///
    /// If one still is after 20 seconds.
    pub fn settle(&self) {
        let busy =
            || control::functions().filter(|function| self.under_way(function) > 0).collect::<Vec<_>>();
        wait(|| busy().is_empty(), || format!("{:?} are under way", busy()));
    }
}

fn wait(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "after {PATIENCE:?}: {}", otherwise());
        std::thread::sleep(Duration::from_millis(1));
    }
}
