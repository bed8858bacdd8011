//! A limit on calls in flight that follows the capacity of the server.
//!
//! More calls at once than a server can work on make each take longer and finish no more of them. So the limit compares how long
//! calls take with how long they take when few run (`base`):
//!
//! - Calls are judged in *windows*. A window in which the limit was not reached shows the base, more or less.
//! - After a window in which it was reached, the limit is multiplied by `TOLERANCE * base / latency`, at most by 1, and grows by
//!   the *headroom*, the larger of its root and a tenth. It settles at one and a half times what the server works on.
//! - If many calls of a window were given up at their deadlines, and the others took too long as well, the limit is halved. If
//!   the others took no longer than usual, the deadlines were too short for what was called, and tell nothing of the server. A
//!   limit that has come down to 1 shows the base: no call waits for another.
//! - Under an overload that does not end, nothing shows the base. So from time to time, and if the limit has been halved, a
//!   *probe* halves it once more for a window, and again as long as calls take as much less time as there are fewer. If they do
//!   not, the server was not full any more, or it has become slower by itself: what they take now is the base.
//!
//! The gradient is that of Netflix's concurrency limits; the probe is that of brpc's, and of BBR.

use std::time::Duration;

use common::Millis;

/// Latency that counts as good, in multiples of the base.
const TOLERANCE: f64 = 1.5;

/// Number of calls and time that a window has at least.
const MIN_CALLS: u32 = 20;
const MIN_TIME: Millis = Millis(50);

/// Number of calls after which a window ends in any case.
const MAX_CALLS: u32 = 2_000;

/// Number of full windows between two probes.
const PROBE_EVERY: u32 = 60;

/// Part of a window's calls that are given up at least when the limit retreats.
const MANY: f64 = 0.2;

/// Latency up to which no call seems to wait for another, in multiples of the base. The limit then grows by half.
const UNCROWDED: f64 = 1.1;

/// Part to which the latency falls when a probe halves the calls of a server that was full.
const FELL: f64 = 0.6;

/// Limit at the start.
const INITIAL: f64 = 20.0;

/// Limit on calls in flight, moved by how long they take.
#[derive(Debug)]
pub(crate) struct AdaptiveLimit {
    limit: f64,
    max: f64,
    /// Latency in seconds when few calls run; zero before the first window.
    base: f64,
    window: Window,
    /// Number of full windows before the next probe.
    until_probe: u32,
    probe: Option<Probe>,
    /// Largest limit since the last probe.
    peak: f64,
}

/// Calls that have ended since a time.
#[derive(Debug, Default)]
struct Window {
    /// Calls that started earlier tell of an earlier limit, and are not counted.
    since: Millis,
    begun: Option<Millis>,
    calls: u32,
    /// Calls among them that were given up.
    given_up: u32,
    /// Seconds that calls took which were given up.
    given_up_seconds: f64,
    /// Seconds that the other calls took.
    ended_seconds: f64,
    /// The limit was reached.
    is_full: bool,
}

/// Search for the base.
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// Limit and latency before the probe.
    from: (f64, f64),
    /// Latency before its last step.
    latency: f64,
}

/// Call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedCall {
    /// Time at which it was started.
    pub(crate) started: Millis,
    /// Time that it took.
    pub(crate) took: Duration,
    /// True if it was dropped at its deadline.
    pub(crate) given_up: bool,
}

impl AdaptiveLimit {
    /// Creates a limit that never exceeds `max`.
    pub(crate) fn new(max: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are small")]
        let max = (max as f64).max(1.0);
        Self {
            limit: INITIAL.min(max),
            max,
            base: 0.0,
            window: Window::default(),
            until_probe: 0,
            probe: None,
            peak: 0.0,
        }
    }

    /// Returns the current limit, at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to max")]
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Records that the limit has been reached.
    pub(crate) fn reached(&mut self) {
        self.window.is_full = true;
    }

    /// Records the end of a call. One that its client cancelled early tells nothing.
    pub(crate) fn ended(&mut self, now: Millis, call: EndedCall) {
        if call.started < self.window.since {
            return;
        }
        let window = &mut self.window;
        let begun = *window.begun.get_or_insert(now);
        window.calls += 1;
        if call.given_up {
            window.given_up += 1;
            window.given_up_seconds += call.took.as_secs_f64();
        } else {
            window.ended_seconds += call.took.as_secs_f64();
        }
        if window.calls >= MAX_CALLS || (window.calls >= MIN_CALLS && now.since(begun) >= MIN_TIME) {
            let all = ((window.given_up_seconds + window.ended_seconds) / f64::from(window.calls)).max(1e-9);
            let has_many = f64::from(window.given_up) > MANY * f64::from(window.calls);
            match window.latency() {
                Some(others) if has_many => self.judge_others(others, all),
                None if has_many => self.retreat(all),
                _ => self.judge(all),
            }
            self.limit = self.limit.clamp(1.0, self.max);
            let since = if self.probe.is_some() { now + Millis(1) } else { self.window.since };
            self.window = Window { since, ..Window::default() };
        }
    }

    /// Judges a window in which many calls were given up, by what the others took.
    fn judge_others(&mut self, others: f64, all: f64) {
        let is_usual = self.base > 0.0 && others <= TOLERANCE * self.base;
        match self.probe.take() {
            // No call waits for another, and those that were given up had too little time.
            _ if self.limit < 2.0 => self.settle(others, (self.limit, others)),
            Some(probe) if is_usual => self.step(others, probe),
            None if is_usual && self.window.is_full => self.follow(others),
            None if is_usual => {}
            _ => self.retreat(all),
        }
    }

    fn judge(&mut self, latency: f64) {
        match self.probe.take() {
            Some(probe) => self.step(latency, probe),
            None if self.window.is_full => self.follow(latency),
            None if self.base == 0.0 => self.base = latency,
            None => self.base += (latency - self.base) / 4.0,
        }
    }

    /// Halves the limit, because calls take longer than their clients wait. A probe finds the base.
    fn retreat(&mut self, latency: f64) {
        self.limit /= 2.0;
        self.probe = Some(Probe { from: (self.limit, latency), latency: f64::INFINITY });
    }

    /// Moves the limit after a window in which it was reached.
    fn follow(&mut self, latency: f64) {
        self.peak = self.peak.max(self.limit);
        let is_halved = self.limit * 2.0 <= self.peak;
        if self.until_probe == 0 || is_halved {
            self.probe = Some(Probe { from: (self.limit, latency), latency });
            self.limit /= 2.0;
            return;
        }
        self.until_probe -= 1;
        if self.base == 0.0 {
            self.base = latency;
        } else if latency < self.base {
            self.base += (latency - self.base) / 4.0;
        }
        self.limit = self.next(self.limit, latency);
    }

    /// Goes on with a probe, or ends it.
    fn step(&mut self, latency: f64, probe: Probe) {
        if latency <= probe.latency * FELL && self.limit > 1.0 {
            self.limit /= 2.0;
            self.probe = Some(Probe { latency, ..probe });
            return;
        }
        // The smaller one, in case that chance ended the probe.
        self.settle(latency.min(probe.latency), probe.from);
    }

    /// Takes what has been found to be the base, and goes on from a limit and its latency.
    fn settle(&mut self, base: f64, (limit, latency): (f64, f64)) {
        self.base = base;
        self.probe = None;
        self.limit = self.next(limit, latency);
        self.until_probe = PROBE_EVERY;
        self.peak = self.limit;
    }

    fn next(&self, limit: f64, latency: f64) -> f64 {
        let part = if latency <= UNCROWDED * self.base { 0.5 } else { 0.1 };
        let headroom = limit.sqrt().max(limit * part);
        limit * (TOLERANCE * self.base / latency).min(1.0) + headroom
    }
}

impl Window {
    /// Returns the seconds that calls took which were not given up, if there are any.
    fn latency(&self) -> Option<f64> {
        let ended = self.calls - self.given_up;
        (ended > 0).then(|| (self.ended_seconds / f64::from(ended)).max(1e-9))
    }
}
