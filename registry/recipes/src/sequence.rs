//! Counters that a parent gives to its sequential nodes. Pure.

/// Length of a counter, at least; that of a large negative one has a sign besides.
pub(crate) const DIGITS: usize = 10;

/// Reads a counter; `None` for anything else. It wraps around, so only the distance of two counters has a meaning.
pub(crate) fn counter(digits: &str) -> Option<i32> {
    // With its sign, where the counter has wrapped around.
    let is_counter = digits.len() >= DIGITS && !digits.starts_with('+');
    digits.parse().ok().filter(|_| is_counter)
}
