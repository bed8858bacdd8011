//! The only place that reads a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use zk_wire::{Millis, UnixMillis, Zxid};

use crate::core::Now;

/// Where a manual clock stands at first: 2020-01-01, midnight UTC. Fixed, so that a run can be repeated.
const MANUAL_START: UnixMillis = UnixMillis(1_577_836_800_000);

/// What a server takes the time from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The machine's.
    Real {
        /// Start of the server.
        origin: std::time::Instant,
    },
    /// Tokio's, which was paused at the start: the server follows it.
    Paused {
        /// Start of the server.
        origin: Instant,
    },
    /// One that stands still until it is moved.
    Manual {
        /// How far it has been moved.
        moved: Duration,
    },
}

impl Clock {
    /// The machine's, or tokio's if that is paused here.
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

    /// Returns the time, for tokio's timers, at which the clock shows `mono`; `None` if it never does by itself.
    pub(crate) fn instant_of(&self, mono: Millis) -> Option<Instant> {
        let origin = match self {
            Self::Real { origin } => Instant::from_std(*origin),
            Self::Paused { origin } => *origin,
            Self::Manual { .. } => return None,
        };
        origin.checked_add(mono.into())
    }
}

/// Time that one connection's requests may take, by the machine's clock whatever the server's is.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    began: std::time::Instant,
    longest: Duration,
    /// Work since the clock was read.
    unread: usize,
}

impl TimeSlice {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn begin(longest: Duration) -> Self {
        Self { began: std::time::Instant::now(), longest, unread: 0 }
    }

    /// Returns whether it is over after `bytes` more were read or written. To read the clock takes as long as a tenth
    /// of a small request, so it is read after a few of them.
    pub(crate) fn is_over(&mut self, bytes: usize) -> bool {
        self.unread += bytes;
        if self.unread < READ_CLOCK_AFTER && !self.longest.is_zero() {
            return false;
        }
        self.unread = 0;
        self.began.elapsed() >= self.longest
    }
}

/// Bytes of requests and replies after which a time slice reads the clock: some ten microseconds of work.
const READ_CLOCK_AFTER: usize = 2048;

/// What a manual clock shows when its monotonic half is at `mono`.
pub(crate) fn manual_now(mono: Millis) -> Now {
    let moved = i64::try_from(mono.0).unwrap_or(i64::MAX);
    Now { mono, wall: UnixMillis(MANUAL_START.0.saturating_add(moved)) }
}

/// A zxid that no server in memory has reached that was started before this one: clients that know such a server's
/// are served by its successor. The milliseconds since 1970 are its upper bits, and below them is room for a million
/// transactions in every millisecond. Servers of one process never share one, even if the machine's clock is set back.
pub(crate) fn zxid_of_this_start() -> Zxid {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = wall().0;
    let later = |last: i64| now.max(last.saturating_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
    zxid_of(last.map_or(now, later))
}

/// Positive, with room for 2^43 transactions, whatever the clock shows.
fn zxid_of(millis: i64) -> Zxid {
    /// In the year 2248.
    const LATEST: i64 = (1 << 43) - (1 << 23);
    Zxid(millis.clamp(1, LATEST) << 20)
}

/// Returns whether tokio's clock stands still here, or has stood still. One that never has shows the machine's time.
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
    fn a_time_slice_looks_at_the_clock_after_some_work_only() {
        let mut slice = TimeSlice::begin(Duration::from_nanos(1));
        assert!(!slice.is_over(READ_CLOCK_AFTER - 1));
        assert!(slice.is_over(1));
        assert!(!slice.is_over(1), "and then again only after some more");
        assert!(TimeSlice::begin(Duration::ZERO).is_over(0), "none is none");
        assert!(!TimeSlice::begin(Duration::MAX).is_over(usize::MAX));
    }

    #[test]
    fn every_start_has_a_zxid_that_no_earlier_one_can_have_reached() {
        let starts: Vec<_> = (0..100).map(|_| zxid_of_this_start()).collect();
        for pair in starts.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 1 << 20, "{pair:?}");
        }
        // A client reads the upper half as an epoch, and some of them as a signed number of 32 bits.
        let epoch = starts[0].0 >> 32;
        assert!(epoch > 0 && i32::try_from(epoch).is_ok(), "{epoch:#x}");
    }

    #[test]
    fn no_clock_makes_a_zxid_that_is_negative_or_has_no_room_left() {
        for millis in [i64::MIN, -1, 0, 1, 1_800_000_000_000, 1 << 43, i64::MAX] {
            let zxid = zxid_of(millis);
            assert!(zxid.0 > 0 && zxid.0.checked_add(1 << 42).is_some(), "{millis}: {zxid}");
        }
    }
}
