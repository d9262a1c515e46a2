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
        // No part is negative after 1970, and none but the year is above 59.
        let two = |number: u16| {
            let [tens, ones] =
                [number / 10, number % 10].map(|digit| u8::try_from(digit).unwrap_or_default());
            [b'0' + tens % 10, b'0' + ones]
        };
        let small = |number: i8| two(number.unsigned_abs().into());
        let year = civil.year().unsigned_abs();
        let [[y0, y1], [y2, y3]] = [two(year / 100), two(year % 100)];
        let [[m0, m1], [d0, d1]] = [small(civil.month()), small(civil.day())];
        let [[h0, h1], [i0, i1], [s0, s1]] =
            [small(civil.hour()), small(civil.minute()), small(civil.second())];
        let text = [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, i0, i1, s0, s1, b'Z'];
        Self { text, seconds: time.as_second() }
    }

    /// Takes exactly the form above, and only moments that the calendar has.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; LEN] = text.try_into().ok()?;
        Some(Self { text: *text, seconds: seconds(text)? })
    }

    pub(super) const fn as_bytes(&self) -> &[u8; LEN] {
        &self.text
    }

    pub(super) fn day(&self) -> Day {
        self.text.first_chunk().copied().unwrap_or_default()
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

/// Since 1970. Not inlined, for else the text is copied in pieces, which takes longer.
#[inline(never)]
fn seconds(text: &[u8; LEN]) -> Option<i64> {
    let [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, i0, i1, s0, s1, b'Z'] = text else {
        return None;
    };
    let two = |tens: &u8, ones: &u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i8::try_from(10 * (tens - b'0') + (ones - b'0')).ok()).flatten()
    };
    let year = 100 * i16::from(two(y0, y1)?) + i16::from(two(y2, y3)?);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(Offset::UTC.to_timestamp(civil).ok()?.as_second())
}
