//! `X-Amz-Date`: UTC to the second, `YYYYMMDD'T'HHMMSS'Z'`.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const LEN: usize = 16;
const DAY_LEN: usize = 8;

/// A day of the calendar as `YYYYMMDD`.
pub(super) type Day = [u8; DAY_LEN];

/// A moment in the form in which it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AmzDate {
    text: [u8; LEN],
    /// Since 1970, without fractions.
    seconds: i64,
}

impl AmzDate {
    /// The moment, cut to the second. Before 1970 it is the beginning of 1970: a clock that far off signs nothing
    /// that anyone accepts, and years of other than four digits have no form.
    pub(super) fn from_system_time(time: SystemTime) -> Self {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH);
        let civil = Offset::UTC.to_datetime(time);
        let mut text = *b"00000000T000000Z";
        let parts = [
            (0..4, i32::from(civil.year())),
            (4..6, i32::from(civil.month())),
            (6..8, i32::from(civil.day())),
            (9..11, i32::from(civil.hour())),
            (11..13, i32::from(civil.minute())),
            (13..15, i32::from(civil.second())),
        ];
        for (range, mut value) in parts {
            for digit in text.get_mut(range).unwrap_or_default().iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
                value /= 10;
            }
        }
        Self { text, seconds: time.as_second() }
    }

    /// Takes exactly the form above, and only moments that the calendar has.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; LEN] = text.try_into().ok()?;
        let [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, i0, i1, s0, s1, b'Z'] = text else {
            return None;
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_i16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
            })
        };
        let small = |digits: [u8; 2]| i8::try_from(number(&digits)?).ok();
        let civil = DateTime::new(
            number(&[y0, y1, y2, y3])?,
            small([m0, m1])?,
            small([d0, d1])?,
            small([h0, h1])?,
            small([i0, i1])?,
            small([s0, s1])?,
            0,
        );
        let moment = Offset::UTC.to_timestamp(civil.ok()?).ok()?;
        Some(Self { text, seconds: moment.as_second() })
    }

    pub(super) const fn as_bytes(&self) -> &[u8; LEN] {
        &self.text
    }

    pub(super) fn day(&self) -> Day {
        let mut day = [0; DAY_LEN];
        day.iter_mut().zip(self.text).for_each(|(place, byte)| *place = byte);
        day
    }

    /// How many whole seconds `self` lies before `now`; negative when it lies behind.
    pub(super) fn seconds_until(&self, now: SystemTime) -> i64 {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_sub(self.seconds)
    }

    /// Since 1970.
    #[cfg(test)]
    pub(super) const fn seconds(&self) -> i64 {
        self.seconds
    }
}
