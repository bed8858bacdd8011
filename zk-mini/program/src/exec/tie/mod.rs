//! End of the command with zk-mini, even if zk-mini is killed by SIGKILL.

#[cfg(target_os = "linux")]
mod death_signal;
#[cfg(any(test, not(target_os = "linux")))]
mod watchman;

#[cfg(target_os = "linux")]
pub(super) use death_signal::{Tie, accept};
#[cfg(not(target_os = "linux"))]
pub(super) use watchman::{Tie, accept};
