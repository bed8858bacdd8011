//! What an operator may ask at any time: who is there, since when, and how often a slot was filled again.

use std::fmt;

use super::child::{Child, Role, Standing, Worker};
use super::report::Who;
use super::{ChildId, Phase, Supervisor};
use crate::millis::Millis;

/// One child, as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ChildStatus {
    pub(crate) id: ChildId,
    pub(crate) who: Who,
    pub(crate) state: &'static str,
    pub(crate) age: Millis,
    /// How often a worker's place has been filled again.
    pub(crate) restarts: Option<u32>,
}

impl ChildStatus {
    /// The line that an operator reads.
    pub(crate) fn line(&self, pid: i32) -> impl fmt::Display {
        let Self { who, state, age, restarts, .. } = self;
        let restarts = restarts.map_or(String::new(), |restarts| format!(", restarts {restarts}"));
        format!("{who} (pid {pid}) {state}, up {age}{restarts}")
    }
}

impl Supervisor {
    /// The whole service in a word.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Running if self.reloading => "reloading",
            Phase::Running if self.announced => "running",
            Phase::Running => "starting",
            _ => "stopping",
        }
    }

    /// Every living child, in the order of their slots.
    pub(crate) fn status(&self, now: Millis) -> Vec<ChildStatus> {
        let one = |(id, child): (&ChildId, &Child)| ChildStatus {
            id: *id,
            who: child.who(),
            state: state_of(child),
            age: now.since(child.started),
            restarts: child
                .is_worker()
                .then(|| self.slots.get(child.slot as usize).map_or(0, |slot| slot.restarts)),
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
        Role::Worker(Worker { standing: Standing::Hung, .. }) => "hung",
        Role::Worker(Worker { standing: Standing::Leaving, .. }) => "leaving",
        Role::Worker(Worker { standing: Standing::Killed, .. }) => "killed",
        Role::Worker(Worker { suspended: true, .. }) => "stopped by a signal",
        Role::Worker(Worker { ready_at: None, .. }) => "booting",
        Role::Worker(Worker { outdated: true, .. }) => "ready, to be replaced",
        Role::Worker(_) => "ready",
    }
}
