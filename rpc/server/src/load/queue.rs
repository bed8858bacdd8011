//! Calls that wait because a limit on calls in flight is reached: who may wait, how long, and who is next.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use common::Millis;

/// Queue of waiting calls, in the order of their arrival. `K` names the peer of a call, `W` wakes it.
#[derive(Debug)]
pub(crate) struct WaitQueue<K, W> {
    most: usize,
    most_of_peer: usize,
    /// Number of the next call.
    next: u64,
    waiting: BTreeMap<u64, (K, W)>,
    of_peers: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash, W> WaitQueue<K, W> {
    /// Creates a queue for so many calls, and so many of one peer.
    pub(crate) fn new(most: usize, most_of_peer: usize) -> Self {
        Self { most, most_of_peer, next: 0, waiting: BTreeMap::new(), of_peers: HashMap::new() }
    }

    /// Returns true if a call of the peer may wait.
    pub(crate) fn has_room(&self, peer: K) -> bool {
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or_default();
        self.waiting.len() < self.most && of_peer < self.most_of_peer
    }

    /// Adds a call at the end and returns its number; `None` if there is no room.
    pub(crate) fn push(&mut self, peer: K, waiter: W) -> Option<u64> {
        if !self.has_room(peer) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, (peer, waiter));
        *self.of_peers.entry(peer).or_default() += 1;
        Some(number)
    }

    /// Removes a call that waits no longer.
    pub(crate) fn remove(&mut self, number: u64) -> Option<W> {
        let (peer, waiter) = self.waiting.remove(&number)?;
        if let Some(of_peer) = self.of_peers.get_mut(&peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                self.of_peers.remove(&peer);
            }
        }
        Some(waiter)
    }

    /// Removes the first call that fits: others overtake those of a peer at its own limit.
    pub(crate) fn pop(&mut self, fits: impl Fn(&W) -> bool) -> Option<W> {
        let (&number, _) = self.waiting.iter().find(|(_, (_, waiter))| fits(waiter))?;
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_leave_in_the_order_in_which_they_came() {
        let mut queue = WaitQueue::new(3, 3);
        assert!([1, 2, 3].iter().all(|call| queue.push('a', *call).is_some()));
        assert_eq!(queue.push('a', 4), None);
        assert_eq!([queue.pop(|_| true), queue.pop(|_| true)], [Some(1), Some(2)]);
        assert!(queue.push('a', 5).is_some());
        assert_eq!([queue.pop(|_| true), queue.pop(|_| true), queue.pop(|_| true)], [Some(3), Some(5), None]);
    }

    #[test]
    fn a_peer_at_its_limit_holds_up_no_other() {
        let mut queue = WaitQueue::new(4, 3);
        for call in 1..=3 {
            queue.push('a', ('a', call)).unwrap();
        }
        assert!(!queue.has_room('a') && queue.has_room('b'));
        queue.push('b', ('b', 1)).unwrap();
        assert_eq!(queue.pop(|(peer, _)| *peer != 'a'), Some(('b', 1)));
        assert_eq!(queue.pop(|(peer, _)| *peer != 'a'), None);
        assert_eq!(queue.pop(|_| true), Some(('a', 1)));
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
        fn calls_that_come_and_go_leave_nothing(steps in prop::collection::vec((0..4_u8, 0..3_u8), 0..200)) {
            let mut queue = WaitQueue::new(6, 4);
            let mut model: Vec<(u64, u8)> = Vec::new();
            for (step, peer) in steps {
                match step {
                    0 | 1 => {
                        let of_peer = model.iter().filter(|(_, of)| *of == peer).count();
                        let number = queue.push(peer, peer);
                        prop_assert_eq!(number.is_some(), model.len() < 6 && of_peer < 4);
                        model.extend(number.map(|number| (number, peer)));
                    }
                    2 if !model.is_empty() => {
                        let (number, of) = model.remove(usize::from(peer) % model.len());
                        prop_assert_eq!(queue.remove(number), Some(of));
                        prop_assert_eq!(queue.remove(number), None);
                    }
                    _ => {
                        let first = model.iter().position(|(_, of)| *of == peer);
                        let popped = queue.pop(|of| *of == peer);
                        prop_assert_eq!(popped, first.map(|at| model.remove(at).1));
                    }
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
            while queue.pop(|_| true).is_some() {}
            prop_assert!(queue.of_peers.is_empty());
        }
    }
}
