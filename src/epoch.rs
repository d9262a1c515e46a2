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

/// Times as text: RFC 3339 in UTC, with milliseconds.
pub(crate) mod rfc3339 {
    use std::fmt::Write as _;
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    const DAY: i64 = 86_400_000;
    /// 9999-12-31T23:59:59.999Z: the form has four digits for a year.
    const LAST: i64 = 253_402_300_799_999;

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(super::millis(*time)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let millis = parse(&text);
        let millis =
            millis.ok_or_else(|| D::Error::custom("expected a time such as 2026-01-31T12:00:00.000Z"))?;
        Ok(super::from_millis(millis))
    }

    /// A time after the year 9999 reads as its end.
    fn text(millis: i64) -> String {
        let millis = millis.clamp(0, LAST);
        let (year, month, day) = civil(millis / DAY);
        let second = millis % DAY / 1000;
        let (hour, minute, second, millis) = (second / 3600, second / 60 % 60, second % 60, millis % 1000);
        let mut text = String::with_capacity(24);
        let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        text
    }

    /// Takes exactly the form above, and only times that the calendar has.
    fn parse(text: &str) -> Option<i64> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = text.get(range)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second, milli) =
            (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
        let days = days(year, month, day);
        let millis = days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + milli;
        // What the calendar does not have would be written otherwise.
        (self::text(millis) == text).then_some(millis)
    }

    /// The date of a day since 1970-01-01. Years are counted from March, so that a leap day is the last of one; 400 of
    /// them have 146,097 days, in whatever order.
    const fn civil(days: i64) -> (i64, i64, i64) {
        let since = days + 719_468; // since 0000-03-01
        let (era, day_of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on take turns of 31 and 30 days, 153 days for five.
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        (era * 400 + year_of_era + carry, month, day)
    }

    /// The day of a date, since 1970-01-01.
    const fn days(year: i64, month: i64, day: i64) -> i64 {
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * month + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    #[cfg(test)]
    mod tests {
        use super::{DAY, LAST, parse, text};

        #[test]
        fn the_calendar_is_that_of_other_calendars() {
            for (millis, expected) in [
                (0, "1970-01-01T00:00:00.000Z"),
                (951_782_399_999, "2000-02-28T23:59:59.999Z"),
                (951_782_400_000, "2000-02-29T00:00:00.000Z"),
                (951_868_800_000, "2000-03-01T00:00:00.000Z"),
                (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
                (4_107_542_399_001, "2100-02-28T23:59:59.001Z"),
                (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
                (LAST, "9999-12-31T23:59:59.999Z"),
                (i64::MAX, "9999-12-31T23:59:59.999Z"),
            ] {
                assert_eq!(text(millis), expected);
            }
        }

        #[test]
        fn every_day_reads_back() {
            for day in 0..=LAST / DAY {
                let millis = day * DAY + day % DAY;
                assert_eq!(parse(&text(millis)), Some(millis));
            }
        }

        #[test]
        fn other_forms_are_refused() {
            for wrong in [
                "",
                "2026-01-31T12:00:00Z",
                "2026-01-31 12:00:00.000Z",
                "2026-02-29T12:00:00.000Z",
                "2026-13-01T12:00:00.000Z",
                "2026-01-31T24:00:00.000Z",
                "2026-01-31T12:00:60.000Z",
                "1969-12-31T23:59:59.999Z",
                "2026-01-31T12:00:00.000+00:00",
                "+026-01-31T12:00:00.000Z",
                "2026-01-31T12:00:00.000Zé",
            ] {
                assert_eq!(parse(wrong), None, "{wrong}");
            }
        }
    }
}
