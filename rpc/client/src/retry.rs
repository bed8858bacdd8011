//! Which calls may be tried again, and after what pause. No I/O.

use rpc_wire::Status;
use std::time::Duration;

/// How one attempt ended, if not with a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// Its bytes never left this process.
    NotSent,
    /// The server said that nothing of it ran.
    NotRun(Status),
    /// The connection broke before the reply; it may have run.
    Lost,
    /// The server answered with a failure.
    Failed(Status),
    /// The time of the call was over; it may have run.
    Late,
}

impl Ended {
    /// Whether another attempt can do no harm, and may help.
    pub(crate) fn may_retry(&self, idempotent: bool) -> bool {
        match self {
            Self::NotSent => true,
            Self::NotRun(status) => is_passing(status),
            Self::Lost => idempotent,
            Self::Late => false,
            Self::Failed(status) => idempotent && status.code == rpc_wire::Code::UNAVAILABLE,
        }
    }
}

/// Whether another instance, or a later time, may give another answer.
fn is_passing(status: &Status) -> bool {
    matches!(status.code, rpc_wire::Code::UNAVAILABLE | rpc_wire::Code::RESOURCE_EXHAUSTED)
}

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
        assert!(Ended::NotSent.may_retry(false));
        assert!(Ended::NotRun(Status::unavailable("")).may_retry(false));
        assert!(Ended::NotRun(Status::resource_exhausted("")).may_retry(false));
    }

    #[test]
    fn what_may_have_run_is_tried_again_only_if_that_does_no_harm() {
        assert!(!Ended::Lost.may_retry(false));
        assert!(Ended::Lost.may_retry(true));
        assert!(!Ended::Failed(Status::unavailable("")).may_retry(false));
        assert!(Ended::Failed(Status::unavailable("")).may_retry(true));
    }

    #[test]
    fn an_answer_that_would_be_the_same_elsewhere_stands() {
        assert!(!Ended::NotRun(Status::unimplemented("")).may_retry(true));
        assert!(!Ended::Failed(Status::not_found("")).may_retry(true));
        assert!(!Ended::Failed(Status::internal("")).may_retry(true));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause(1, 1.0), Duration::ZERO);
        assert_eq!(pause(2, 1.0), Duration::from_millis(10));
        assert_eq!(pause(3, 0.0), Duration::from_millis(10));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }
}
