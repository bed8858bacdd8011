//! The clocks. No other file of the server reads one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use common::SharedClock;
use tokio::runtime::Handle;
use tokio::time::Instant;
use zk_wire::{Millis, UnixMillis, Zxid};

use crate::core::Now;

/// First wall-clock time of a manual clock: 2020-01-01, midnight UTC. It is fixed, so that a run can be repeated.
const MANUAL_START: UnixMillis = UnixMillis(1_577_836_800_000);

/// End of monotonic time. It is far below the largest number, so that a deadline always lies behind the time.
pub(crate) const LATEST: Duration = Duration::from_millis(1 << 63);

/// Bytes of requests and replies after which a time slice reads the clock.
const READ_CLOCK_AFTER: usize = 2048;

/// Time that this amount of work takes, about.
const UNIT: Duration = Duration::from_micros(10);

/// Clock of a server. It runs by itself until it is held; then it moves only by hand, until it is released.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Source of time while the clock runs.
    source: Source,
    /// Time on the source's clock when this clock began to run; `None` while it is held.
    since: Option<Instant>,
    /// Time that this clock showed then.
    shown: Duration,
    /// Milliseconds from the monotonic time to the wall clock's; `None` if that is the machine's.
    wall: Option<i64>,
    /// The same at the start.
    first_wall: Option<i64>,
    /// It was held from the start.
    is_manual: bool,
    /// Clock of those who follow this one, once somebody does.
    followers: Option<SharedClock>,
}

/// Source of a clock's time.
#[derive(Clone, Debug)]
enum Source {
    /// The machine's clock.
    Machine,
    /// The clock of this runtime, which was paused at the start.
    Tokio(Handle),
}

impl Clock {
    /// Returns a clock that runs by the machine's, or by tokio's if that is paused here.
    pub(crate) fn real() -> Self {
        let source =
            Handle::try_current().ok().filter(|_| is_paused()).map_or(Source::Machine, Source::Tokio);
        Self {
            since: Some(source.now()),
            source,
            shown: Duration::ZERO,
            wall: None,
            first_wall: None,
            is_manual: false,
            followers: None,
        }
    }

    fn with_first_wall(self, ahead: i64) -> Self {
        Self { wall: Some(ahead), first_wall: Some(ahead), ..self }
    }

    /// Returns a clock that is held.
    pub(crate) fn manual() -> Self {
        Self { since: None, is_manual: true, ..Self::real().with_first_wall(MANUAL_START.0) }
    }

    /// Returns a clock that runs by tokio's, and begins at a fixed time; `None` if tokio's clock is not paused here.
    pub(crate) fn auto() -> Option<Self> {
        let clock = Self::real().with_first_wall(MANUAL_START.0);
        clock.source.is_paused().then_some(clock)
    }

    pub(crate) fn now(&self) -> Now {
        self.at(self.mono().into())
    }

    /// Returns the time, and the machine's if that was read for it.
    pub(crate) fn read(&self) -> (Now, Option<std::time::Instant>) {
        let read = self.since.map(|_| self.source.now());
        let machine = read.filter(|_| !self.source.is_paused()).map(Instant::into_std);
        (self.at(self.shown_at(read).into()), machine)
    }

    /// Returns the monotonic time.
    pub(crate) fn mono(&self) -> Duration {
        self.shown_at(self.since.map(|_| self.source.now()))
    }

    /// Returns the monotonic time at an instant of the source.
    fn shown_at(&self, at: Option<Instant>) -> Duration {
        let ran =
            self.since.zip(at).map_or(Duration::ZERO, |(since, at)| at.saturating_duration_since(since));
        self.shown.saturating_add(ran).min(LATEST)
    }

    /// Returns both times at the monotonic time `mono`.
    pub(crate) fn at(&self, mono: Millis) -> Now {
        Now {
            mono,
            wall: self.wall.map_or_else(wall, |ahead| UnixMillis(ahead.saturating_add(signed(mono)))),
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.since.is_none()
    }

    /// Returns true if a run does not depend on the machine's clock.
    pub(crate) fn repeats(&self) -> bool {
        self.wall.is_some() && (self.is_held() || self.source.is_paused())
    }

    /// Stops the clock.
    pub(crate) fn hold(&mut self) {
        if !self.is_held() {
            // From now on the wall clock does not run either.
            self.move_wall(0);
            self.shown = self.mono();
            self.since = None;
            self.show();
        }
    }

    /// Lets the clock run on from the time that it shows.
    pub(crate) fn release(&mut self) {
        if self.is_held() {
            self.since = Some(self.source.now());
            self.show();
        }
    }

    /// Holds the clock, or lets it run, as at the start. Jumps of the wall clock are undone.
    pub(crate) fn restore(&mut self) {
        if self.is_manual {
            self.hold();
        } else {
            self.release();
        }
        self.wall = self.first_wall;
    }

    /// Moves a clock that is held.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.shown = self.shown.saturating_add(by).min(LATEST);
        self.show();
    }

    /// Returns a clock that shows the same monotonic time from now on. Its timers are those of a runtime.
    pub(crate) fn share(&mut self, timers: &Handle) -> &SharedClock {
        let (shown, since) = (self.shown, self.since);
        self.followers.get_or_insert_with(|| SharedClock::new(timers.clone(), shown, since))
    }

    /// Returns the clock of those who follow this one.
    pub(crate) fn followers(&self) -> Option<&SharedClock> {
        self.followers.as_ref()
    }

    /// Lets those who follow this clock go on by themselves, because nobody will move it any more. Returns their clock, for the
    /// caller to wake them.
    pub(crate) fn part(&mut self) -> Option<SharedClock> {
        let followers = self.followers.take()?;
        followers.show(self.mono(), Some(self.source.now()));
        Some(followers)
    }

    /// Shows the time to those who follow.
    fn show(&self) {
        if let Some(followers) = &self.followers {
            followers.show(self.shown, self.since);
        }
    }

    /// Moves the wall clock by milliseconds. From then on it runs with the monotonic one.
    pub(crate) fn move_wall(&mut self, by: i64) {
        let Now { mono, wall } = self.now();
        self.wall = Some(wall.0.saturating_add(by).saturating_sub(signed(mono)));
    }

    /// Returns the instant at which the clock shows `mono`, for tokio's timers; `None` while it is held.
    pub(crate) fn instant_of(&self, mono: Millis) -> Option<Instant> {
        self.since?.checked_add(Duration::from(mono).saturating_sub(self.shown))
    }
}

impl Source {
    fn now(&self) -> Instant {
        match self {
            Self::Machine => Instant::from_std(machine()),
            // The caller may be in another runtime, or in none.
            Self::Tokio(runtime) => {
                let _entered = runtime.enter();
                Instant::now()
            }
        }
    }

    fn is_paused(&self) -> bool {
        matches!(self, Self::Tokio(_))
    }
}

/// Time budget for the requests of one connection. It is measured by the machine's clock, or, where a run is to repeat,
/// by the amount of work.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    /// Start, if the time is measured.
    began: Option<std::time::Instant>,
    /// Time that is left.
    left: Duration,
    /// Bytes since the time was measured.
    unread: usize,
}

impl TimeSlice {
    /// Begins a slice, at a time if that is known; one that `repeats` does not depend on the machine's clock.
    pub(crate) fn begin(longest: Duration, repeats: bool, at: Option<std::time::Instant>) -> Self {
        let began = (!repeats).then(|| at.unwrap_or_else(machine));
        Self { began, left: longest, unread: 0 }
    }

    /// Returns true if the time is over after `bytes` more were read or written. Reading the clock takes as long as a
    /// tenth of a small request, so it is read after a few of them.
    pub(crate) fn is_over(&mut self, bytes: usize) -> bool {
        self.unread += bytes;
        if self.unread < READ_CLOCK_AFTER && !self.left.is_zero() {
            return false;
        }
        let unread = std::mem::take(&mut self.unread);
        match self.began {
            Some(began) => began.elapsed() >= self.left,
            None => {
                let units = u32::try_from(unread / READ_CLOCK_AFTER).unwrap_or(u32::MAX);
                self.left = self.left.saturating_sub(UNIT.saturating_mul(units));
                self.left.is_zero()
            }
        }
    }
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

/// Returns monotonic time as a wall clock counts it.
fn signed(mono: Millis) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
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
        let mut slice = TimeSlice::begin(Duration::from_nanos(1), false, None);
        assert!(!slice.is_over(READ_CLOCK_AFTER - 1));
        assert!(slice.is_over(1));
        assert!(!slice.is_over(1), "and then again only after some more");
        for repeats in [false, true] {
            assert!(
                TimeSlice::begin(Duration::ZERO, repeats, None).is_over(0),
                "a budget of zero is over at once"
            );
            assert!(!TimeSlice::begin(Duration::MAX, repeats, None).is_over(usize::MAX));
        }
    }

    #[test]
    fn a_time_slice_that_repeats_counts_the_work() {
        let mut slice = TimeSlice::begin(3 * UNIT, true, None);
        let turns = (0..).take_while(|_| !slice.is_over(READ_CLOCK_AFTER / 2)).count();
        assert_eq!(turns, 5);
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
