//! Logging that ends no task: a subscriber is the user's code, and may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Logs; a panic of the subscriber goes no further. For this crate and those above it, not for users.
#[doc(hidden)]
pub fn quietly(log: impl FnOnce()) {
    // The panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(log));
}
