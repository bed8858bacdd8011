//! The only place that reads a clock.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use zk_wire::{Millis, UnixMillis};

use crate::core::Now;

/// Where a manual clock stands at first: 2020-01-01, midnight UTC. Fixed, so that a run can be repeated.
const MANUAL_START: UnixMillis = UnixMillis(1_577_836_800_000);

/// What a server takes the time from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The machine's. The monotonic half is the runtime's, so that it agrees with the runtime's timers.
    Real {
        /// When the server started.
        origin: Instant,
    },
    /// One that stands still until it is moved.
    Manual {
        /// How far it has been moved.
        moved: Duration,
    },
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real { origin: Instant::now() }
    }

    pub(crate) fn manual() -> Self {
        Self::Manual { moved: Duration::ZERO }
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Self::Real { origin } => Now { mono: origin.elapsed().into(), wall: wall() },
            Self::Manual { moved } => manual_now((*moved).into()),
        }
    }

    /// Sleeps until the clock shows `mono`, or for ever. A manual clock never gets there by itself.
    pub(crate) async fn sleep_until(&self, mono: Option<Millis>) {
        match (self, mono) {
            (Self::Real { origin }, Some(Millis(mono))) => {
                tokio::time::sleep_until(*origin + Duration::from_millis(mono)).await;
            }
            _ => std::future::pending().await,
        }
    }
}

/// What a manual clock shows when its monotonic half is at `mono`.
pub(crate) fn manual_now(mono: Millis) -> Now {
    let moved = i64::try_from(mono.0).unwrap_or(i64::MAX);
    Now { mono, wall: UnixMillis(MANUAL_START.0.saturating_add(moved)) }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
