//! Survival of panics: a defect costs one connection or one turn, not the server.

use std::time::Duration;

use common::log::survive;

/// Pause of a task that goes on after a failure.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Calls `work` in a task that lives as long as the server; `None` if it panicked.
pub(crate) fn surviving<T>(work: impl FnOnce() -> T) -> Option<T> {
    survive(work)
        .inspect_err(|_| log!(ERROR, "a defect of zk-mini: a panic was caught, and the server goes on"))
        .ok()
}
