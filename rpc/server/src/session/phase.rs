//! Phases of a session, and the times for which it waits.

use common::Millis;

use super::message::End;

/// Phase of a session.
#[derive(Debug)]
pub(super) enum Phase {
    /// The client's hello has not arrived.
    Greeting {
        until: Option<Millis>,
    },
    Open,
    /// The last bytes are being written.
    Parting {
        until: Option<Millis>,
        end: End,
    },
    /// Everything is written; the client may close first.
    Lingering {
        until: Option<Millis>,
        end: End,
    },
    Closed,
}

/// Event that a session waits for, for a bounded time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Due {
    /// Rest of a frame.
    Frame,
    /// Rest of a batch.
    Write,
    /// Any sign of life.
    Activity,
}

/// Returns the end of a timeout; `None` for an end beyond the range of the clock.
pub(super) fn deadline(since: Millis, patience: Millis) -> Option<Millis> {
    Some(since + patience).filter(|at| *at < Millis(u64::MAX))
}

pub(super) fn is_over(until: Option<Millis>, now: Millis) -> bool {
    until.is_some_and(|until| until <= now)
}
