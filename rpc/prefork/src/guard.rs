//! Calls of code that is not ours: hooks, and whatever the log goes to. The parent survives their panics.
//!
//! A subscriber of `tracing` may well panic: the usual one does when it cannot write, because nobody reads the log any
//! more or the disk is full. That is no reason to leave all workers without a parent.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls it, and gives the message if it panics.
///
/// That it may be cut in the middle is safe for the caller as long as it is lent nothing of the caller's that it could
/// leave half changed; whatever state it has of its own, a hook say, is its own to keep in order.
pub(crate) fn survive<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let message = message_of(panic.as_ref());
        // What a panic carries is not ours either, and its end may be another one.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        message
    })
}

/// Logs: what cannot be logged is dropped.
pub(crate) fn quietly(log: impl FnOnce()) {
    let _ = survive(log);
}

/// Calls a hook. That it panicked is logged.
pub(crate) fn hook(name: &str, hook: impl FnOnce()) {
    if let Err(why) = survive(hook) {
        quietly(|| tracing::error!("the hook `{name}` {why}; going on"));
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("with something that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(survive(|| 7), Ok(7));
        assert_eq!(survive(|| panic!("no {}", "disk")), Err::<(), _>("panicked: no disk".into()));
        assert_eq!(
            survive(|| std::panic::panic_any(7)),
            Err::<(), _>("panicked: with something that is no text".into())
        );
    }

    #[test]
    fn a_panic_that_panics_again_when_it_is_dropped_is_survived_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(survive(|| std::panic::panic_any(Bomb)).is_err());
    }
}
