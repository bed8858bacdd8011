//! The clocks. No other file of the server reads one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use zk_wire::{Millis, UnixMillis, Zxid};

use crate::core::Now;

/// First time of a manual clock: 2020-01-01, midnight UTC. It is fixed, so that a run can be repeated.
const MANUAL_START: UnixMillis = UnixMillis(1_577_836_800_000);

/// Bytes of requests and replies after which a time slice reads the clock: about ten microseconds of work.
const READ_CLOCK_AFTER: usize = 2048;

/// Source of a server's time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The machine's clock.
    Real {
        /// Time of the server's start.
        origin: std::time::Instant,
    },
    /// Tokio's clock, which was paused at the start.
    Paused {
        /// Time of the server's start.
        origin: Instant,
    },
    /// A clock that moves only by hand.
    Manual {
        /// Sum of all moves.
        moved: Duration,
    },
}

impl Clock {
    /// Returns the machine's clock, or tokio's if that is paused here.
    pub(crate) fn real() -> Self {
        if is_paused() { Self::Paused { origin: Instant::now() } } else { Self::Real { origin: machine() } }
    }

    pub(crate) fn manual() -> Self {
        Self::Manual { moved: Duration::ZERO }
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Self::Real { origin } => Now { mono: (machine() - *origin).into(), wall: wall() },
            Self::Paused { origin } => Now { mono: origin.elapsed().into(), wall: wall() },
            Self::Manual { moved } => manual_now((*moved).into()),
        }
    }

    /// Returns the instant at which the clock shows `mono`, for tokio's timers; `None` for a manual clock.
    pub(crate) fn instant_of(&self, mono: Millis) -> Option<Instant> {
        let origin = match self {
            Self::Real { origin } => Instant::from_std(*origin),
            Self::Paused { origin } => *origin,
            Self::Manual { .. } => return None,
        };
        origin.checked_add(mono.into())
    }
}

/// Time budget for the requests of one connection, by the machine's clock whatever the server's is.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    began: std::time::Instant,
    longest: Duration,
    /// Bytes since the clock was read.
    unread: usize,
}

impl TimeSlice {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn begin(longest: Duration) -> Self {
        Self { began: std::time::Instant::now(), longest, unread: 0 }
    }

    /// Returns true if the time is over after `bytes` more were read or written. Reading the clock takes as long as a
    /// tenth of a small request, so it is read after a few of them.
    pub(crate) fn is_over(&mut self, bytes: usize) -> bool {
        self.unread += bytes;
        if self.unread < READ_CLOCK_AFTER && !self.longest.is_zero() {
            return false;
        }
        self.unread = 0;
        self.began.elapsed() >= self.longest
    }
}

/// Returns the time that a manual clock shows after moves of `mono` in all.
pub(crate) fn manual_now(mono: Millis) -> Now {
    let moved = i64::try_from(mono.0).unwrap_or(i64::MAX);
    Now { mono, wall: UnixMillis(MANUAL_START.0.saturating_add(moved)) }
}

/// Returns a zxid that no earlier server in memory can have reached, so that clients of an earlier one are served.
/// Its upper bits are the milliseconds since 1970; below them is room for a million transactions in every
/// millisecond. Servers of one process never share one, even if the machine's clock is set back.
pub(crate) fn zxid_of_this_start() -> Zxid {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = wall().0;
    let later = |last: i64| now.max(last.saturating_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
    zxid_of(last.map_or(now, later))
}

/// Returns a positive zxid with room for 2^43 transactions, whatever the clock shows.
fn zxid_of(millis: i64) -> Zxid {
    /// The year 2248.
    const LATEST: i64 = (1 << 43) - (1 << 23);
    Zxid(millis.clamp(1, LATEST) << 20)
}

/// Returns true if tokio's clock is paused here, or has been. Otherwise it shows the machine's time.
pub(crate) fn is_paused() -> bool {
    let before = machine();
    let shown = Instant::now().into_std();
    shown < before || shown > machine()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn machine() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_slice_reads_the_clock_only_after_some_work() {
        let mut slice = TimeSlice::begin(Duration::from_nanos(1));
        assert!(!slice.is_over(READ_CLOCK_AFTER - 1));
        assert!(slice.is_over(1));
        assert!(!slice.is_over(1), "and then again only after some more");
        assert!(TimeSlice::begin(Duration::ZERO).is_over(0), "a budget of zero is over at once");
        assert!(!TimeSlice::begin(Duration::MAX).is_over(usize::MAX));
    }

    #[test]
    fn the_zxid_of_a_start_is_beyond_those_of_earlier_starts() {
        let starts: Vec<_> = (0..100).map(|_| zxid_of_this_start()).collect();
        for pair in starts.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 1 << 20, "{pair:?}");
        }
        // A client reads the upper half as an epoch, and some of them as a signed number of 32 bits.
        let epoch = starts[0].0 >> 32;
        assert!(epoch > 0 && i32::try_from(epoch).is_ok(), "{epoch:#x}");
    }

    #[test]
    fn a_zxid_is_positive_and_has_room_whatever_the_clock_shows() {
        for millis in [i64::MIN, -1, 0, 1, 1_800_000_000_000, 1 << 43, i64::MAX] {
            let zxid = zxid_of(millis);
            assert!(zxid.0 > 0 && zxid.0.checked_add(1 << 42).is_some(), "{millis}: {zxid}");
        }
    }
}
