//! Wherever a change of the password is cut off, the store can log in afterwards.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use cryptoki::context::Pkcs11;
use custom_key_store::backend::{
    Backend as _, ConnectReason, Connection, ConnectionError, ConnectionErrorCode,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::CloudHsmCluster;
use custom_key_store_hsm::cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_LEN_RANGE};
use custom_key_store_hsm::{Failure, Hsm, Shim, alone};
use futures::executor::block_on;
use futures::future::poll_fn;

use crate::setup::{await_no_sessions, cluster, past_the_deadline, request};
use crate::vault::{Disk, Fault};

const GIVEN: &str = "userpin1";

/// What becomes of `C_SetPIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetPin {
    Works,
    Declines,
    FailsBefore,
    FailsAfter,
    HangsBefore,
    HangsAfter,
}

impl SetPin {
    fn begin(self, hsm: &Hsm) {
        let fail = |failure| hsm.shim().fail("C_SetPIN", failure);
        match self {
            Self::Works => {}
            Self::Declines => fail(Failure::new(CKR_PIN_LEN_RANGE)),
            Self::FailsBefore => fail(Failure::new(CKR_DEVICE_ERROR)),
            Self::FailsAfter => fail(Failure::new(CKR_DEVICE_ERROR).late()),
            Self::HangsBefore => hsm.shim().hang("C_SetPIN"),
            Self::HangsAfter => hsm.shim().hang_late("C_SetPIN"),
        }
    }

    fn end(hsm: &Hsm) {
        hsm.shim().mend("C_SetPIN");
        hsm.shim().release("C_SetPIN");
    }
}

/// What is written down before, and whether it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Changed,
    /// Nobody knows whether it was changed: it was.
    PerhapsChanged,
    /// It was not.
    PerhapsNot,
}

impl Before {
    const ALL: [Self; 4] = [Self::Nothing, Self::Changed, Self::PerhapsChanged, Self::PerhapsNot];
}

struct Bench<'a> {
    hsm: &'a Hsm,
    /// Held, so that the library stays initialized.
    context: Pkcs11,
    clock: Arc<ManualClock>,
}

impl<'a> Bench<'a> {
    fn new(hsm: &'a Hsm) -> Self {
        hsm.shim().lock_after(3);
        let context = hsm.initialized(hsm.shim().library());
        Self { hsm, context, clock: Arc::new(ManualClock::new()) }
    }

    /// As a process has it that knows nothing of the one before.
    fn cluster(&self) -> CloudHsmCluster {
        let clock = Arc::clone(&self.clock);
        cluster(self.hsm).rotate_password(true).clock(clock).build().unwrap()
    }

    fn start(&self, before: Before) -> Disk {
        self.hsm.token().set_pin_here(&self.context, GIVEN);
        let disk = Disk::default();
        let set_pin = match before {
            Before::Nothing => return disk,
            Before::Changed => SetPin::Works,
            Before::PerhapsChanged => SetPin::FailsAfter,
            Before::PerhapsNot => SetPin::FailsBefore,
        };
        set_pin.begin(self.hsm);
        self.connects(&disk, ConnectReason::Connect);
        SetPin::end(self.hsm);
        await_no_sessions(self.hsm);
        disk
    }

    /// Connects, and says goodbye. Gives how often somebody logged in.
    fn connects(&self, disk: &Disk, reason: ConnectReason) -> u64 {
        let before = self.hsm.shim().calls("C_Login");
        let connection = block_on(self.attempt(disk, reason, usize::MAX)).unwrap().unwrap();
        let logins = self.hsm.shim().calls("C_Login") - before;
        block_on(connection.close()).unwrap();
        logins
    }

    /// Connects, until it is polled so often, or the disk hangs.
    async fn attempt(
        &self,
        disk: &Disk,
        reason: ConnectReason,
        polls: usize,
    ) -> Option<Result<Arc<dyn Connection>, ConnectionError>> {
        let (cluster, request) = (self.cluster(), request(reason).with_vault(disk.clone()));
        let mut connecting = pin!(cluster.connect(&request));
        let mut left = polls;
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            match connecting.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if disk.is_hung() || left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// One attempt that is disturbed, and what comes after it. Says whether it came to its end.
    fn disturbed(&self, before: Before, set_pin: SetPin, disk: &Disk, polls: usize, case: usize) -> bool {
        let what = format!("{before:?}, {set_pin:?}, {polls} polls, case {case}");
        let shim = self.hsm.shim();
        set_pin.begin(self.hsm);
        let attempt = self.attempt(disk, ConnectReason::Connect, polls);
        let outcome = past_the_deadline(self.hsm, &self.clock, "C_SetPIN", attempt);
        let ended = outcome.is_some();
        if let Some(Ok(connection)) = outcome {
            block_on(connection.close()).unwrap();
        }
        disk.mend();
        if shim.hanging("C_SetPIN") > 0 && case.is_multiple_of(2) {
            // The login is held still, and shared: nothing is tried, and nothing learnt.
            assert_eq!(self.connects(disk, ConnectReason::Connect), 0, "{what}");
        }
        SetPin::end(self.hsm);
        self.recovers(disk, case, &what);
        ended
    }

    /// Whoever comes next logs in, with each password that may be in force tried once.
    fn recovers(&self, disk: &Disk, case: usize, what: &str) {
        // At once, or when the threads of the attempt have ended.
        if case.is_multiple_of(3) {
            await_no_sessions(self.hsm);
        }
        let reason = if case.is_multiple_of(5) { ConnectReason::Connect } else { ConnectReason::Resume };
        let logins = self.connects(disk, reason);
        assert!(logins <= 2, "{what}: {logins} logins");
        await_no_sessions(self.hsm);
        let logins = self.connects(disk, ConnectReason::Resume);
        assert!(logins <= 2, "{what}: {logins} logins, the second time");
        await_no_sessions(self.hsm);
        assert_eq!(self.connects(disk, ConnectReason::Connect), 1, "{what}");
        await_no_sessions(self.hsm);
        assert_eq!(self.connects(disk, ConnectReason::Resume), 1, "{what}");
        await_no_sessions(self.hsm);
    }
}

/// At each reading and writing, in each way.
fn cut_off_by_the_disk(hsm: &Hsm, set_pin: SetPin) {
    let bench = Bench::new(hsm);
    let mut case = 0;
    for before in Before::ALL {
        for fault in Fault::ALL {
            for nth in 1.. {
                let disk = bench.start(before);
                disk.fail(nth, fault);
                case += 1;
                bench.disturbed(before, set_pin, &disk, usize::MAX, case);
                if !disk.was_reached() {
                    break;
                }
            }
        }
    }
}

/// After each poll of the future.
fn dropped(hsm: &Hsm, set_pin: SetPin) {
    let bench = Bench::new(hsm);
    let mut case = 0;
    for before in Before::ALL {
        for polls in 0.. {
            let disk = bench.start(before);
            case += 1;
            if bench.disturbed(before, set_pin, &disk, polls, case) {
                break;
            }
        }
    }
}

/// Of the first login, or of the second, which there is where two passwords may be in force.
#[test]
fn a_login_that_is_cut_off_locks_nobody_out() {
    alone(|hsm| {
        let (bench, shim) = (Bench::new(hsm), hsm.shim());
        let mut case = 0;
        for before in Before::ALL {
            for nth in 0..2 {
                for late in [false, true] {
                    let disk = bench.start(before);
                    case += 1;
                    let failure = Failure::new(CKR_DEVICE_ERROR).after(nth).times(1);
                    shim.fail("C_Login", if late { failure.late() } else { failure });
                    if let Ok(connection) =
                        block_on(bench.attempt(&disk, ConnectReason::Resume, usize::MAX)).unwrap()
                    {
                        block_on(connection.close()).unwrap();
                    }
                    shim.mend("C_Login");
                    bench.recovers(&disk, case, &format!("{before:?}, login {nth}, late: {late}"));
                }
            }
            for hang in [Shim::hang, Shim::hang_late] {
                let disk = bench.start(before);
                case += 1;
                hang(shim, "C_Login");
                let attempt = bench.attempt(&disk, ConnectReason::Resume, usize::MAX);
                let refused = past_the_deadline(hsm, &bench.clock, "C_Login", attempt).unwrap().unwrap_err();
                assert_eq!(refused.code(), ConnectionErrorCode::NetworkErrors);
                shim.release("C_Login");
                bench.recovers(&disk, case, &format!("{before:?}, a login that hangs"));
            }
        }
    });
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_works() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::Works));
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_is_declined() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::Declines));
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_fails_before_it_is_done() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::FailsBefore));
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_fails_when_it_is_done() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::FailsAfter));
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_hangs_before_it_is_done() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::HangsBefore));
}

#[test]
fn a_disk_that_fails_locks_nobody_out_where_the_change_hangs_when_it_is_done() {
    alone(|hsm| cut_off_by_the_disk(hsm, SetPin::HangsAfter));
}

#[test]
fn who_stops_waiting_is_not_locked_out_where_the_change_works() {
    alone(|hsm| dropped(hsm, SetPin::Works));
}

#[test]
fn who_stops_waiting_is_not_locked_out_where_the_change_fails_when_it_is_done() {
    alone(|hsm| dropped(hsm, SetPin::FailsAfter));
}

#[test]
fn who_stops_waiting_is_not_locked_out_where_the_change_hangs_before_it_is_done() {
    alone(|hsm| dropped(hsm, SetPin::HangsBefore));
}

#[test]
fn who_stops_waiting_is_not_locked_out_where_the_change_hangs_when_it_is_done() {
    alone(|hsm| dropped(hsm, SetPin::HangsAfter));
}
