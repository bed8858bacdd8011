//! Instances that were lost a short time ago: what a loss of all may take back.

use std::collections::VecDeque;
use std::sync::Arc;

use common::Millis;

use crate::instance::Instance;
use crate::members::{InstanceId, Members};

/// Time within which losses belong together: servers end the sessions of a common failure one tick after another.
pub(crate) const AT_ONCE: Millis = Millis(5_000);

/// Maximum number of lost instances that are remembered.
const MAX_GONE: usize = 10_000;

/// Loss of all instances.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lost {
    /// Those that were lost at once, each with its last data.
    pub(crate) members: Arc<Members>,
    /// Time of the last loss.
    pub(crate) at: Millis,
}

/// Instances that were lost within [`AT_ONCE`], each with its last data.
#[derive(Debug, Default)]
pub(super) struct Losses(VecDeque<(Millis, InstanceId, Arc<Instance>)>);

impl Losses {
    pub(super) fn remember(&mut self, now: Millis, id: InstanceId, instance: Arc<Instance>) {
        while self.0.len() >= MAX_GONE || self.0.front().is_some_and(|(at, ..)| *at + AT_ONCE < now) {
            self.0.pop_front();
        }
        self.0.push_back((now, id, instance));
    }

    /// Forgets the instances, and returns them as a loss of all.
    pub(super) fn take(&mut self, now: Millis) -> Lost {
        let recent = self.0.drain(..).filter(|(at, ..)| *at + AT_ONCE >= now);
        let members = recent.map(|(_, id, instance)| (id, instance)).collect();
        Lost { members: Arc::new(members), at: now }
    }
}
