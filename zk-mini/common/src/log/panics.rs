//! Calls of code that is not ours. The usual subscriber of `tracing` panics when it cannot write: nobody reads the log any
//! more, or the disk is full. That must end no task of ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `work` and returns its result, or the message of its panic.
///
/// Lend it nothing that a panic in the middle could leave half changed.
///
/// # Errors
///
/// The message, if `work` panicked: `panicked: …`.
pub fn survive<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = message_of(panic.as_ref());
        // The payload is foreign code, too: dropping it may panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        message
    })
}

/// Calls `log`; a panic goes no further. The panic hook has reported it.
pub fn quietly(log: impl FnOnce()) {
    let _ = survive(log);
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("with a value that is not text"))
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
            Err::<(), _>("panicked: with a value that is not text".into())
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

    #[test]
    fn a_line_that_cannot_be_written_ends_nothing() {
        quietly(|| panic!("no space left on device"));
    }
}
