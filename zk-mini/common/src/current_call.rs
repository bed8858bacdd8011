//! The call that the current thread works for, so that calls made inside it inherit its deadline without being told.
//!
//! A server enters the call around each poll of its handler, and a client reads it when a call of its own is first polled. Nothing
//! is allocated: a poll moves a value to the thread and back.
//!
//! ```
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use zk_mini_common::current_call::{self, CurrentCall};
//!
//! let until = Instant::now() + Duration::from_secs(1);
//! let mut call = CurrentCall { deadline: Some(until), metadata: None };
//! assert_eq!(call.enter(current_call::deadline), Some(until));
//! assert_eq!(current_call::deadline(), None);
//! ```

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::mem::{self, ManuallyDrop};
use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;

thread_local! {
    /// Without a destructor, which each access would pay for: whoever puts a call in takes it out again.
    static CURRENT: Cell<ManuallyDrop<Option<CurrentCall>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// Replaces the call of this thread.
fn replace(call: Option<CurrentCall>) -> Option<CurrentCall> {
    ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(call)))
}

/// Properties of a call that calls made inside it inherit.
#[derive(Clone, Debug, Default)]
pub struct CurrentCall {
    /// Time after which nobody waits for the call any more.
    pub deadline: Option<Instant>,
    /// Metadata of the call, with the trace that it belongs to, in the type of server and client: shared, and read only if a
    /// call is made inside.
    pub metadata: Option<Arc<dyn Any + Send + Sync>>,
}

impl CurrentCall {
    /// Runs a function inside this call, which then hides an outer one.
    pub fn enter<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let inside = Inside { outer: replace(Some(mem::take(self))), call: self };
        let result = run();
        drop(inside);
        result
    }

    /// Polls a future inside this call, wherever it runs.
    pub async fn scope<F: Future>(mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.enter(|| future.as_mut().poll(cx))).await
    }
}

/// Returns the deadline of the call that this thread works for; `None` outside of calls, and if it has none.
#[must_use]
pub fn deadline() -> Option<Instant> {
    with(|call| call.deadline).flatten()
}

/// Shows a function the call that this thread works for; `None` outside of calls.
pub fn with<R>(look: impl FnOnce(&CurrentCall) -> R) -> Option<R> {
    let call = replace(None)?;
    let seen = look(&call);
    replace(Some(call));
    Some(seen)
}

/// A call that has been entered. Dropping it, also by a panic, puts the outer one back.
struct Inside<'a> {
    call: &'a mut CurrentCall,
    outer: Option<CurrentCall>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.call = replace(self.outer.take()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{Millis, TokioClock};

    fn at(millis: u64) -> CurrentCall {
        CurrentCall { deadline: TokioClock::start().instant(Millis(millis)), metadata: None }
    }

    #[test]
    fn an_inner_call_hides_the_outer_one_until_it_ends_also_by_a_panic() {
        let (mut outer, mut inner) = (at(2_000), at(1_000));
        let (late, early) = (outer.deadline, inner.deadline);
        outer.enter(|| {
            let panicked = catch_unwind(AssertUnwindSafe(|| inner.enter(|| panic!("{:?}", deadline()))));
            assert!(panicked.is_err());
            assert_eq!(deadline(), late);
        });
        assert!(with(|_| ()).is_none());
        assert_eq!((outer.deadline, inner.deadline), (late, early));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scope_is_seen_by_its_future_only() {
        let call = at(1_000);
        let until = call.deadline;
        let inside = tokio::spawn(call.scope(async {
            tokio::task::yield_now().await;
            deadline()
        }));
        let outside = tokio::spawn(async { deadline() });
        assert_eq!((inside.await.unwrap(), outside.await.unwrap()), (until, None));
    }
}
