//! Numbers in options.

use std::ops::RangeInclusive;

/// Returns a parser of numbers from the first of the range to its last.
pub(crate) fn number(range: RangeInclusive<u16>) -> impl Fn(&str) -> Result<u16, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("a number, {} to {}", range.start(), range.end()))
    }
}
