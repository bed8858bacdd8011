//! Connected peers, the share that each holds, and the choice of those who go when there is not enough for all.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::Millis;
use tokio::sync::Notify;

use crate::Limits;
use crate::session::Full;

/// Value of [`Place::idle_since`] of a connection that is not idle.
const BUSY: u64 = u64::MAX;

/// A connection that has said nothing for so long makes room for a new one, if there is no other. Clients of ours that
/// are alive say something more often.
const MAY_BE_IDLE: Millis = Millis(10_000);

/// The most connections over the limit.
const MOST_LEAVING: usize = 64;

/// The pause after a look at all connections that found none to close.
const LOOK_AGAIN: Millis = Millis(100);

/// Key of one peer: an IPv4 address, or a /64 network of IPv6, of which one host has at least one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PeerKey(IpAddr);

impl PeerKey {
    pub(crate) fn new(addr: IpAddr) -> Self {
        Self(match addr.to_canonical() {
            IpAddr::V6(addr) => {
                let [a, b, c, d, ..] = addr.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            addr => addr,
        })
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(addr) => addr.fmt(f),
            IpAddr::V6(addr) => write!(f, "{addr}/64"),
        }
    }
}

/// The shares of a server that its peers have taken.
#[derive(Debug)]
pub(crate) struct Peers {
    limits: Shares,
    in_flight: AtomicUsize,
    /// Bytes of all connections together.
    held: AtomicUsize,
    table: Mutex<Table>,
}

/// The limits that this table keeps.
#[derive(Clone, Copy, Debug)]
struct Shares {
    connections: usize,
    connections_per_peer: usize,
    in_flight: usize,
    in_flight_per_peer: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    seats: HashMap<u64, Arc<Place>>,
    peers: HashMap<PeerKey, Arc<Peer>>,
    /// Seats of those who have been asked to go.
    leaving: usize,
    /// Nobody was idle for long enough then; there is no sense in looking again at once.
    looked: Option<Millis>,
}

/// Share of all connections of one peer.
#[derive(Debug, Default)]
struct Peer {
    connections: AtomicUsize,
    in_flight: AtomicUsize,
}

/// Share of one connection, for all to see.
#[derive(Debug)]
struct Place {
    key: PeerKey,
    peer: Arc<Peer>,
    held: AtomicUsize,
    /// Since when it has had nothing to do, in milliseconds; [`BUSY`] while it has.
    idle_since: AtomicU64,
    /// It has to go; never taken back.
    evicted: AtomicBool,
    wake: Notify,
}

/// A connection's place among the others; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    peers: Arc<Peers>,
    place: Arc<Place>,
}

/// Reason for which there is no seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoSeat {
    #[error("too many connections to this server")]
    Full,
    #[error("too many connections from this address to this server")]
    FullForPeer,
}

impl Peers {
    /// `descriptors`: how many this process may have, of which some stay free.
    pub(crate) fn new(limits: &Limits, descriptors: usize) -> Self {
        let connections =
            limits.connections.min(descriptors - (descriptors / 8).max(16).min(descriptors)).max(1);
        let limits = Shares {
            connections,
            connections_per_peer: limits.connections_per_peer.unwrap_or_else(|| most_of(connections)),
            in_flight: limits.in_flight,
            in_flight_per_peer: limits.in_flight_per_peer.unwrap_or_else(|| most_of(limits.in_flight)),
            bytes: limits.bytes,
        };
        let (in_flight, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { limits, in_flight, held, table: Mutex::default() }
    }

    /// A seat for a new connection. When there is none for anybody, the one that has been idle longest is asked to go.
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
            // A few more, until those who were asked to go have gone.
            if table.seats.len() - table.leaving >= self.limits.connections || table.leaving > MOST_LEAVING {
                return Err(NoSeat::Full);
            }
        }
        peer.connections.store(of_peer + 1, Relaxed);
        table.peers.entry(key).or_insert_with(|| peer.clone());
        let place = Arc::new(Place {
            key,
            peer,
            held: AtomicUsize::new(0),
            idle_since: AtomicU64::new(BUSY),
            evicted: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let number = table.next;
        table.next += 1;
        table.seats.insert(number, place.clone());
        Ok(Seat { number, peers: self.clone(), place })
    }

    /// Makes room, if somebody has been idle for long enough; false if not.
    pub(crate) fn make_room(&self, now: Millis) -> bool {
        self.evict_idle(&mut self.lock(), now)
    }

    fn evict_idle(&self, table: &mut Table, now: Millis) -> bool {
        if table.looked.is_some_and(|at| now.since(at) < LOOK_AGAIN) {
            return false;
        }
        let places = table.seats.values().filter(|place| !place.evicted.load(Relaxed));
        let longest = places.min_by_key(|place| place.idle_since.load(Relaxed));
        let enough = now.since(MAY_BE_IDLE).0;
        match longest.filter(|place| place.idle_since.load(Relaxed) < enough) {
            Some(place) => {
                place.evict();
                table.leaving += 1;
                true
            }
            None => {
                table.looked = Some(now);
                false
            }
        }
    }

    /// The one that holds most has to go, unless those who go already give enough back.
    fn evict_greediest(&self) {
        let mut table = self.lock();
        let mut leaving = 0;
        let mut greediest: Option<(usize, &Arc<Place>)> = None;
        for place in table.seats.values() {
            let held = place.held.load(Relaxed);
            if place.evicted.load(Relaxed) {
                leaving += held;
            } else if greediest.is_none_or(|(most, _)| held > most) {
                greediest = Some((held, place));
            }
        }
        if self.held.load(Relaxed).saturating_sub(leaving) > self.limits.bytes
            && let Some((_, place)) = greediest
        {
            place.evict();
            table.leaving += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing that can panic runs under the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn evict(&self) {
        self.evicted.store(true, Relaxed);
        self.wake.notify_one();
    }
}

impl Seat {
    /// Says how many bytes the connection holds now.
    pub(crate) fn holds(&self, bytes: usize) {
        let before = self.place.held.swap(bytes, Relaxed);
        if bytes > before {
            let grown = bytes - before;
            let total = self.peers.held.fetch_add(grown, Relaxed) + grown;
            if total > self.peers.limits.bytes {
                self.peers.evict_greediest();
            }
        } else if bytes < before {
            self.peers.held.fetch_sub(before - bytes, Relaxed);
        }
    }

    /// Says since when the connection has had nothing to do; `None` if it has.
    pub(crate) fn idle_since(&self, since: Option<Millis>) {
        self.place.idle_since.store(since.map_or(BUSY, |since| since.0), Relaxed);
    }

    /// Returns true if this connection has to go, so that others have room.
    pub(crate) fn evicted(&self) -> bool {
        self.place.evicted.load(Relaxed)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.place.wake.notify_one();
    }

    /// Completes after a wake, or an eviction.
    pub(crate) async fn woken(&self) {
        self.place.wake.notified().await;
    }

    /// Returns the limit that keeps further calls from running, if one is reached.
    pub(crate) fn full(&self) -> Option<Full> {
        let limits = &self.peers.limits;
        if self.peers.in_flight.load(Relaxed) >= limits.in_flight {
            return Some(Full::Server(limits.in_flight));
        }
        if self.place.peer.in_flight.load(Relaxed) >= limits.in_flight_per_peer {
            return Some(Full::Peer(limits.in_flight_per_peer));
        }
        None
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.holds(0);
        let mut table = self.peers.lock();
        table.seats.remove(&self.number);
        table.leaving -= usize::from(self.evicted());
        if self.place.peer.connections.fetch_sub(1, Relaxed) == 1 {
            table.peers.remove(&self.place.key);
        }
    }
}

/// A unit of the counts of unfinished calls, given back on drop.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Seat>);

impl InFlight {
    pub(crate) fn new(seat: &Arc<Seat>) -> Self {
        seat.peers.in_flight.fetch_add(1, Relaxed);
        seat.place.peer.in_flight.fetch_add(1, Relaxed);
        Self(seat.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.peers.in_flight.fetch_sub(1, Relaxed);
        self.0.place.peer.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Share that one peer may take of what is there for all.
fn most_of(all: usize) -> usize {
    all - all / 4
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
    fn addresses_of_one_host_are_one_peer() {
        let key = |text: &str| PeerKey::new(text.parse().unwrap());
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    }

    #[test]
    fn some_descriptors_stay_free_and_a_peer_has_three_quarters_of_the_rest() {
        let (peers, _) = peers(|_| ());
        assert_eq!((peers.limits.connections, peers.limits.connections_per_peer), (896, 672));
        let tiny = Peers::new(&Limits::default(), 8);
        assert_eq!((tiny.limits.connections, tiny.limits.connections_per_peer), (1, 1));
    }

    #[test]
    fn a_seat_that_is_given_back_leaves_nothing() {
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
    fn when_all_seats_are_taken_the_one_that_has_been_idle_longest_makes_room() {
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
    fn over_the_limit_of_bytes_the_one_that_holds_most_has_to_go() {
        let (peers, now) = peers(|limits| limits.bytes = 1_000);
        let seats: Vec<_> = (1..=3).map(|number| peers.seat(host(number), now).unwrap()).collect();
        seats[0].holds(400);
        seats[1].holds(500);
        seats[2].holds(100);
        assert!(!seats.iter().any(Seat::evicted));
        seats[2].holds(200);
        assert!(seats[1].evicted() && !seats[0].evicted() && !seats[2].evicted());
        seats[2].holds(600);
        assert!(!seats[0].evicted() && !seats[2].evicted(), "what the first one gives back is enough");
        seats[2].holds(601);
        assert!(!seats[0].evicted() && seats[2].evicted());
    }

    #[test]
    fn calls_are_counted_for_the_server_and_for_the_peer() {
        let (peers, now) = peers(|limits| limits.in_flight = 4);
        let greedy = Arc::new(peers.seat(host(1), now).unwrap());
        let again = peers.seat(host(1), now).unwrap();
        let other = Arc::new(peers.seat(host(2), now).unwrap());
        let calls: Vec<_> = (0..3).map(|_| InFlight::new(&greedy)).collect();
        assert_eq!((again.full(), other.full()), (Some(Full::Peer(3)), None));
        let last = InFlight::new(&other);
        assert_eq!(other.full(), Some(Full::Server(4)));
        drop((calls, last));
        assert_eq!((again.full(), other.full()), (None, None));
    }
}
