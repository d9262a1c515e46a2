//! Who is polled: those who were woken; and when nobody is, time passes.

use std::task::Poll;
use std::time::Duration;

use super::task::Task;
use super::world::World;
use super::{CALL_TIMEOUT, CLOSE_TIMEOUT, CONNECT_TIMEOUT, DRAIN_LIMIT};

/// Longer than anything takes that comes to an end, with everything that it may have to wait for.
const PATIENCE: u64 = 300;
/// More often than anybody is polled who gets on.
const POLLS: usize = 20_000;

/// What it took until somebody was finished.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort {
    pub(super) polls: usize,
    pub(super) seconds: u64,
    /// The driver had to be polled although it was not to be.
    pub(super) helped: bool,
}

impl World {
    /// Polls the driver, if it was woken; whether it was.
    pub(super) fn poll_driver(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        let Some(driver) = process.driver.as_mut().filter(|driver| driver.is_woken()) else { return false };
        if driver.poll().is_ready() {
            process.driver = None;
        }
        true
    }

    /// Polls the driver as long as it is woken, or will be by another thread.
    pub(super) fn drive(&mut self) {
        for _ in 0..POLLS {
            if !self.poll_driver() && !self.wait_for_others() {
                return;
            }
        }
        panic!("the driver is woken again and again");
    }

    /// Waits until another thread may have woken somebody; whether there is one.
    pub(super) fn wait_for_others(&self) -> bool {
        let at_work = self.catalogue.is_at_work();
        if at_work {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        at_work
    }

    /// Polls a task to its end: it and the driver as they are woken, and nobody else; then time passes.
    ///
    /// `look` is told after each poll whether that was the task's, and whether it is pending.
    pub(super) fn finish<T>(
        &mut self,
        task: &mut Task<T>,
        driven: bool,
        mut look: impl FnMut(&mut Self, bool),
    ) -> (T, Effort) {
        let mut effort = Effort::default();
        for _ in 0..POLLS {
            let mut got_on = false;
            if task.is_woken() {
                got_on = true;
                effort.polls += 1;
                let polled = task.poll();
                look(self, true);
                if let Poll::Ready(outcome) = polled {
                    return (outcome, effort);
                }
            }
            if driven && self.poll_driver() {
                got_on = true;
                look(self, false);
            }
            if !got_on && self.poll_driver() {
                got_on = true;
                effort.helped = true;
                look(self, false);
            }
            if got_on || self.wait_for_others() {
                continue;
            }
            assert!(effort.seconds < PATIENCE, "it never ends, although everybody is polled who was woken");
            self.advance(1);
            effort.seconds += 1;
        }
        panic!("it is polled again and again");
    }

    /// Looks at something, while the catalogue behaves and nobody else is polled.
    pub(super) fn look<T>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.catalogue.compose(true);
        let mut task = Task::new(future);
        let seen = loop {
            if task.is_woken() {
                if let Poll::Ready(seen) = task.poll() {
                    break seen;
                }
            } else {
                assert!(self.wait_for_others() || task.is_woken(), "a look that waits for somebody");
            }
        };
        self.catalogue.compose(false);
        seen
    }

    /// Everything comes to its end: the driver is polled and time passes, until nothing has happened for longer than
    /// anything takes.
    pub(super) fn rest(&mut self, mut look: impl FnMut(&mut Self)) {
        const QUIET: u64 = 2 * (CONNECT_TIMEOUT + CALL_TIMEOUT + DRAIN_LIMIT + CLOSE_TIMEOUT);
        self.catalogue.heal();
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            if self.is_durable() {
                // A waking by another thread may be under way.
                std::thread::park_timeout(Duration::from_millis(1));
            }
            let woken = self
                .process
                .as_ref()
                .is_some_and(|process| process.driver.as_ref().is_some_and(Task::is_woken));
            self.drive();
            look(self);
            quiet = if woken { 0 } else { quiet + 1 };
            if quiet > QUIET {
                return;
            }
            self.advance(1);
        }
        panic!("it never rests");
    }
}
