//! The status of a service: its children, their ages, and the restarts of each slot.

use common::Millis;

use super::child::{Child, ChildName, Role, Standing, WorkerState};
use super::report::seconds;
use super::{ChildId, Phase, Supervisor};

const READY: &str = "ready";
const READY_TO_BE_REPLACED: &str = "ready, to be replaced";

/// The status of one child.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ChildStatus {
    pub(crate) id: ChildId,
    pub(crate) name: ChildName,
    pub(crate) state: &'static str,
    pub(crate) age: Millis,
    /// Number of times that a worker's slot was filled again.
    pub(crate) restarts: Option<u32>,
}

impl ChildStatus {
    /// Returns true for a worker that serves.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.state, READY | READY_TO_BE_REPLACED)
    }

    /// Returns the line for the operator.
    pub(crate) fn line(&self, pid: i32) -> String {
        let Self { name, state, age, restarts, .. } = self;
        let restarts = restarts.map_or(String::new(), |restarts| format!(", restarts {restarts}"));
        format!("{name} (pid {pid}) {state}, up {}{restarts}", seconds(*age))
    }
}

impl Supervisor {
    /// Returns true if a worker serves and the service is not stopping.
    pub(crate) fn serves(&self) -> bool {
        self.phase == Phase::Running && self.is_serving()
    }

    /// Returns the number of times that each slot was filled again.
    pub(crate) fn restarts(&self) -> impl Iterator<Item = (usize, u32)> {
        self.slots.iter().map(|slot| slot.restarts).enumerate()
    }

    /// Returns the state of the whole service in a word.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Running if self.reloading => "reloading",
            Phase::Running if self.announced => "running",
            Phase::Running => "starting",
            _ => "stopping",
        }
    }

    /// Returns every living child, in the order of their slots.
    pub(crate) fn status(&self, now: Millis) -> Vec<ChildStatus> {
        let restarts = |slot: u32| self.slots.get(slot as usize).map_or(0, |slot| slot.restarts);
        let one = |(id, child): (&ChildId, &Child)| ChildStatus {
            id: *id,
            name: child.name(),
            state: state_of(child),
            age: now.since(child.started),
            restarts: child.is_worker().then(|| restarts(child.slot)),
        };
        let mut all: Vec<_> = self.children.iter().collect();
        all.sort_by_key(|(id, child)| (child.slot, **id));
        all.into_iter().map(one).collect()
    }
}

fn state_of(child: &Child) -> &'static str {
    match &child.role {
        Role::Helper => "cleaning up",
        Role::Upgrade { leaving: false } => "booting",
        Role::Upgrade { leaving: true } => "leaving",
        Role::Worker(WorkerState { standing: Standing::Hung, .. }) => "hung",
        Role::Worker(WorkerState { standing: Standing::Leaving, .. }) => "leaving",
        Role::Worker(WorkerState { standing: Standing::Killed, .. }) => "killed",
        Role::Worker(WorkerState { suspended: true, .. }) => "stopped by a signal",
        Role::Worker(WorkerState { ready_at: None, .. }) => "booting",
        Role::Worker(WorkerState { outdated: true, .. }) => READY_TO_BE_REPLACED,
        Role::Worker(_) => READY,
    }
}
