//! Deletion of nodes by the server: containers without children, and nodes whose time to live is over. They are
//! checked at intervals, as by ZooKeeper's `ContainerManager`.

use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Xid};

use crate::core::Core;
use crate::core::message::Now;
use crate::core::session::next_multiple;
use crate::core::tree::node::Node;
use crate::core::txn::{Change, NodeKind};

/// Time of the next check, and progress of an unfinished one.
#[derive(Debug)]
pub(crate) struct Reaper {
    /// Time of the next check, or of the unfinished one.
    at: Millis,
    /// Node that an unfinished check visited last.
    last: Option<ByteString>,
}

impl Reaper {
    pub(crate) fn new(first_check: Millis) -> Self {
        Self { at: first_check, last: None }
    }
}

impl Core {
    /// Checks up to `room` nodes and deletes those that are due, each in a transaction of its own. Parents are
    /// checked before their children, so a container that loses its last child by this check waits for the next one.
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
            // Before the deletion, so that a check never visits a path twice.
            self.reaper.last = Some(path.clone());
            if self.tree.get(&path).is_some_and(|node| is_due(node, now.wall)) {
                self.commit(now, SessionId::NONE, Xid(0), Change::Delete { path });
            }
        }
    }

    /// Returns the time of the next check; `None` if there are no such nodes.
    pub(crate) fn next_reap(&self) -> Option<Millis> {
        self.has_nodes_to_check().then_some(self.reaper.at)
    }

    /// Skips checks that had no nodes to look at. A node that comes after such a time waits for the next check.
    pub(crate) fn skip_idle_checks(&mut self, now: Millis) {
        if now > self.reaper.at && !self.has_nodes_to_check() {
            self.reaper.at = next_multiple(now, self.config.container_check_interval);
        }
    }

    fn has_nodes_to_check(&self) -> bool {
        self.reaper.last.is_some() || self.tree.reapable_after(None).is_some()
    }
}

/// Returns `true` if a node is to be deleted. A container is due only after it has had a child.
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
