//! The transitions that an operator reads about: one line each, said once.

use std::fmt;

use super::{ChildId, Exit, Request, Stop};
use crate::millis::Millis;

/// A transition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    Ready { id: ChildId, slot: u32, after: Millis },
    AllReady { workers: usize },
    WorkerExited { id: ChildId, slot: u32, exit: Exit, after: Millis, booted: bool, next: Next },
    HelperExited { id: ChildId, slot: u32, exit: Exit, after: Millis },
    ForkFailed { who: Who, why: String, retry_in: Option<Millis> },
    Overdue { id: ChildId, who: Who },
    Hung { id: ChildId, slot: u32, silent: Millis },
    Suspended { id: ChildId, slot: u32, signal: Option<i32> },
    Overgrown { id: ChildId, slot: u32, bytes: u64 },
    Replacing { id: ChildId, slot: u32 },
    Reloading { workers: usize },
    Reloaded { workers: usize },
    Upgrading,
    UpgradeUnderWay,
    UpgradeOverdue { id: ChildId, after: Millis },
    UpgradeFailed { id: ChildId, exit: Exit, after: Millis },
    HandedOver { id: ChildId, after: Millis },
    Resized { request: Request, workers: usize },
    GaveUp { slot: u32, failures: u32 },
    Stopping { request: Request, stop: Stop, workers: usize, grace: Millis },
    Forced { request: Request, workers: usize },
    Abandoned { request: Request },
    Stopped,
}

/// What a child is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Worker(u32),
    Helper(u32),
    NewProgram,
}

/// What follows a death.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    RestartIn(Millis),
    Nothing,
}

impl Report {
    /// The child it is about.
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

    /// Whether somebody should look at it.
    pub(crate) fn is_warning(&self) -> bool {
        match self {
            Self::WorkerExited { exit, next, .. } => *exit != Exit::Status(0) || *next != Next::Nothing,
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

    /// The line for the log; `pid` is that of [`child`](Self::child).
    pub(crate) fn line(&self, pid: i32) -> impl fmt::Display {
        Line { report: self, pid }
    }
}

struct Line<'a> {
    report: &'a Report,
    pid: i32,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid;
        match self.report {
            Report::Ready { slot, after, .. } => write!(f, "worker {slot} (pid {pid}) ready after {after}"),
            Report::AllReady { workers } => write!(f, "all {workers} workers are ready"),
            Report::WorkerExited { slot, exit, after, booted, next, .. } => {
                let early = if *booted { "" } else { " before it was ready" };
                write!(f, "worker {slot} (pid {pid}) {exit} after {after}{early}{next}")
            }
            Report::HelperExited { slot, exit, after, .. } => {
                write!(f, "helper (pid {pid}) for worker {slot} {exit} after {after}")
            }
            Report::ForkFailed { who, why, retry_in } => {
                write!(f, "cannot fork {who}: {why}")?;
                retry_in.map_or(Ok(()), |pause| write!(f, "; trying again in {pause}"))
            }
            Report::Overdue { who, .. } => write!(f, "{who} (pid {pid}) did not leave in time; killing it"),
            Report::Hung { slot, silent, .. } => {
                write!(f, "worker {slot} (pid {pid}) has been silent for {silent}; aborting it")
            }
            Report::Suspended { slot, signal: Some(signal), .. } => {
                write!(
                    f,
                    "worker {slot} (pid {pid}) was stopped by signal {signal}; it serves nobody until SIGCONT"
                )
            }
            Report::Suspended { slot, signal: None, .. } => {
                write!(f, "worker {slot} (pid {pid}) goes on")
            }
            Report::Overgrown { slot, bytes, .. } => {
                write!(f, "worker {slot} (pid {pid}) has {} MiB of memory, which is too much", bytes >> 20)
            }
            Report::Replacing { slot, .. } => {
                write!(f, "worker {slot} (pid {pid}) is due; starting its successor")
            }
            Report::Reloading { workers } => write!(f, "SIGHUP: replacing {workers} workers, one by one"),
            Report::Reloaded { workers } => write!(f, "all {workers} workers have been replaced"),
            Report::Upgrading => {
                f.write_str("SIGUSR2: starting the program anew; it takes over when it is ready")
            }
            Report::UpgradeUnderWay => f.write_str("SIGUSR2: the program has been started anew already"),
            Report::UpgradeOverdue { after, .. } => {
                write!(f, "new program (pid {pid}) is not ready after {after}; stopping it and going on")
            }
            Report::UpgradeFailed { exit, after, .. } => {
                write!(f, "new program (pid {pid}) {exit} after {after} before it took over; going on")
            }
            Report::HandedOver { after, .. } => {
                write!(f, "new program (pid {pid}) is ready after {after} and takes over")
            }
            Report::Resized { request, workers } => {
                write!(f, "{request}: keeping {workers} workers from now on")
            }
            Report::GaveUp { slot, failures } => {
                write!(
                    f,
                    "worker {slot} could not boot {failures} times in a row and no other serves; giving up"
                )
            }
            Report::Stopping { request, stop, workers, grace } => {
                let how = match stop {
                    Stop::Graceful => "gracefully",
                    Stop::Quick => "quickly",
                };
                write!(f, "{request}: stopping {workers} workers {how}, killing those left after {grace}")
            }
            Report::Forced { request, workers } => {
                write!(f, "{request} while stopping: killing {workers} workers")
            }
            Report::Abandoned { request } => write!(f, "{request} while killing: not waiting for helpers"),
            Report::Stopped => f.write_str("stopped; no child is left"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(slot) => write!(f, "worker {slot}"),
            Self::Helper(slot) => write!(f, "helper for worker {slot}"),
            Self::NewProgram => f.write_str("new program"),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartIn(pause) => write!(f, "; restarting in {pause}"),
            Self::Nothing => Ok(()),
        }
    }
}
