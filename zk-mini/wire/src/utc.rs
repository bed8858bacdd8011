//! Points in time as people read them.

use std::fmt::{self, Display};

use crate::numbers::UnixMillis;

/// Point in time, printed as `2026-11-28 09:41:07.120`, in UTC; with `{:#}` as `2026-11-28T09:41:07.120Z`, by ISO 8601.
///
/// ```
/// use zk_wire::{UnixMillis, Utc};
///
/// assert_eq!(format!("{:#}", Utc(UnixMillis(1_577_836_800_120))), "2020-01-01T00:00:00.120Z");
/// ```
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Utc(
    /// Milliseconds since 1970.
    pub UnixMillis,
);

impl Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        let (days, in_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = date(days);
        let (seconds, millis) = (in_day / 1_000, in_day % 1_000);
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let (between, zone) = if f.alternate() { ("T", "Z") } else { (" ", "") };
        // ISO 8601 wants a sign for years of more than four digits.
        let sign = if f.alternate() && year > 9_999 { "+" } else { "" };
        write!(
            f,
            "{sign}{year:04}-{month:02}-{day:02}{between}{hours:02}:{minutes:02}:{seconds:02}.{millis:03}{zone}"
        )
    }
}

/// Returns year, month and day of a number of days since 1970-01-01. The year begins in March, so that the leap day is
/// its last ("days from civil", Howard Hinnant).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        let shown = |millis| Utc(UnixMillis(millis)).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00.000");
        assert_eq!(shown(1_577_836_800_000), "2020-01-01 00:00:00.000");
        assert_eq!(shown(1_709_164_799_999), "2024-02-28 23:59:59.999");
        assert_eq!(shown(1_709_164_800_000), "2024-02-29 00:00:00.000");
        assert_eq!(shown(-1), "1969-12-31 23:59:59.999");
        let iso = |millis| format!("{:#}", Utc(UnixMillis(millis)));
        assert_eq!(iso(1_709_164_799_999), "2024-02-28T23:59:59.999Z");
        assert_eq!(iso(253_402_300_800_000), "+10000-01-01T00:00:00.000Z");
        // A clock that was moved as far as possible harms nothing.
        assert!(!shown(i64::MAX).is_empty() && !shown(i64::MIN).is_empty());
    }
}
