//! The rules of retries: the calls that may be tried again, and the pauses. No I/O.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Backoff, Millis};
use fastrand::Rng;
use rpc_wire::{Code, RetryAfter};

use crate::session::Ended;

/// Pauses before retries.
const PAUSES: Backoff = Backoff::new(Millis(10), Millis(500));

/// One retry, in hundredths.
const RETRY: u32 = 100;

/// Maximum number of attempts at one call or stream.
const MAX_ATTEMPTS: u32 = 16;

/// Number of refusals by servers that are leaving after which a call may be tried again without being counted.
const FREE_REFUSALS: u32 = 3;

/// Longest time after which a call comes again because the server has asked for it. It ends with the answer if that time is longer.
const MAX_WAIT: Millis = Millis(60_000);

/// A retry, by the harm that it could do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Retry {
    /// No retry: it cannot help, or the call might run twice.
    No,
    /// A retry without harm: nothing ran, and the server is not overloaded.
    Free,
    /// A retry that puts more load on servers that may break under it: counted for the call and for the client.
    Counted,
}

/// Returns the kind of retry that this end of an attempt calls for.
pub(crate) fn retry(ended: &Ended, idempotent: bool) -> Retry {
    match ended {
        Ended::NotSent => Retry::Free,
        Ended::NotRun(status) if status.code == Code::UNAVAILABLE => Retry::Free,
        Ended::NotRun(status) if status.code == Code::RESOURCE_EXHAUSTED => Retry::Counted,
        Ended::Lost(_) if idempotent => Retry::Counted,
        Ended::Failed(status) if idempotent && status.code == Code::UNAVAILABLE => Retry::Counted,
        // The server asks for it.
        Ended::Failed(_) if idempotent && matches!(retry_after(ended), Some(RetryAfter::Time(_))) => {
            Retry::Counted
        }
        Ended::NotRun(_) | Ended::Lost(_) | Ended::Failed(_) | Ended::Late => Retry::No,
    }
}

/// Returns when the server wants to be asked again, if it has told.
fn retry_after(ended: &Ended) -> Option<RetryAfter> {
    match ended {
        Ended::Failed(status) | Ended::NotRun(status) => {
            let is_overload = matches!(status.code, Code::RESOURCE_EXHAUSTED | Code::UNAVAILABLE);
            status.retry_after().filter(|_| is_overload)
        }
        Ended::NotSent | Ended::Lost(_) | Ended::Late => None,
    }
}

/// The attempts at one call or stream so far.
#[derive(Debug, Default)]
pub(crate) struct Attempted {
    attempts: u32,
    /// Number of retries that put more load on the service.
    counted: u32,
    /// Number of refusals by servers that are leaving.
    refusals: u32,
    /// Time for which the last server wants to be left alone.
    wait: Millis,
}

/// Bounds of the retries of one call or stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLimits<'a> {
    pub(crate) max_counted: u32,
    pub(crate) budget: &'a Budget,
    /// Time to the deadline, if there is one.
    pub(crate) time_left: Option<Millis>,
}

impl Attempted {
    /// Begins an attempt. Returns false if there were as many as there may be.
    pub(crate) fn begin(&mut self) -> bool {
        self.attempts += 1;
        self.attempts <= MAX_ATTEMPTS
    }

    /// Returns true if an attempt has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.attempts > 0
    }

    /// Returns true if the attempt that has begun is a retry.
    pub(crate) fn is_retry(&self) -> bool {
        self.attempts > 1
    }

    /// Returns true if another attempt may follow one that has ended in this way, and counts it.
    pub(crate) fn may_retry(&mut self, ended: &Ended, idempotent: bool, limits: RetryLimits<'_>) -> bool {
        let RetryLimits { max_counted, budget, time_left } = limits;
        if self.attempts >= MAX_ATTEMPTS {
            return false;
        }
        self.wait = match retry_after(ended) {
            None => Millis(0),
            Some(RetryAfter::Never) => return false,
            Some(RetryAfter::Time(time)) => Millis::from(time),
        };
        if self.wait > MAX_WAIT || time_left.is_some_and(|left| self.wait > Millis(0) && self.wait >= left) {
            return false;
        }
        let is_counted = match retry(ended, idempotent) {
            Retry::No => return false,
            Retry::Free if matches!(ended, Ended::NotSent) => false,
            Retry::Free => {
                self.refusals += 1;
                self.refusals > FREE_REFUSALS
            }
            Retry::Counted => true,
        };
        if !is_counted {
            return true;
        }
        self.counted += 1;
        self.counted <= max_counted && budget.take_retry()
    }

    /// Returns the pause before the attempt that has begun. The wish of the last server is heard once: the attempts after this
    /// one may be made because a link has just closed, which says nothing new about that server.
    pub(crate) fn pause(&mut self, random: impl FnOnce() -> Rng) -> Millis {
        pause(self.attempts.saturating_sub(1), random).max(mem::take(&mut self.wait))
    }
}

/// Counted retries that a client may still make. Each call adds a share of one, each retry takes one, so that the
/// additional load is bounded by this share when every call fails.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Retries left, in hundredths of one.
    left: AtomicU32,
    max: u32,
    per_call: u32,
}

impl Budget {
    /// Allows `burst` retries at once, and `percent` retries per hundred calls.
    pub(crate) fn new(burst: u32, percent: u32) -> Self {
        let max = burst.saturating_mul(RETRY);
        Self { left: AtomicU32::new(max), max, per_call: percent }
    }

    /// Notes a call.
    pub(crate) fn add_call(&self) {
        let more = |left: u32| Some(left.saturating_add(self.per_call).min(self.max));
        // A full budget (the usual case) is not written to, because callers on other cores share it.
        if self.left.load(Ordering::Relaxed) < self.max {
            let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Takes a retry, if one is left.
    pub(crate) fn take_retry(&self) -> bool {
        let less = |left: u32| left.checked_sub(RETRY);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Takes back a retry that was not made.
    pub(crate) fn return_retry(&self) {
        let more = |left: u32| Some(left.saturating_add(RETRY).min(self.max));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Returns the pause before attempt number `attempt`, the first being 0.
fn pause(attempt: u32, random: impl FnOnce() -> Rng) -> Millis {
    match attempt {
        // The first failure says something about one connection, not about the service.
        0 | 1 => Millis(0),
        _ => PAUSES.pause(attempt - 2, &mut random()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fastrand::Rng;
    use proptest::prelude::*;
    use rpc_wire::Status;

    use super::*;

    #[test]
    fn a_call_that_did_not_run_is_tried_again() {
        assert_eq!(retry(&Ended::NotSent, false), Retry::Free);
        assert_eq!(retry(&Ended::NotRun(Status::unavailable("")), false), Retry::Free);
        assert_eq!(retry(&Ended::NotRun(Status::resource_exhausted("")), false), Retry::Counted);
    }

    #[test]
    fn a_call_that_may_have_run_is_tried_again_only_if_idempotent() {
        assert_eq!(retry(&Ended::Lost("reset".into()), false), Retry::No);
        assert_eq!(retry(&Ended::Lost("reset".into()), true), Retry::Counted);
        assert_eq!(retry(&Ended::Failed(Status::unavailable("")), false), Retry::No);
        assert_eq!(retry(&Ended::Failed(Status::unavailable("")), true), Retry::Counted);
        assert_eq!(retry(&Ended::Late, true), Retry::No);
    }

    #[test]
    fn an_answer_that_would_be_the_same_elsewhere_stands() {
        assert_eq!(retry(&Ended::NotRun(Status::unimplemented("")), true), Retry::No);
        assert_eq!(retry(&Ended::Failed(Status::not_found("")), true), Retry::No);
        assert_eq!(retry(&Ended::Failed(Status::internal("")), true), Retry::No);
    }

    #[test]
    fn a_budget_allows_a_burst_and_then_a_share_of_the_calls() {
        let budget = Budget::new(10, 20);
        assert_eq!((0..100).filter(|_| budget.take_retry()).count(), 10);
        let allowed = (0..1_000).filter(|_| {
            budget.add_call();
            budget.take_retry()
        });
        assert_eq!(allowed.count(), 200);
        (0..1_000).for_each(|_| budget.add_call());
        assert_eq!((0..100).filter(|_| budget.take_retry()).count(), 10, "savings are bounded");
        let none = Budget::new(0, 100);
        none.add_call();
        assert!(!none.take_retry());
    }

    proptest! {
        #[test]
        fn when_every_attempt_fails_the_added_load_stays_within_the_budget(
            burst in 0u32..100, percent in 0u32..100, calls in 1u32..500, each in 0u32..5,
        ) {
            let budget = Budget::new(burst, percent);
            let mut retries = 0;
            for _ in 0..calls {
                budget.add_call();
                retries += (0..each).take_while(|_| budget.take_retry()).count();
            }
            prop_assert!(retries as u64 <= u64::from(burst) + u64::from(calls) * u64::from(percent) / 100);
        }
    }

    #[test]
    fn a_call_has_a_few_free_refusals_and_as_many_counted_retries_as_allowed() {
        let (budget, leaving) = (Budget::new(100, 0), Ended::NotRun(Status::unavailable("")));
        let retries = |max_counted: u32, ended: &Ended| {
            let mut attempted = Attempted::default();
            let limits = RetryLimits { max_counted, budget: &budget, time_left: None };
            let next = || (attempted.begin() && attempted.may_retry(ended, false, limits)).then_some(());
            std::iter::from_fn(next).count()
        };
        assert_eq!(retries(0, &leaving), 3);
        assert_eq!(retries(2, &leaving), 5);
        assert_eq!(retries(2, &Ended::NotRun(Status::resource_exhausted(""))), 2);
        assert_eq!(retries(0, &Ended::NotSent), 15, "all attempts together are bounded, too");
    }

    #[test]
    fn a_server_says_when_to_come_again_or_that_it_makes_no_sense() {
        let (budget, second) = (Budget::new(100, 0), Duration::from_secs(1));
        let pause = |status: Status, has_run: bool, idempotent: bool, time_left: u64| {
            let ended = if has_run { Ended::Failed(status) } else { Ended::NotRun(status) };
            let limits = RetryLimits { max_counted: 2, budget: &budget, time_left: Some(Millis(time_left)) };
            let mut attempted = Attempted::default();
            attempted.begin();
            let may = attempted.may_retry(&ended, idempotent, limits);
            attempted.begin();
            may.then(|| attempted.pause(|| Rng::with_seed(1)))
        };
        let busy = || Status::resource_exhausted("");
        assert_eq!(pause(busy(), false, false, 5_000), Some(Millis(0)));
        assert_eq!(pause(busy().with_retry_after(second), false, false, 5_000), Some(Millis(1_000)));
        assert_eq!(pause(busy().with_retry_after(second), false, false, 1_000), None, "too late");
        assert_eq!(pause(busy().without_retry(), false, true, 5_000), None);
        assert_eq!(pause(busy().with_retry_after(61 * second), false, false, u64::MAX), None, "absurd");
        assert_eq!(pause(busy(), true, true, 5_000), None);
        assert_eq!(pause(busy().with_retry_after(second), true, true, 5_000), Some(Millis(1_000)));
        assert_eq!(pause(busy().with_retry_after(second), true, false, 5_000), None, "it may have run");
        let leaving = Status::unavailable("").with_retry_after(2 * second);
        assert_eq!(pause(leaving, false, false, 5_000), Some(Millis(2_000)));
        let missing = Status::not_found("").with_retry_after(second);
        assert_eq!(pause(missing, true, true, 5_000), None, "it would be the same");
    }

    #[test]
    fn the_time_that_a_server_asks_for_is_waited_for_once_even_if_the_next_link_has_just_closed() {
        let (budget, mut attempted) = (Budget::new(100, 0), Attempted::default());
        let limits = RetryLimits { max_counted: 2, budget: &budget, time_left: None };
        let busy = Status::resource_exhausted("").with_retry_after(Duration::from_secs(30));
        assert!(attempted.begin() && attempted.may_retry(&Ended::NotRun(busy), false, limits));
        assert!(attempted.begin());
        assert_eq!(attempted.pause(|| Rng::with_seed(1)), Millis(30_000));
        // No end of an attempt, because it has found no link.
        assert!(attempted.begin());
        assert!(attempted.pause(|| Rng::with_seed(1)) <= Millis(10));
    }

    #[test]
    fn a_retry_that_was_not_made_goes_back_to_the_budget() {
        let budget = Budget::new(1, 0);
        assert!(budget.take_retry() && !budget.take_retry());
        budget.return_retry();
        budget.return_retry();
        assert!(budget.take_retry() && !budget.take_retry(), "no more than there were");
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let random = || Rng::with_seed(1);
        assert_eq!(pause(1, random), Millis(0));
        assert!((5..=10).contains(&pause(2, random).0));
        assert!((10..=20).contains(&pause(3, random).0));
        assert!((250..=500).contains(&pause(u32::MAX, random).0));
    }
}
