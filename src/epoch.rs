//! Times as numbers since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch. A time before it is a clock that was never set: it reads as the epoch.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time that so many milliseconds are.
pub(crate) fn from_millis(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Times as AWS's JSON has them: seconds since the epoch, with milliseconds behind the point.
pub(crate) mod seconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        // A time before the epoch is a clock that was never set: it reads as the epoch.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        serializer.serialize_f64(Duration::from_millis(millis(since)).as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| UNIX_EPOCH.checked_add(Duration::from_millis(millis(since))))
            .ok_or_else(|| D::Error::custom("expected seconds since 1970-01-01, as a number"))
    }

    /// Rounded, since a binary fraction is seldom exact.
    fn millis(since: Duration) -> u64 {
        let rounded = since.saturating_add(Duration::from_micros(500)).as_millis();
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }
}
