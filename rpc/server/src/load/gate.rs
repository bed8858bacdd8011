//! Limits on calls in flight as all connections share them: counts, a fixed limit on all calls, and an adaptive one on unary calls.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::TokioClock;
use tokio::time::Instant;

use super::adaptive::{AdaptiveLimit, EndedCall};
use crate::clock;
use crate::limits::{Limits, most_of};
use crate::session::{Full, MethodKind};

/// Time before its deadline from which on a dropped call counts as given up: clients cancel theirs a little early.
const NEARLY_LATE: Duration = Duration::from_millis(5);

/// Limits on the calls of a server in flight, and their numbers.
#[derive(Debug)]
pub(crate) struct Gate {
    calls: CallCount,
    limit: usize,
    limit_per_peer: usize,
    adaptive: Option<Adaptive>,
}

/// Numbers of calls in flight, of a server or of one peer.
#[derive(Debug, Default)]
pub(crate) struct CallCount {
    unary: AtomicUsize,
    streams: AtomicUsize,
}

/// Limit on unary calls. Streams end when their clients want: a limit that they filled would never move again.
#[derive(Debug)]
struct Adaptive {
    current: AtomicUsize,
    /// One peer may have all of it.
    is_for_one: bool,
    /// The limit has been reached since a call ended.
    is_reached: AtomicBool,
    limit: Mutex<AdaptiveLimit>,
    clock: TokioClock,
}

/// Call whose end moves an adaptive limit.
#[derive(Debug)]
pub(crate) struct TimedCall {
    started: Instant,
    deadline: Option<Instant>,
    is_done: bool,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let adaptive = limits.adaptive.then(|| {
            let limit = AdaptiveLimit::new(limits.in_flight);
            Adaptive {
                current: AtomicUsize::new(limit.limit()),
                is_for_one: limits.in_flight_per_peer.is_some(),
                is_reached: AtomicBool::new(false),
                limit: Mutex::new(limit),
                clock: TokioClock::start(),
            }
        });
        let limit_per_peer = limits.in_flight_per_peer.unwrap_or_else(|| most_of(limits.in_flight));
        Self { calls: CallCount::default(), limit: limits.in_flight, limit_per_peer, adaptive }
    }

    /// Returns the limit on calls of this kind if it is reached.
    pub(crate) fn full(&self, kind: MethodKind) -> Option<Full> {
        if self.calls.all() >= self.limit {
            return Some(Full::Server(self.limit));
        }
        let adaptive = self.adaptive_for(kind)?;
        let limit = adaptive.current.load(Relaxed);
        (self.calls.unary() >= limit).then(|| adaptive.reached(Full::Adaptive(limit)))
    }

    /// Returns the share of one peer, which has so many calls, if it is reached.
    pub(crate) fn full_for_peer(&self, kind: MethodKind, of_peer: &CallCount) -> Option<Full> {
        if of_peer.all() >= self.limit_per_peer {
            return Some(Full::Peer(self.limit_per_peer));
        }
        let adaptive = self.adaptive_for(kind).filter(|adaptive| !adaptive.is_for_one)?;
        let share = most_of(adaptive.current.load(Relaxed));
        // The limit grows for the one peer that there may be.
        (of_peer.unary() >= share).then(|| adaptive.reached(Full::AdaptivePeer(share)))
    }

    fn adaptive_for(&self, kind: MethodKind) -> Option<&Adaptive> {
        self.adaptive.as_ref().filter(|_| kind == MethodKind::Unary)
    }

    /// Counts a call.
    pub(crate) fn enter(&self, kind: MethodKind) {
        self.calls.add(kind);
    }

    /// Notes the time if the limit is adaptive.
    pub(crate) fn time(&self, deadline: Option<Instant>) -> Option<TimedCall> {
        self.adaptive.as_ref().map(|_| TimedCall { started: clock::now(), deadline, is_done: false })
    }

    /// Counts the end of a call.
    pub(crate) fn leave(&self, kind: MethodKind, timed: Option<TimedCall>) {
        self.calls.remove(kind);
        let (Some(adaptive), Some(timed)) = (&self.adaptive, timed) else { return };
        let now = clock::now();
        let given_up = !timed.is_done;
        // A call that was cancelled early shows no more than that its client has lost interest.
        if given_up && timed.deadline.is_none_or(|at| now + NEARLY_LATE < at) {
            return;
        }
        let (clock, took) = (adaptive.clock, now.duration_since(timed.started));
        let mut limit = adaptive.lock();
        if adaptive.is_reached.swap(false, Relaxed) {
            limit.reached();
        }
        limit.ended(clock.at(now), EndedCall { started: clock.at(timed.started), took, given_up });
        adaptive.current.store(limit.limit(), Relaxed);
    }
}

impl CallCount {
    pub(crate) fn add(&self, kind: MethodKind) {
        self.of(kind).fetch_add(1, Relaxed);
    }

    pub(crate) fn remove(&self, kind: MethodKind) {
        self.of(kind).fetch_sub(1, Relaxed);
    }

    pub(crate) fn all(&self) -> usize {
        self.unary.load(Relaxed) + self.streams.load(Relaxed)
    }

    fn unary(&self) -> usize {
        self.unary.load(Relaxed)
    }

    fn of(&self, kind: MethodKind) -> &AtomicUsize {
        if kind == MethodKind::Unary { &self.unary } else { &self.streams }
    }
}

impl TimedCall {
    /// Records that the call has ended by itself.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }
}

impl Adaptive {
    /// Notes that the limit is reached.
    fn reached(&self, full: Full) -> Full {
        // Under an overload it is noted already, and a store would take the line from the other cores.
        if !self.is_reached.load(Relaxed) {
            self.is_reached.store(true, Relaxed);
        }
        full
    }

    fn lock(&self) -> MutexGuard<'_, AdaptiveLimit> {
        // The limit does not panic.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive(change: impl FnOnce(&mut Limits)) -> Gate {
        let mut limits = Limits { adaptive: true, ..Limits::default() };
        change(&mut limits);
        Gate::new(&limits)
    }

    #[test]
    fn streams_do_not_fill_an_adaptive_limit() {
        let gate = adaptive(|limits| limits.in_flight = 50);
        for kind in [MethodKind::ServerStream, MethodKind::ClientStream, MethodKind::BidiStream] {
            for _ in 0..15 {
                gate.enter(kind);
            }
        }
        assert_eq!(gate.full(MethodKind::Unary), None);
        for _ in 0..5 {
            gate.enter(MethodKind::ServerStream);
        }
        assert_eq!(gate.full(MethodKind::ServerStream), Some(Full::Server(50)), "the fixed one is for all");
    }

    #[test]
    fn one_peer_has_three_quarters_of_an_adaptive_limit_and_makes_it_grow() {
        let gate = adaptive(|_| ());
        let of_peer = CallCount::default();
        for _ in 0..15 {
            assert_eq!(gate.full_for_peer(MethodKind::Unary, &of_peer), None);
            of_peer.add(MethodKind::Unary);
        }
        assert_eq!(gate.full_for_peer(MethodKind::Unary, &of_peer), Some(Full::AdaptivePeer(15)));
        assert_eq!(gate.full_for_peer(MethodKind::ServerStream, &of_peer), None);
        assert!(gate.adaptive.is_some_and(|adaptive| adaptive.is_reached.into_inner()));
    }

    #[test]
    fn a_peer_with_a_limit_of_its_own_may_have_all_of_an_adaptive_one() {
        let gate = adaptive(|limits| limits.in_flight_per_peer = Some(limits.in_flight));
        let of_peer = CallCount::default();
        for _ in 0..20 {
            of_peer.add(MethodKind::Unary);
            gate.enter(MethodKind::Unary);
        }
        assert_eq!(gate.full_for_peer(MethodKind::Unary, &of_peer), None);
        assert_eq!(gate.full(MethodKind::Unary), Some(Full::Adaptive(20)));
    }
}
