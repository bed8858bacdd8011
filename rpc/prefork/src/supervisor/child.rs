//! A forked process as the core sees it, and the place that a worker fills.

use super::report::Who;
use super::{ChildId, Config};
use crate::millis::Millis;

/// A position among the workers, and who fills it.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) child: Option<ChildId>,
    /// Before this, nobody is started here.
    pub(super) start_at: Millis,
    /// Deaths in a row before a worker was ready, or as soon as it was.
    pub(super) streak: u32,
    /// Number of workers that died here before they were ready.
    pub(super) boot_failures: u32,
    /// How often it has been filled again.
    pub(super) restarts: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) slot: u32,
    pub(super) started: Millis,
    /// When patience with it ends: set when it has been asked to leave, `None` again when it has been killed.
    pub(super) kill_at: Option<Millis>,
    pub(super) role: Role,
}

#[derive(Clone, Debug)]
pub(super) enum Role {
    Worker(Worker),
    Helper,
    /// This program, started anew to take over; `leaving` when that has failed.
    Upgrade {
        leaving: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) ready_at: Option<Millis>,
    pub(super) heard_at: Millis,
    pub(super) noted: bool,
    /// Somebody has stopped it by a signal.
    pub(super) suspended: bool,
    pub(super) standing: Standing,
    /// It serves, but is to be replaced when it is its turn.
    pub(super) outdated: bool,
    /// When age makes it outdated.
    pub(super) ages_at: Option<Millis>,
}

/// What is wanted of a worker; only ever grows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Standing {
    Wanted,
    /// Silent for too long: it has been aborted and fills its slot until it is dead.
    Hung,
    /// Asked to leave; it fills no slot any more, unless everybody leaves.
    Leaving,
    Killed,
}

impl Child {
    pub(super) fn worker(&self) -> Option<&Worker> {
        match &self.role {
            Role::Worker(worker) => Some(worker),
            Role::Helper | Role::Upgrade { .. } => None,
        }
    }

    pub(super) fn worker_mut(&mut self) -> Option<&mut Worker> {
        match &mut self.role {
            Role::Worker(worker) => Some(worker),
            Role::Helper | Role::Upgrade { .. } => None,
        }
    }

    pub(super) fn is_worker(&self) -> bool {
        self.worker().is_some()
    }

    pub(super) fn is_helper(&self) -> bool {
        matches!(self.role, Role::Helper)
    }

    pub(super) fn who(&self) -> Who {
        match self.role {
            Role::Worker(_) => Who::Worker(self.slot),
            Role::Helper => Who::Helper(self.slot),
            Role::Upgrade { .. } => Who::NewProgram,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.worker().is_some_and(|worker| worker.ready_at.is_some() && worker.standing == Standing::Wanted)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.worker().is_some_and(|worker| worker.standing >= Standing::Leaving)
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.worker().is_some_and(|worker| worker.outdated && worker.standing == Standing::Wanted)
    }

    /// When it counts as hung if it stays silent. A slow starter has more time, or all the time there is.
    pub(super) fn hangs_at(&self, config: &Config) -> Option<Millis> {
        let worker = self.worker().filter(|worker| worker.standing == Standing::Wanted)?;
        match worker.ready_at {
            Some(_) => config.heartbeat_timeout.map(|timeout| worker.heard_at.after(timeout)),
            None => config.boot_timeout.map(|timeout| self.started.after(timeout)),
        }
    }

    pub(super) fn ages_at(&self) -> Option<Millis> {
        self.worker().filter(|worker| worker.standing == Standing::Wanted)?.ages_at
    }
}
