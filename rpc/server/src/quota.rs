//! How many calls a worker is to take before another takes its place.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Counts calls down.
#[derive(Debug)]
pub(crate) struct Quota {
    left: AtomicU64,
    used_up: Notify,
}

impl Quota {
    /// For this many calls, up to a tenth fewer by `chance`: workers that start together do not retire together.
    pub(crate) fn new(calls: u64, chance: u64) -> Self {
        let calls = calls.max(1);
        Self { left: AtomicU64::new(calls - chance % (calls / 10 + 1)), used_up: Notify::new() }
    }

    /// A call has been started.
    pub(crate) fn spend(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.used_up.notify_one();
        }
    }

    /// Completes when the last call has been started; once.
    pub(crate) async fn used_up(&self) {
        self.used_up.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_a_tenth_at_most() {
        for chance in 0..1_000 {
            let left = Quota::new(100, chance).left.into_inner();
            assert!((90..=100).contains(&left), "{left}");
        }
        assert_eq!(Quota::new(0, 7).left.into_inner(), 1);
    }

    #[tokio::test]
    async fn it_is_used_up_by_the_last_call_even_if_nobody_waits_yet() {
        let quota = Quota::new(2, 0);
        quota.spend();
        quota.spend();
        quota.spend();
        quota.used_up().await;
    }
}
