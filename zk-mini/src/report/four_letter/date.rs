//! Dates as Java's `Date` prints them.

use std::fmt;

use zk_wire::UnixMillis;

/// A point in time, printed as `Sun Nov 22 17:16:40 UTC 2026`.
#[derive(Clone, Copy, Debug)]
pub(super) struct JavaDate(pub(super) UnixMillis);

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAYS_OF_400_YEARS: u64 = 146_097;

impl fmt::Display for JavaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = u64::try_from(self.0.0 / 1_000).unwrap_or(0);
        let (mut days, time) = (seconds / 86_400, seconds % 86_400);
        let day_of_week = usize::try_from(days % 7).map_or("", |day| DAYS[day]);
        // The calendar repeats every 400 years: a clock that was moved far ahead costs no more.
        let mut year = 1970 + 400 * (days / DAYS_OF_400_YEARS);
        days %= DAYS_OF_400_YEARS;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 0;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        let (name, day) = (MONTHS[month], days + 1);
        let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
        write!(f, "{day_of_week} {name} {day:02} {hours:02}:{minutes:02}:{seconds:02} UTC {year}")
    }
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_java() {
        for (seconds, expected) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_400, "Tue Feb 29 00:00:00 UTC 2000"),
            (1_577_836_799, "Tue Dec 31 23:59:59 UTC 2019"),
            (1_795_367_800, "Sun Nov 22 17:16:40 UTC 2026"),
            (12_622_780_800 + 951_782_400, "Tue Feb 29 00:00:00 UTC 2400"),
            (9_223_372_036_854_775, "Sun Aug 17 07:12:55 UTC 292278994"),
        ] {
            assert_eq!(JavaDate(UnixMillis(seconds * 1_000)).to_string(), expected);
        }
    }
}
