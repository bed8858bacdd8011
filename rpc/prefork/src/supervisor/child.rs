//! A forked process as the core sees it, and the slot that a worker fills.

use std::fmt;

use common::Millis;

use super::config::Config;

/// Identity of one forked process. Unlike a pid it is never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ChildId(pub(super) u64);

/// Name of a child in log and status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ChildName {
    Worker(u32),
    Helper(u32),
    NewProgram,
}

impl ChildName {
    /// Returns the slot of a worker.
    pub(crate) fn slot_of_worker(self) -> Option<u32> {
        match self {
            Self::Worker(slot) => Some(slot),
            Self::Helper(_) | Self::NewProgram => None,
        }
    }
}

impl fmt::Display for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(slot) => write!(f, "worker {slot}"),
            Self::Helper(slot) => write!(f, "helper for worker {slot}"),
            Self::NewProgram => f.write_str("new program"),
        }
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The process exited with this status. 0 from a worker that was asked to stop says that it has cleaned up.
    Status(i32),
    /// A signal killed the process.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// A position among the workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// The worker that fills it.
    pub(super) child: Option<ChildId>,
    /// Earliest time at which a worker may be started here.
    pub(super) start_at: Millis,
    /// Number of deaths in a row before the worker was ready or shortly after.
    pub(super) streak: u32,
    /// Number of workers that died here before they were ready.
    pub(super) boot_failures: u32,
    /// Number of times that the slot was filled again.
    pub(super) restarts: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) slot: u32,
    pub(super) started: Millis,
    /// Time at which it is killed: set when it is asked to stop, `None` again once it has been killed.
    pub(super) kill_at: Option<Millis>,
    pub(super) role: Role,
}

#[derive(Clone, Debug)]
pub(super) enum Role {
    Worker(WorkerState),
    Helper,
    /// The new program of an upgrade; `leaving` once the upgrade has failed.
    Upgrade {
        leaving: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) struct WorkerState {
    pub(super) ready_at: Option<Millis>,
    /// Time of its last message.
    pub(super) heard_at: Millis,
    /// True if it has left a note for the case of its death.
    pub(super) noted: bool,
    /// True while a signal such as `STOP` suspends it.
    pub(super) suspended: bool,
    pub(super) standing: Standing,
    /// True if it is to be replaced when its turn comes; it serves until then.
    pub(super) outdated: bool,
    /// Time at which its age makes it outdated.
    pub(super) ages_at: Option<Millis>,
}

/// The parent's intention for a worker; it only ever grows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Standing {
    /// Keep it.
    Wanted,
    /// Silent for too long: it has been aborted, and fills its slot until it is dead.
    Hung,
    /// Asked to stop. Unless the whole service stops, another worker fills its slot.
    Leaving,
    Killed,
}

impl Child {
    pub(super) fn worker(&self) -> Option<&WorkerState> {
        match &self.role {
            Role::Worker(worker) => Some(worker),
            Role::Helper | Role::Upgrade { .. } => None,
        }
    }

    pub(super) fn worker_mut(&mut self) -> Option<&mut WorkerState> {
        match &mut self.role {
            Role::Worker(worker) => Some(worker),
            Role::Helper | Role::Upgrade { .. } => None,
        }
    }

    /// Returns the worker unless it is hung, leaving or killed.
    fn wanted(&self) -> Option<&WorkerState> {
        self.worker().filter(|worker| worker.standing == Standing::Wanted)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted().is_some()
    }

    pub(super) fn is_worker(&self) -> bool {
        self.worker().is_some()
    }

    pub(super) fn is_helper(&self) -> bool {
        matches!(self.role, Role::Helper)
    }

    pub(super) fn name(&self) -> ChildName {
        match self.role {
            Role::Worker(_) => ChildName::Worker(self.slot),
            Role::Helper => ChildName::Helper(self.slot),
            Role::Upgrade { .. } => ChildName::NewProgram,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.wanted().is_some_and(|worker| worker.ready_at.is_some())
    }

    pub(super) fn is_serving(&self) -> bool {
        self.wanted().is_some_and(|worker| worker.ready_at.is_some() && !worker.suspended)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.worker().is_some_and(|worker| worker.standing >= Standing::Leaving)
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.wanted().is_some_and(|worker| worker.outdated)
    }

    /// Returns the time at which it counts as hung if it stays silent. Booting has a timeout of its own, or none.
    pub(super) fn hangs_at(&self, config: &Config) -> Option<Millis> {
        let worker = self.wanted()?;
        match worker.ready_at {
            Some(_) => config.heartbeat_timeout.map(|timeout| worker.heard_at + timeout),
            None => config.boot_timeout.map(|timeout| self.started + timeout),
        }
    }

    pub(super) fn ages_at(&self) -> Option<Millis> {
        self.wanted()?.ages_at
    }
}
