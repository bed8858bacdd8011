//! The quota of calls after which a worker is replaced: a counter, without the signal.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counts down the calls of a process.
#[derive(Debug)]
pub struct CallQuota {
    left: AtomicU64,
}

impl CallQuota {
    /// Allows this many calls, or up to a tenth fewer by `chance`, so that workers that start together do not retire
    /// together.
    #[must_use]
    pub fn new(calls: u64, chance: u64) -> Self {
        let calls = calls.max(1);
        Self { left: AtomicU64::new(calls - chance % (calls / 10 + 1)) }
    }

    /// Counts a call. Returns true for the last one.
    pub fn spend(&self) -> bool {
        self.left.fetch_sub(1, Relaxed) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_a_tenth_at_most() {
        for chance in 0..1_000 {
            let left = CallQuota::new(100, chance).left.into_inner();
            assert!((90..=100).contains(&left), "{left}");
        }
        assert_eq!(CallQuota::new(0, 7).left.into_inner(), 1);
    }

    #[test]
    fn only_the_last_call_uses_it_up() {
        let quota = CallQuota::new(2, 0);
        assert_eq!([quota.spend(), quota.spend(), quota.spend()], [false, true, false]);
    }
}
