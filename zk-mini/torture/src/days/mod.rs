//! The bad days.

mod discover;
mod lock;
mod register;

use crate::day::Day;

/// Returns all days, by role.
#[must_use]
pub fn days() -> Vec<&'static Day> {
    [register::DAYS, discover::DAYS, lock::DAYS].into_iter().flatten().collect()
}
