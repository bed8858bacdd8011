//! Nodes that go by themselves: containers that have lost their last child, and nodes whose time to live is
//! over. Looked for in intervals, as ZooKeeper's `ContainerManager` does.

use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Xid};

use crate::core::Core;
use crate::core::message::Now;
use crate::core::session::next_multiple;
use crate::core::tree::node::Node;
use crate::core::txn::{Change, NodeKind};

/// Time of the next check, and progress of the one that is not done.
#[derive(Debug)]
pub(crate) struct Reaper {
    /// Time at which the next check begins, or at which the one began that is not done.
    at: Millis,
    /// The node that was looked at last in a check that is not done.
    last: Option<ByteString>,
}

impl Reaper {
    pub(crate) fn new(first_check: Millis) -> Self {
        Self { at: first_check, last: None }
    }
}

impl Core {
    /// Looks at up to `room` nodes and deletes those that are due, each in a transaction of its own. Parents are looked at
    /// before their children: one that loses its last child by this check waits for the next.
    pub(crate) fn reap(&mut self, now: Now, room: &mut usize) {
        if now.mono < self.reaper.at {
            return;
        }
        while *room > 0 {
            let Some(path) = self.tree.reapable_after(self.reaper.last.as_ref()).cloned() else {
                self.reaper = Reaper::new(next_multiple(now.mono, self.config.container_check_interval));
                return;
            };
            *room -= 1;
            self.reaper.last = Some(path.clone());
            if self.tree.get(&path).is_some_and(|node| is_due(node, now.wall)) {
                self.commit(now, SessionId::NONE, Xid(0), Change::Delete { path });
            }
        }
    }

    /// Returns when there will be something to look at.
    pub(crate) fn next_reap(&self) -> Option<Millis> {
        self.has_to_check().then_some(self.reaper.at)
    }

    /// Passes over the checks that had nothing to look at: who comes after one waits for the next.
    pub(crate) fn skip_idle_checks(&mut self, now: Millis) {
        if now > self.reaper.at && !self.has_to_check() {
            self.reaper.at = next_multiple(now, self.config.container_check_interval);
        }
    }

    fn has_to_check(&self) -> bool {
        self.reaper.last.is_some() || self.tree.reapable_after(None).is_some()
    }
}

/// A container that never had a child is still waiting for its first.
fn is_due(node: &Node, wall: UnixMillis) -> bool {
    node.children.is_empty()
        && match node.kind {
            NodeKind::Container => node.created_children > 0,
            NodeKind::Ttl(ttl) => {
                u64::try_from(wall.0.saturating_sub(node.mtime.0)).is_ok_and(|age| age > ttl.0)
            }
            NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
        }
}
