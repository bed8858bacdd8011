//! The transitions that an operator reads about, one log line each.

use std::fmt;

use common::Millis;

use super::child::{ChildId, ChildName, Exit};
use super::request::{Request, Stop};

/// A transition. `after` is the time since the child was forked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    Ready {
        id: ChildId,
        slot: u32,
        after: Millis,
    },
    AllReady {
        workers: usize,
    },
    WorkerExited {
        id: ChildId,
        slot: u32,
        exit: Exit,
        after: Millis,
        booted: bool,
        restart_in: Option<Millis>,
    },
    HelperExited {
        id: ChildId,
        slot: u32,
        exit: Exit,
        after: Millis,
    },
    ForkFailed {
        child: ChildName,
        why: String,
        retry_in: Option<Millis>,
    },
    Overdue {
        id: ChildId,
        child: ChildName,
    },
    Hung {
        id: ChildId,
        slot: u32,
        silent: Millis,
    },
    Suspended {
        id: ChildId,
        slot: u32,
        signal: Option<i32>,
    },
    Overgrown {
        id: ChildId,
        slot: u32,
        bytes: u64,
    },
    Replacing {
        id: ChildId,
        slot: u32,
    },
    Reloading {
        workers: usize,
    },
    Reloaded {
        workers: usize,
    },
    Upgrading,
    UpgradeUnderWay,
    UpgradeOverdue {
        id: ChildId,
        after: Millis,
    },
    UpgradeFailed {
        id: ChildId,
        exit: Exit,
        after: Millis,
    },
    HandedOver {
        id: ChildId,
        after: Millis,
    },
    Resized {
        request: Request,
        workers: usize,
    },
    GaveUp {
        slot: u32,
        failures: u32,
    },
    Stopping {
        request: Request,
        stop: Stop,
        workers: usize,
        grace: Millis,
    },
    Forced {
        request: Request,
        workers: usize,
    },
    Abandoned {
        request: Request,
    },
    Stopped,
}

impl Report {
    /// Returns the child that it is about.
    pub(crate) fn child(&self) -> Option<ChildId> {
        match *self {
            Self::Ready { id, .. }
            | Self::WorkerExited { id, .. }
            | Self::HelperExited { id, .. }
            | Self::Hung { id, .. }
            | Self::Suspended { id, .. }
            | Self::Overgrown { id, .. }
            | Self::Replacing { id, .. }
            | Self::UpgradeOverdue { id, .. }
            | Self::UpgradeFailed { id, .. }
            | Self::HandedOver { id, .. }
            | Self::Overdue { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Returns true if an operator should look at it.
    pub(crate) fn is_warning(&self) -> bool {
        match self {
            Self::WorkerExited { exit, restart_in, .. } => *exit != Exit::Status(0) || restart_in.is_some(),
            Self::Suspended { signal, .. } => signal.is_some(),
            Self::HelperExited { exit, .. } => *exit != Exit::Status(0),
            Self::ForkFailed { .. }
            | Self::Overdue { .. }
            | Self::UpgradeOverdue { .. }
            | Self::UpgradeFailed { .. }
            | Self::Forced { .. }
            | Self::Abandoned { .. } => true,
            _ => false,
        }
    }

    /// Returns the line for the log; `pid` is that of [`child`](Self::child).
    pub(crate) fn line(&self, pid: i32) -> String {
        let worker = |slot: &u32| format!("worker {slot} (pid {pid})");
        match self {
            Self::Ready { slot, after, .. } => format!("{} ready after {}", worker(slot), seconds(*after)),
            Self::AllReady { workers } => format!("all {workers} workers are ready"),
            Self::WorkerExited { slot, exit, after, booted, restart_in, .. } => {
                let (worker, after) = (worker(slot), seconds(*after));
                let early = if *booted { "" } else { " before it was ready" };
                format!("{worker} {exit} after {after}{early}{}", pause("restarting", *restart_in))
            }
            Self::HelperExited { slot, exit, after, .. } => {
                format!("helper (pid {pid}) for worker {slot} {exit} after {}", seconds(*after))
            }
            Self::ForkFailed { child, why, retry_in } => {
                format!("cannot fork {child}: {why}{}", pause("trying again", *retry_in))
            }
            Self::Overdue { child, .. } => format!("{child} (pid {pid}) did not exit in time; killing it"),
            Self::Hung { slot, silent, .. } => {
                format!("{} has been silent for {}; aborting it", worker(slot), seconds(*silent))
            }
            Self::Suspended { slot, signal: Some(signal), .. } => {
                format!("{} was suspended by signal {signal}; it serves again after SIGCONT", worker(slot))
            }
            Self::Suspended { slot, signal: None, .. } => format!("{} runs again", worker(slot)),
            Self::Overgrown { slot, bytes, .. } => {
                format!("{} has {} MiB of memory, more than allowed", worker(slot), bytes >> 20)
            }
            Self::Replacing { slot, .. } => {
                format!("{} is due for replacement; starting its successor", worker(slot))
            }
            Self::Reloading { workers } => format!("SIGHUP: replacing {workers} workers, one by one"),
            Self::Reloaded { workers } => format!("all {workers} workers have been replaced"),
            Self::Upgrading => "SIGUSR2: starting the new program; it takes over when it is ready".into(),
            Self::UpgradeUnderWay => "SIGUSR2: an upgrade is in progress already".into(),
            Self::UpgradeOverdue { after, .. } => {
                let after = seconds(*after);
                format!("new program (pid {pid}) is not ready after {after}; stopping it and going on")
            }
            Self::UpgradeFailed { exit, after, .. } => {
                let after = seconds(*after);
                format!("new program (pid {pid}) {exit} after {after} before it took over; going on")
            }
            Self::HandedOver { after, .. } => {
                format!("new program (pid {pid}) is ready after {} and takes over", seconds(*after))
            }
            Self::Resized { request, workers } => format!("{request}: keeping {workers} workers from now on"),
            Self::GaveUp { slot, failures } => {
                format!(
                    "worker {slot} failed to boot {failures} times in a row and no worker serves; giving up"
                )
            }
            Self::Stopping { request, stop, workers, grace } => {
                let how = if *stop == Stop::Graceful { "gracefully" } else { "quickly" };
                let grace = seconds(*grace);
                format!("{request}: stopping {workers} workers {how}, killing those left after {grace}")
            }
            Self::Forced { request, workers } => {
                format!("{request} while stopping: killing {workers} workers")
            }
            Self::Abandoned { request } => format!("{request} while killing: not waiting for helpers"),
            Self::Stopped => "stopped; no child is left".into(),
        }
    }
}

fn pause(what: &str, pause: Option<Millis>) -> String {
    pause.map_or(String::new(), |pause| format!("; {what} in {}", seconds(pause)))
}

/// Prints a span in seconds with one decimal: `3.2 s`.
pub(crate) fn seconds(Millis(span): Millis) -> impl fmt::Display {
    struct Seconds(u64);

    impl fmt::Display for Seconds {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let tenths = self.0.saturating_add(50) / 100;
            write!(f, "{}.{} s", tenths / 10, tenths % 10)
        }
    }

    Seconds(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_as_seconds_with_one_decimal() {
        let shown = [0, 49, 50, 3_249, 59_960].map(|ms| seconds(Millis(ms)).to_string());
        assert_eq!(shown, ["0.0 s", "0.0 s", "0.1 s", "3.2 s", "60.0 s"]);
    }
}
