//! When it is worth waking another worker.
//!
//! An HSM in a network takes milliseconds for a call, time in which other sessions can be used. A token in the same
//! process answers in about the time that it takes to wake a thread, and has locks in which threads get in each other's
//! way: there one worker that stays awake does more than many.

use std::time::Duration;

/// How much longer a job may wait for a worker that is awake than for one that is woken.
const PATIENCE: Duration = Duration::from_micros(250);

/// How long calls have taken lately.
#[derive(Debug)]
pub(super) struct Pace {
    typical: Duration,
}

impl Pace {
    /// Slow until it has shown otherwise.
    pub(super) const fn new() -> Self {
        Self { typical: Duration::from_millis(1) }
    }

    /// A moving average, over about eight calls.
    pub(super) fn took(&mut self, duration: Duration) {
        self.typical = self.typical.saturating_mul(7).saturating_add(duration) / 8;
    }

    /// After how long a worker is not counted on to be done soon.
    pub(super) fn long(&self) -> Duration {
        self.typical.saturating_mul(4).saturating_add(PATIENCE)
    }

    /// Whether so many workers, who are awake, would keep a job waiting for long that stands behind so many others.
    pub(super) fn is_worth_waking(&self, awake: usize, before: usize) -> bool {
        if awake == 0 {
            return true;
        }
        let wait = self.typical.saturating_mul(u32::try_from(before + 1).unwrap_or(u32::MAX));
        wait > PATIENCE.saturating_mul(u32::try_from(awake).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_take_milliseconds_are_each_worth_a_worker() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.took(Duration::from_millis(2));
        }
        assert!((0..16).all(|awake| pace.is_worth_waking(awake, awake)));
    }

    #[test]
    fn calls_that_take_microseconds_are_made_by_who_is_awake() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.took(Duration::from_micros(20));
        }
        assert!(pace.is_worth_waking(0, 0));
        assert!(!pace.is_worth_waking(1, 7));
        assert!(pace.is_worth_waking(1, 31));
    }

    #[test]
    fn where_nobody_is_awake_somebody_is_woken_whatever_the_pace() {
        let mut pace = Pace::new();
        for _ in 0..1000 {
            pace.took(Duration::ZERO);
        }
        assert!(pace.is_worth_waking(0, 0));
        assert!(!pace.is_worth_waking(1, 0));
    }

    #[test]
    fn an_absurd_pace_is_no_panic() {
        let mut pace = Pace::new();
        pace.took(Duration::MAX);
        pace.took(Duration::MAX);
        assert!(pace.is_worth_waking(1, usize::MAX - 1));
        assert!(pace.long() > Duration::ZERO);
    }
}
