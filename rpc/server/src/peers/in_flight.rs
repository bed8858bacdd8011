//! Calls in flight, and those that wait until they may be.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Peers, Queue, Seat};
use crate::load::TimedCall;
use crate::session::MethodKind;

/// Unit of the counts of unfinished calls, released on drop.
#[derive(Debug)]
pub(crate) struct InFlight {
    seat: Arc<Seat>,
    kind: MethodKind,
    timed: Option<TimedCall>,
}

/// Call that waits for a place among those in flight. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Waiting {
    seat: Arc<Seat>,
    number: u64,
    place: oneshot::Receiver<InFlight>,
}

/// Waiting call, as the queue knows it.
#[derive(Debug)]
pub(super) struct Waiter {
    seat: Arc<Seat>,
    kind: MethodKind,
    place: oneshot::Sender<InFlight>,
}

impl InFlight {
    /// Counts a call.
    pub(crate) fn new(seat: &Arc<Seat>, kind: MethodKind) -> Self {
        seat.peers.gate.enter(kind);
        seat.share.peer.calls.add(kind);
        Self { seat: Arc::clone(seat), kind, timed: None }
    }

    /// Begins to measure a unary call, so that its duration moves an adaptive limit. That of a stream says nothing about the
    /// server.
    pub(crate) fn time(&mut self, deadline: Option<Instant>) {
        if self.kind == MethodKind::Unary {
            self.timed = self.seat.peers.gate.time(deadline);
        }
    }

    /// Releases the unit of a call that has ended by itself.
    pub(crate) fn done(mut self) {
        self.timed.iter_mut().for_each(TimedCall::done);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.seat.share.peer.calls.remove(self.kind);
        self.seat.peers.gate.leave(self.kind, self.timed.take());
        self.seat.peers.hand_over();
    }
}

impl Waiting {
    /// Puts a call at the end of the queue; returns `None` if there is no room.
    pub(crate) fn new(seat: &Arc<Seat>, kind: MethodKind) -> Option<Self> {
        let (sender, place) = oneshot::channel();
        let waiter = Waiter { seat: Arc::clone(seat), kind, place: sender };
        let number = seat.peers.queue()?.push(seat.share.key, kind, waiter)?;
        // A place may have become free in between.
        seat.peers.hand_over();
        Some(Self { seat: Arc::clone(seat), number, place })
    }

    /// Completes when the call may start.
    pub(crate) async fn place(&mut self) -> Option<InFlight> {
        (&mut self.place).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waiter = self.seat.peers.queue().and_then(|mut queue| queue.remove(self.number));
        // Without the lock: it may hold a place.
        drop(waiter);
    }
}

impl Peers {
    /// Gives free places to the calls that wait.
    fn hand_over(&self) {
        while let Some((waiter, place)) = self.next_in_flight() {
            // If the call has just ended, the next one gets its place.
            drop(waiter.place.send(place));
        }
    }

    fn next_in_flight(&self) -> Option<(Waiter, InFlight)> {
        let mut queue = self.queue().filter(|queue| !queue.is_empty())?;
        // Streams wait behind the unary calls that came before them.
        if self.gate.full(MethodKind::Unary).is_some() {
            return None;
        }
        let waiter = queue.pop(|waiter| waiter.seat.full_for_peer(waiter.kind).is_none())?;
        let place = InFlight::new(&waiter.seat, waiter.kind);
        Some((waiter, place))
    }

    pub(super) fn queue(&self) -> Option<MutexGuard<'_, Queue>> {
        // Nothing that can panic runs under the lock.
        self.queue.as_ref().map(|queue| queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use common::Millis;

    use super::*;
    use crate::limits::Limits;
    use crate::session::MethodKind::Unary;

    fn peers(change: impl FnOnce(&mut Limits)) -> impl Fn(u8) -> Arc<Seat> {
        let mut limits = Limits::default();
        change(&mut limits);
        let peers = Arc::new(Peers::new(&limits, 1_024));
        move |host| Arc::new(peers.seat(IpAddr::from([10, 0, 0, host]), Millis(0)).unwrap())
    }

    fn has_place(waiting: &mut Waiting) -> Option<InFlight> {
        waiting.place.try_recv().ok()
    }

    #[test]
    fn without_a_queue_nobody_waits() {
        let seat = peers(|limits| limits.in_flight = 1)(1);
        let _call = InFlight::new(&seat, Unary);
        assert!(seat.full().is_some() && !seat.has_to_wait(Unary) && Waiting::new(&seat, Unary).is_none());
    }

    #[test]
    fn a_call_that_ends_gives_its_place_to_the_first_that_waits() {
        let seat = peers(|limits| {
            (limits.in_flight, limits.in_flight_per_peer) = (2, Some(2));
            limits.queue = 8;
        })(1);
        assert!(!seat.has_to_wait(Unary));
        let (first, second) = (InFlight::new(&seat, Unary), InFlight::new(&seat, Unary));
        assert!(seat.has_to_wait(Unary) && seat.full().is_none());
        let (mut third, mut fourth) =
            (Waiting::new(&seat, Unary).unwrap(), Waiting::new(&seat, Unary).unwrap());
        assert!(has_place(&mut third).is_none());
        drop(first);
        let place = has_place(&mut third).unwrap();
        assert!(has_place(&mut fourth).is_none() && seat.has_to_wait(Unary), "a newcomer does not overtake");
        drop((second, place));
        let place = has_place(&mut fourth).unwrap();
        drop((third, fourth, place));
        assert!(seat.peers.queue().unwrap().is_empty() && !seat.has_to_wait(Unary));
        assert_eq!(Arc::strong_count(&seat), 1);
    }

    #[test]
    fn a_place_that_nobody_takes_goes_to_the_next() {
        let seat = peers(|limits| {
            (limits.in_flight, limits.in_flight_per_peer) = (1, Some(1));
            limits.queue = 8;
        })(1);
        let first = InFlight::new(&seat, Unary);
        let waiting: Vec<_> = (0..3).map(|_| Waiting::new(&seat, Unary).unwrap()).collect();
        let mut last = Waiting::new(&seat, Unary).unwrap();
        drop(first);
        drop(waiting);
        assert!(has_place(&mut last).is_some());
        drop(last);
        assert!(!seat.has_to_wait(Unary));
        assert_eq!(Arc::strong_count(&seat), 1);
    }

    #[test]
    fn a_peer_takes_three_quarters_of_the_queue_and_is_overtaken_at_its_limit() {
        let seat = peers(|limits| {
            (limits.in_flight, limits.in_flight_per_peer) = (2, Some(1));
            limits.queue = 4;
        });
        let (greedy, other) = (seat(1), seat(2));
        let first = InFlight::new(&greedy, Unary);
        let mut waiting: Vec<_> = (0..3).map(|_| Waiting::new(&greedy, Unary).unwrap()).collect();
        assert!(greedy.full().is_some() && Waiting::new(&greedy, Unary).is_none());
        assert!(!other.has_to_wait(Unary));
        let second = InFlight::new(&other, Unary);
        let mut third = Waiting::new(&other, Unary).unwrap();
        drop(second);
        assert!(has_place(&mut third).is_some(), "it overtakes");
        drop(first);
        assert!(has_place(&mut waiting[0]).is_some());
    }
}
