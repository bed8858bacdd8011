//! The wall clock. No other file of this crate reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time in milliseconds since 1970, as [`Instance::weight_at`](crate::Instance::weight_at), the choices of
/// [`select`](crate::select) and [`Members::age`](crate::Members::age) take it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
