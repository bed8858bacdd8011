//! Bounded waiting for a condition, never for an amount of time.

use std::thread;
use std::time::{Duration, Instant};

/// Maximum time for something that takes milliseconds, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// Polls `probe`, at least once, until it returns a value; returns `None` after `timeout`.
///
/// ```
/// use integration_tests::wait::{PATIENCE, poll};
/// let mut countdown = 3;
/// let value = poll(PATIENCE, || { countdown -= 1; (countdown == 0).then_some("done") });
/// assert_eq!(value, Some("done"));
/// ```
pub fn poll<T>(timeout: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + timeout;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within `timeout`; the message has `what`.
#[track_caller]
pub fn eventually(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let held = poll(timeout, || condition().then_some(()));
    assert!(held.is_some(), "not within {timeout:?}: {what}");
}

/// Returns the duration of `action`, and its result.
pub fn timed<T>(action: impl FnOnce() -> T) -> (Duration, T) {
    let start = now();
    let result = action();
    (start.elapsed(), result)
}

/// Returns the duration of a future, and its result.
pub async fn timed_async<T>(action: impl Future<Output = T>) -> (Duration, T) {
    let start = now();
    let result = action.await;
    (start.elapsed(), result)
}

#[expect(clippy::disallowed_methods, reason = "the clock of the harness")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_becomes_true_ends_the_wait() {
        let mut calls = 0;
        eventually("the third call", PATIENCE, || {
            calls += 1;
            calls == 3
        });
        assert_eq!(calls, 3);
    }

    #[test]
    #[should_panic(expected = "not within 1ms: the impossible")]
    fn a_condition_that_stays_false_is_named() {
        eventually("the impossible", Duration::from_millis(1), || false);
    }
}
