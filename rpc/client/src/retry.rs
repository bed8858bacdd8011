//! Which calls may be tried again, and after what pause. No I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rpc_wire::{Code, Status};

/// How one attempt ended, if not with a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// Its bytes never left this process.
    NotSent,
    /// The server said that nothing of it ran.
    NotRun(Status),
    /// The connection broke before the reply, for this reason; it may have run.
    Lost(Arc<str>),
    /// The server answered with a failure.
    Failed(Status),
    /// The time of the call was over; it may have run.
    Late,
}

/// The harm that another attempt could do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Retry {
    /// It cannot help, or the call might run twice.
    No,
    /// None: nothing ran, and the server is not overloaded.
    Free,
    /// More load for servers that may already break under it: counted, for each call and for the client.
    Counted,
}

impl Ended {
    /// The kind of retry that this end of an attempt calls for.
    pub(crate) fn retry(&self, idempotent: bool) -> Retry {
        match self {
            Self::NotSent => Retry::Free,
            Self::NotRun(status) if status.code == Code::UNAVAILABLE => Retry::Free,
            Self::NotRun(status) if status.code == Code::RESOURCE_EXHAUSTED => Retry::Counted,
            Self::Lost(_) if idempotent => Retry::Counted,
            Self::Failed(status) if idempotent && status.code == Code::UNAVAILABLE => Retry::Counted,
            Self::NotRun(_) | Self::Lost(_) | Self::Failed(_) | Self::Late => Retry::No,
        }
    }
}

/// The counted retries that a client may still make: each call adds a share of one, each retry takes one. Under overload,
/// when every call fails, that bounds the additional load to this share.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In hundredths of a retry.
    left: AtomicU32,
    max: u32,
    per_call: u32,
}

impl Budget {
    /// A budget that allows `burst` retries at once, and `percent` retries per hundred calls.
    pub(crate) fn new(burst: u32, percent: u32) -> Self {
        let max = burst.saturating_mul(RETRY);
        Self { left: AtomicU32::new(max), max, per_call: percent }
    }

    /// Notes a call.
    pub(crate) fn add_call(&self) {
        let more = |left: u32| Some(left.saturating_add(self.per_call).min(self.max));
        // A full budget, the usual case, is not written to: callers on other cores share it.
        if self.left.load(Ordering::Relaxed) < self.max {
            let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Takes a retry, if one is left.
    pub(crate) fn take_retry(&self) -> bool {
        let less = |left: u32| left.checked_sub(RETRY);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// A retry, in hundredths of one.
const RETRY: u32 = 100;

/// The pause before attempt number `attempt`, the first being 0; `chance` in 0..1 spreads clients out.
pub(crate) fn pause(attempt: u32, chance: f64) -> Duration {
    match attempt {
        // The first failure says something about one connection, not about the service.
        0 | 1 => Duration::ZERO,
        _ => FIRST_PAUSE
            .saturating_mul(1 << (attempt - 2).min(16))
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + chance / 2.0),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_certainly_did_not_run_is_tried_again() {
        assert_eq!(Ended::NotSent.retry(false), Retry::Free);
        assert_eq!(Ended::NotRun(Status::unavailable("")).retry(false), Retry::Free);
        assert_eq!(Ended::NotRun(Status::resource_exhausted("")).retry(false), Retry::Counted);
    }

    #[test]
    fn what_may_have_run_is_tried_again_only_if_that_does_no_harm() {
        assert_eq!(Ended::Lost("reset".into()).retry(false), Retry::No);
        assert_eq!(Ended::Lost("reset".into()).retry(true), Retry::Counted);
        assert_eq!(Ended::Failed(Status::unavailable("")).retry(false), Retry::No);
        assert_eq!(Ended::Failed(Status::unavailable("")).retry(true), Retry::Counted);
        assert_eq!(Ended::Late.retry(true), Retry::No);
    }

    #[test]
    fn an_answer_that_would_be_the_same_elsewhere_stands() {
        assert_eq!(Ended::NotRun(Status::unimplemented("")).retry(true), Retry::No);
        assert_eq!(Ended::Failed(Status::not_found("")).retry(true), Retry::No);
        assert_eq!(Ended::Failed(Status::internal("")).retry(true), Retry::No);
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
        assert_eq!((0..100).filter(|_| budget.take_retry()).count(), 10, "what is saved up is bounded");
        let none = Budget::new(0, 100);
        none.add_call();
        assert!(!none.take_retry());
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause(1, 1.0), Duration::ZERO);
        assert_eq!(pause(2, 1.0), Duration::from_millis(10));
        assert_eq!(pause(3, 0.0), Duration::from_millis(10));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }
}
