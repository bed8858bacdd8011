//! Connected peers, their shares of the limits, and the choice of connections to close when a limit is reached.

mod in_flight;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{Millis, PeerKey};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::limits::{Limits, most_of};
use crate::load::{CallCount, Gate, WaitQueue};
use crate::session::{Full, MethodKind};
use in_flight::Waiter;
pub(crate) use in_flight::{InFlight, Waiting};

/// Value of [`SeatShare::idle_since`] for a connection that is not idle.
const BUSY: u64 = u64::MAX;

/// Idle time after which a connection may be closed in favour of a new one. Our clients send pings more often.
const MAY_BE_IDLE: Millis = Millis(10_000);

/// Maximum number of connections above the limit while others are closing.
const MOST_LEAVING: usize = 64;

/// Pause after a search that found no connection to close.
const LOOK_AGAIN: Millis = Millis(100);

/// Peers of a server and their shares of its limits.
#[derive(Debug)]
pub(crate) struct Peers {
    limits: Shares,
    gate: Gate,
    /// Calls that wait at a limit on those in flight; `None` if none may.
    queue: Option<Mutex<Queue>>,
    /// Sum of the bytes of all connections.
    held: AtomicUsize,
    /// The server drains. Never reset.
    draining: AtomicBool,
    /// Seed of what connections do by chance.
    seed: u64,
    table: Mutex<Table>,
}

type Queue = WaitQueue<PeerKey, Waiter>;

/// Limits that apply across connections.
#[derive(Clone, Copy, Debug)]
struct Shares {
    connections: usize,
    connections_per_peer: usize,
    bytes: usize,
    bytes_per_peer: usize,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    seats: HashMap<u64, Arc<SeatShare>>,
    peers: HashMap<PeerKey, Arc<PeerShare>>,
    /// Number of connections that have been asked to close.
    leaving: usize,
    /// Time of the last search that found no idle connection.
    looked: Option<Millis>,
}

/// Share of one peer.
#[derive(Debug, Default)]
struct PeerShare {
    connections: AtomicUsize,
    calls: CallCount,
    /// Sum of the bytes of its connections.
    held: AtomicUsize,
}

/// Share of one connection, visible to all others.
#[derive(Debug)]
struct SeatShare {
    key: PeerKey,
    peer: Arc<PeerShare>,
    held: AtomicUsize,
    /// Time since which the connection is idle, in milliseconds, or [`BUSY`].
    idle_since: AtomicU64,
    /// The connection has to close. Never reset.
    evicted: AtomicBool,
    wake: Notify,
}

/// Place of a connection among the others, released on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    peers: Arc<Peers>,
    share: Arc<SeatShare>,
}

/// Reason to refuse a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoSeat {
    #[error("too many connections to this server")]
    Full,
    #[error("too many connections from this address to this server")]
    FullForPeer,
}

impl Peers {
    /// Creates the table for a process with so many descriptors, of which some stay free.
    pub(crate) fn new(limits: &Limits, descriptors: usize) -> Self {
        let connections =
            limits.connections.min(descriptors - (descriptors / 8).max(16).min(descriptors)).max(1);
        let gate = Gate::new(limits);
        let queue = (limits.queue > 0).then(|| WaitQueue::new(limits.queue, most_of(limits.queue)));
        let limits = Shares {
            connections,
            connections_per_peer: limits.connections_per_peer.unwrap_or_else(|| most_of(connections)),
            bytes: limits.bytes,
            bytes_per_peer: limits.bytes_per_peer.unwrap_or_else(|| most_of(limits.bytes)),
        };
        let (held, draining) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { limits, gate, queue: queue.map(Mutex::new), held, draining, seed: 0, table: Mutex::default() }
    }

    /// Sets the seed of what connections do by chance.
    pub(crate) fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Returns a seat for a new connection. If all are taken, the connection that has been idle longest is asked to close.
    pub(crate) fn seat(self: &Arc<Self>, addr: IpAddr, now: Millis) -> Result<Seat, NoSeat> {
        let key = PeerKey::new(addr);
        let mut table = self.lock();
        let peer = table.peers.get(&key).cloned().unwrap_or_default();
        let of_peer = peer.connections.load(Relaxed);
        if of_peer >= self.limits.connections_per_peer {
            return Err(NoSeat::FullForPeer);
        }
        if table.seats.len() >= self.limits.connections {
            self.evict_idle(&mut table, now);
            // Some more are allowed until the others have closed.
            if table.seats.len() - table.leaving >= self.limits.connections || table.leaving > MOST_LEAVING {
                return Err(NoSeat::Full);
            }
        }
        peer.connections.store(of_peer + 1, Relaxed);
        table.peers.entry(key).or_insert_with(|| peer.clone());
        let share = Arc::new(SeatShare {
            key,
            peer,
            held: AtomicUsize::new(0),
            idle_since: AtomicU64::new(BUSY),
            evicted: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let number = table.next;
        table.next += 1;
        table.seats.insert(number, share.clone());
        Ok(Seat { number, peers: self.clone(), share })
    }

    /// Asks a connection that has been idle for long enough to close; returns false if there is none.
    pub(crate) fn make_room(&self, now: Millis) -> bool {
        self.evict_idle(&mut self.lock(), now)
    }

    /// Tells all connections that the server drains.
    pub(crate) fn drain(&self) {
        let table = self.lock();
        self.draining.store(true, Relaxed);
        table.seats.values().for_each(|share| share.wake.notify_one());
    }

    fn evict_idle(&self, table: &mut Table, now: Millis) -> bool {
        if table.looked.is_some_and(|at| now.since(at) < LOOK_AGAIN) {
            return false;
        }
        let shares = table.seats.values().filter(|share| !share.evicted.load(Relaxed));
        let longest = shares.min_by_key(|share| share.idle_since.load(Relaxed));
        let enough = now.since(MAY_BE_IDLE).0;
        match longest.filter(|share| share.idle_since.load(Relaxed) < enough) {
            Some(share) => {
                share.evict();
                table.leaving += 1;
                true
            }
            None => {
                table.looked = Some(now);
                false
            }
        }
    }

    /// Asks the connection that holds most, of one peer or of all, to close, unless those that are closing release enough.
    fn evict_greediest(&self, of: Option<PeerKey>, total: &AtomicUsize, limit: usize) {
        let mut table = self.lock();
        let mut leaving = 0;
        let mut greediest: Option<(usize, &Arc<SeatShare>)> = None;
        for share in table.seats.values().filter(|share| of.is_none_or(|key| share.key == key)) {
            let held = share.held.load(Relaxed);
            if share.evicted.load(Relaxed) {
                leaving += held;
            } else if greediest.is_none_or(|(most, _)| held > most) {
                greediest = Some((held, share));
            }
        }
        if total.load(Relaxed).saturating_sub(leaving) > limit
            && let Some((_, share)) = greediest
        {
            share.evict();
            table.leaving += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing that can panic runs under the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeatShare {
    fn evict(&self) {
        self.evicted.store(true, Relaxed);
        self.wake.notify_one();
    }
}

impl Seat {
    /// Records the bytes that the connection holds now.
    pub(crate) fn holds(&self, bytes: usize) {
        let before = self.share.held.swap(bytes, Relaxed);
        let Shares { bytes: limit, bytes_per_peer, .. } = self.peers.limits;
        for (total, limit, of) in
            [(&self.share.peer.held, bytes_per_peer, Some(self.share.key)), (&self.peers.held, limit, None)]
        {
            if bytes > before {
                let grown = bytes - before;
                if total.fetch_add(grown, Relaxed) + grown > limit {
                    self.peers.evict_greediest(of, total, limit);
                }
            } else if bytes < before {
                total.fetch_sub(before - bytes, Relaxed);
            }
        }
    }

    /// Returns a number that differs from connection to connection, and from server to server.
    pub(crate) fn chance(&self) -> u64 {
        fastrand::Rng::with_seed(self.peers.seed.wrapping_add(self.number)).u64(..)
    }

    /// Records the time since which the connection is idle; `None` if it is not.
    pub(crate) fn idle_since(&self, since: Option<Millis>) {
        self.share.idle_since.store(since.map_or(BUSY, |since| since.0), Relaxed);
    }

    /// Returns true if this connection has to close, so that others have room.
    pub(crate) fn evicted(&self) -> bool {
        self.share.evicted.load(Relaxed)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.share.wake.notify_one();
    }

    /// Completes after a wake, an eviction or the start of a drain.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.share.wake.notified()
    }

    /// Returns true if the server drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.peers.draining.load(Relaxed)
    }

    /// Returns the limit on calls that is reached, if any, and if no call may wait there.
    pub(crate) fn full(&self) -> Option<Full> {
        let may_wait = || self.peers.queue().is_some_and(|queue| queue.has_room(self.share.key));
        // The session knows which limit is for unary calls only.
        self.limit_reached(MethodKind::Unary).filter(|_| !may_wait())
    }

    /// Returns true if a call has to wait before it starts, because a limit is reached.
    pub(crate) fn has_to_wait(&self, kind: MethodKind) -> bool {
        self.peers.queue.is_some() && self.limit_reached(kind).is_some()
    }

    fn limit_reached(&self, kind: MethodKind) -> Option<Full> {
        match self.peers.gate.full(kind) {
            // Streams pass an adaptive limit, and must not pass the fixed one of their peer with it.
            Some(adaptive @ Full::Adaptive(_)) => {
                let of_peer = self.full_for_peer(kind).filter(|full| matches!(full, Full::Peer(_)));
                of_peer.or(Some(adaptive))
            }
            full => full.or_else(|| self.full_for_peer(kind)),
        }
    }

    fn full_for_peer(&self, kind: MethodKind) -> Option<Full> {
        self.peers.gate.full_for_peer(kind, &self.share.peer.calls)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.holds(0);
        let mut table = self.peers.lock();
        table.seats.remove(&self.number);
        table.leaving -= usize::from(self.evicted());
        if self.share.peer.connections.fetch_sub(1, Relaxed) == 1 {
            table.peers.remove(&self.share.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(change: impl FnOnce(&mut Limits)) -> (Arc<Peers>, Millis) {
        let mut limits = Limits::default();
        change(&mut limits);
        (Arc::new(Peers::new(&limits, 1_024)), Millis(100_000))
    }

    fn host(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn some_descriptors_stay_free_and_one_peer_may_have_three_quarters_of_the_rest() {
        let (peers, _) = peers(|_| ());
        assert_eq!((peers.limits.connections, peers.limits.connections_per_peer), (896, 672));
        let tiny = Peers::new(&Limits::default(), 8);
        assert_eq!((tiny.limits.connections, tiny.limits.connections_per_peer), (1, 1));
    }

    #[test]
    fn a_released_seat_leaves_nothing() {
        let (peers, now) = peers(|limits| limits.connections = 1);
        for _ in 0..10 {
            let seat = peers.seat(host(1), now).unwrap();
            seat.holds(100);
            assert_eq!(peers.seat(host(2), now).unwrap_err(), NoSeat::Full);
        }
        assert_eq!(peers.held.load(Relaxed), 0);
        let table = peers.lock();
        assert!(table.seats.is_empty() && table.peers.is_empty());
    }

    #[test]
    fn when_all_seats_are_taken_the_connection_that_has_been_idle_longest_makes_room() {
        let (peers, start) = peers(|limits| limits.connections = 3);
        let seats: Vec<_> = (1..=3).map(|number| peers.seat(host(number), start).unwrap()).collect();
        seats[0].idle_since(Some(start + Millis(2_000)));
        seats[1].idle_since(Some(start + Millis(1_000)));
        let soon = start + Millis(10_000);
        assert_eq!(peers.seat(host(4), soon).unwrap_err(), NoSeat::Full);
        let later = start + Millis(12_000);
        let fourth = peers.seat(host(4), later).unwrap();
        assert!(!seats[0].evicted() && seats[1].evicted() && !seats[2].evicted());
        assert_eq!(peers.seat(host(5), later).unwrap_err(), NoSeat::Full);
        drop((seats, fourth));
        assert_eq!(peers.lock().leaving, 0);
    }

    #[test]
    fn over_the_limit_of_bytes_the_connection_that_holds_most_has_to_close() {
        let (peers, now) = peers(|limits| limits.bytes = 1_000);
        let seats: Vec<_> = (1..=3).map(|number| peers.seat(host(number), now).unwrap()).collect();
        seats[0].holds(400);
        seats[1].holds(500);
        seats[2].holds(100);
        assert!(!seats.iter().any(Seat::evicted));
        seats[2].holds(200);
        assert!(seats[1].evicted() && !seats[0].evicted() && !seats[2].evicted());
        seats[2].holds(600);
        assert!(!seats[0].evicted() && !seats[2].evicted(), "the first one releases enough");
        seats[2].holds(601);
        assert!(!seats[0].evicted() && seats[2].evicted());
    }

    #[test]
    fn over_its_share_of_the_bytes_a_peer_loses_the_connection_that_holds_most() {
        let (peers, now) = peers(|limits| limits.bytes = 1_000);
        let greedy: Vec<_> = (0..3).map(|_| peers.seat(host(1), now).unwrap()).collect();
        let other = peers.seat(host(2), now).unwrap();
        other.holds(240);
        greedy[0].holds(300);
        greedy[1].holds(200);
        greedy[2].holds(250);
        assert!(!greedy.iter().any(Seat::evicted));
        greedy[2].holds(251);
        assert!(greedy[0].evicted() && !greedy[1].evicted() && !greedy[2].evicted() && !other.evicted());
        drop(greedy);
        assert_eq!(peers.held.load(Relaxed), 240);
        other.holds(751);
        assert!(other.evicted(), "its own share");
    }

    #[test]
    fn the_streams_of_one_peer_are_limited_also_while_an_adaptive_limit_is_reached() {
        let (peers, now) = peers(|limits| (limits.adaptive, limits.in_flight_per_peer) = (true, Some(25)));
        let seat = Arc::new(peers.seat(host(1), now).unwrap());
        let calls: Vec<_> = (0..20).map(|_| InFlight::new(&seat, MethodKind::Unary)).collect();
        assert_eq!(seat.full(), Some(Full::Adaptive(20)));
        let streams: Vec<_> = (0..5).map(|_| InFlight::new(&seat, MethodKind::ServerStream)).collect();
        assert_eq!(seat.full(), Some(Full::Peer(25)));
        drop((calls, streams));
    }

    #[test]
    fn calls_are_counted_for_the_server_and_for_the_peer() {
        let (peers, now) = peers(|limits| limits.in_flight = 4);
        let greedy = Arc::new(peers.seat(host(1), now).unwrap());
        let again = peers.seat(host(1), now).unwrap();
        let other = Arc::new(peers.seat(host(2), now).unwrap());
        let calls: Vec<_> = (0..3).map(|_| InFlight::new(&greedy, MethodKind::Unary)).collect();
        assert_eq!((again.full(), other.full()), (Some(Full::Peer(3)), None));
        let last = InFlight::new(&other, MethodKind::Unary);
        assert_eq!(other.full(), Some(Full::Server(4)));
        drop((calls, last));
        assert_eq!((again.full(), other.full()), (None, None));
    }
}
