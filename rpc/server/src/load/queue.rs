//! Calls that wait because a limit on calls in flight is reached: who may wait, how long, and who is next.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use common::Millis;

use crate::session::MethodKind;

/// Queue of waiting calls, in the order of their arrival. `K` names the peer of a call, `W` wakes it.
#[derive(Debug)]
pub(crate) struct WaitQueue<K, W> {
    most: usize,
    most_of_peer: usize,
    /// Number of the next call.
    next: u64,
    waiting: BTreeMap<u64, (Lane<K>, W)>,
    lanes: HashMap<Lane<K>, BTreeSet<u64>>,
    /// First call of each lane.
    first: BTreeSet<u64>,
    of_peers: HashMap<K, usize>,
}

/// Calls of one peer and one kind: either any of them may start, or none.
type Lane<K> = (K, MethodKind);

impl<K: Copy + Eq + Hash, W> WaitQueue<K, W> {
    /// Creates a queue for so many calls, and so many of one peer.
    pub(crate) fn new(most: usize, most_of_peer: usize) -> Self {
        Self {
            most,
            most_of_peer,
            next: 0,
            waiting: BTreeMap::new(),
            lanes: HashMap::new(),
            first: BTreeSet::new(),
            of_peers: HashMap::new(),
        }
    }

    /// Returns true if a call of the peer may wait.
    pub(crate) fn has_room(&self, peer: K) -> bool {
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or_default();
        self.waiting.len() < self.most && of_peer < self.most_of_peer
    }

    /// Adds a call at the end and returns its number; `None` if there is no room.
    pub(crate) fn push(&mut self, peer: K, kind: MethodKind, waiter: W) -> Option<u64> {
        if !self.has_room(peer) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let lane = self.lanes.entry((peer, kind)).or_default();
        if lane.is_empty() {
            self.first.insert(number);
        }
        lane.insert(number);
        self.waiting.insert(number, ((peer, kind), waiter));
        *self.of_peers.entry(peer).or_default() += 1;
        Some(number)
    }

    /// Removes a call that waits no longer.
    pub(crate) fn remove(&mut self, number: u64) -> Option<W> {
        let (lane, waiter) = self.waiting.remove(&number)?;
        if let Entry::Occupied(mut calls) = self.lanes.entry(lane) {
            calls.get_mut().remove(&number);
            let next = calls.get().first().copied();
            if self.first.remove(&number) {
                self.first.extend(next);
            }
            if next.is_none() {
                calls.remove();
            }
        }
        if let Entry::Occupied(mut of_peer) = self.of_peers.entry(lane.0) {
            *of_peer.get_mut() -= 1;
            if *of_peer.get() == 0 {
                of_peer.remove();
            }
        }
        Some(waiter)
    }

    /// Removes the first call that fits: others overtake those of a peer at its own limit. Asks for one call of each peer and
    /// kind, so that it does not matter how many of them wait.
    pub(crate) fn pop(&mut self, fits: impl Fn(&W) -> bool) -> Option<W> {
        let fits = |number: &u64| self.waiting.get(number).is_some_and(|(_, waiter)| fits(waiter));
        let number = self.first.iter().copied().find(fits)?;
        self.remove(number)
    }

    /// Returns true if no call waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Returns the time until which a call may wait; `None` if it may not. At least twice the usual time of its method is left then.
pub(crate) fn wait_until(
    now: Millis,
    patience: Duration,
    deadline: Option<Millis>,
    usual: Duration,
) -> Option<Millis> {
    // A deadline is rounded up by a millisecond.
    let needed = Millis::from(2 * usual) + Millis(1);
    let latest = match deadline {
        Some(at) => Millis(at.0.checked_sub(needed.0)?),
        None => Millis(u64::MAX),
    };
    Some(latest.min(now + Millis::from(patience))).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::session::MethodKind::{ServerStream, Unary};

    #[test]
    fn calls_leave_in_the_order_in_which_they_came() {
        let mut queue = WaitQueue::new(3, 3);
        assert!([1, 2, 3].iter().all(|call| queue.push('a', Unary, *call).is_some()));
        assert_eq!(queue.push('a', Unary, 4), None);
        assert_eq!([queue.pop(|_| true), queue.pop(|_| true)], [Some(1), Some(2)]);
        assert!(queue.push('a', Unary, 5).is_some());
        assert_eq!([queue.pop(|_| true), queue.pop(|_| true), queue.pop(|_| true)], [Some(3), Some(5), None]);
    }

    #[test]
    fn a_peer_at_its_limit_holds_up_no_other() {
        let mut queue = WaitQueue::new(4, 3);
        for call in 1..=3 {
            queue.push('a', Unary, ('a', call)).unwrap();
        }
        assert!(!queue.has_room('a') && queue.has_room('b'));
        queue.push('b', Unary, ('b', 1)).unwrap();
        assert_eq!(queue.pop(|(peer, _)| *peer != 'a'), Some(('b', 1)));
        assert_eq!(queue.pop(|(peer, _)| *peer != 'a'), None);
        assert_eq!(queue.pop(|_| true), Some(('a', 1)));
    }

    #[test]
    fn many_calls_of_a_peer_at_its_limit_cost_no_more_than_one_of_each_kind() {
        let mut queue = WaitQueue::new(10_000, 7_500);
        for call in 0..7_500 {
            let kind = if call % 2 == 0 { Unary } else { ServerStream };
            queue.push('a', kind, 'a').unwrap();
        }
        queue.push('b', Unary, 'b').unwrap();
        let looks = Cell::new(0);
        let fits = |peer: &char| {
            looks.set(looks.get() + 1);
            *peer == 'b'
        };
        assert_eq!((queue.pop(fits), looks.take()), (Some('b'), 3));
        assert_eq!((queue.pop(fits), looks.take()), (None, 2));
    }

    #[test]
    fn a_call_waits_no_longer_than_its_deadline_leaves_time_for_it() {
        let ms = Duration::from_millis;
        let until = |deadline, usual| wait_until(Millis(1_000), ms(50), deadline, ms(usual));
        assert_eq!(until(None, 10), Some(Millis(1_050)));
        assert_eq!(until(Some(Millis(1_200)), 10), Some(Millis(1_050)));
        assert_eq!(until(Some(Millis(1_061)), 10), Some(Millis(1_040)));
        assert_eq!(until(Some(Millis(1_021)), 10), None);
        assert_eq!(until(Some(Millis(5)), 10), None);
        assert_eq!(until(Some(Millis(1_002)), 0), Some(Millis(1_001)));
    }

    proptest! {
        #[test]
        fn calls_that_come_and_go_leave_nothing(
            steps in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..200),
        ) {
            let mut queue = WaitQueue::new(6, 4);
            let mut model: Vec<(u64, (u8, bool))> = Vec::new();
            for (step, peer, is_unary) in steps {
                match step {
                    0 | 1 => {
                        let of_peer = model.iter().filter(|(_, (of, _))| *of == peer).count();
                        let (kind, call) = (if is_unary { Unary } else { ServerStream }, (peer, is_unary));
                        let number = queue.push(peer, kind, call);
                        prop_assert_eq!(number.is_some(), model.len() < 6 && of_peer < 4);
                        model.extend(number.map(|number| (number, call)));
                    }
                    2 if !model.is_empty() => {
                        let (number, call) = model.remove(usize::from(peer) % model.len());
                        prop_assert_eq!(queue.remove(number), Some(call));
                        prop_assert_eq!(queue.remove(number), None);
                    }
                    _ => {
                        // One peer is at its limit, perhaps for unary calls only.
                        let fits = |(of, unary): &(u8, bool)| *of != peer || (is_unary && !unary);
                        let first = model.iter().position(|(_, call)| fits(call));
                        let popped = queue.pop(fits);
                        prop_assert_eq!(popped, first.map(|at| model.remove(at).1));
                    }
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
            while queue.pop(|_| true).is_some() {}
            prop_assert!(queue.of_peers.is_empty() && queue.lanes.is_empty() && queue.first.is_empty());
        }
    }
}
