//! Links: the time that a slow connection takes for a frame.

use ::core::num::NonZeroU64;

use zk_wire::Millis;

use crate::core::faults::FaultId;

/// Slow link between a peer and the server. Frames of one direction follow each other; the directions are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Rule that has made it.
    pub(crate) rule: FaultId,
    latency: Millis,
    bytes_per_second: Option<NonZeroU64>,
    /// Times at which the last frame of each direction has been put on the link, in microseconds.
    busy_in: u64,
    busy_out: u64,
}

impl Link {
    /// Creates a link that delays everything by `latency`, and carries at most that many bytes per second.
    pub(crate) fn new(rule: FaultId, latency: Millis, bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { rule, latency, bytes_per_second, busy_in: 0, busy_out: 0 }
    }

    /// Goes on behind what is on its way over the link that it replaces.
    pub(crate) fn behind(self, earlier: Self) -> Self {
        Self { busy_in: earlier.busy_in, busy_out: earlier.busy_out, ..self }
    }

    /// Returns the time at which a frame that the peer has sent has arrived as a whole.
    pub(crate) fn arrives(&mut self, now: Millis, len: usize) -> Millis {
        carry(&mut self.busy_in, self.bytes_per_second, now, len) + self.latency
    }

    /// Returns the time at which a frame for the peer has arrived as a whole.
    pub(crate) fn leaves(&mut self, now: Millis, len: usize) -> Millis {
        carry(&mut self.busy_out, self.bytes_per_second, now, len) + self.latency
    }
}

/// Puts a frame on a link, after those before it. Returns the time, rounded up, at which it is done.
fn carry(busy: &mut u64, bytes_per_second: Option<NonZeroU64>, now: Millis, len: usize) -> Millis {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    let takes = bytes_per_second.map_or(0, |rate| len.saturating_mul(1_000_000).div_ceil(rate.get()));
    *busy = now.0.saturating_mul(1_000).max(*busy).saturating_add(takes);
    Millis(busy.div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_and_the_latency_comes_on_top() {
        let mut link = Link::new(FaultId(1), Millis(100), NonZeroU64::new(1_000));
        assert_eq!(link.leaves(Millis(5), 10), Millis(115));
        assert_eq!(link.leaves(Millis(6), 10), Millis(125), "behind the one before");
        assert_eq!(link.arrives(Millis(6), 10), Millis(116), "the other direction is free");
        assert_eq!(link.leaves(Millis(1_000), 10), Millis(1_110), "a pause is not made up for");
    }

    #[test]
    fn parts_of_a_millisecond_add_up() {
        let mut link = Link::new(FaultId(1), Millis(0), NonZeroU64::new(10_000));
        let last = (0..100).map(|_| link.arrives(Millis(0), 1)).last();
        assert_eq!(last, Some(Millis(10)));
    }

    #[test]
    fn a_link_without_a_rate_only_delays() {
        let mut link = Link::new(FaultId(1), Millis(7), None);
        assert_eq!(link.arrives(Millis(1), usize::MAX), Millis(8));
        assert_eq!(
            Link::new(FaultId(1), Millis(u64::MAX), NonZeroU64::new(1)).arrives(Millis(1), usize::MAX),
            Millis(u64::MAX)
        );
    }
}
