//! Fates of what rules delay.

use std::time::Duration;

use zk_wire::Millis;

use crate::core::message::Now;

/// Fate of an event for one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EventFate {
    Sent,
    Dropped,
    /// Sent at this time.
    Delayed(Millis),
}

/// Returns the end of a delay, which is rounded up to milliseconds.
pub(crate) fn after(now: Now, by: Duration) -> Millis {
    now.mono + Millis::from(by.saturating_add(Duration::from_nanos(999_999)))
}
