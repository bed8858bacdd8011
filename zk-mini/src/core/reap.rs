//! Nodes that go by themselves: containers that have lost their last child, and nodes whose time to live is
//! over. Looked for in intervals, as ZooKeeper's `ContainerManager` does.

use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Xid};

use super::node::Node;
use super::txn::{Change, NodeKind};
use super::{Core, Now};

impl Core {
    /// Deletes what is due, each node in a transaction of its own.
    pub(super) fn reap(&mut self, now: Now) {
        if now.mono < self.reap_at {
            return;
        }
        self.reap_at = next_multiple(now.mono, self.config.container_check_interval);
        let is_due = |path: &&ByteString| self.tree.get(path).is_some_and(|node| is_due(node, now.wall));
        let due: Vec<_> = self.tree.reapable().filter(is_due).cloned().collect();
        for path in due {
            self.commit(now, SessionId::NONE, Xid(0), Change::Delete { path });
        }
    }

    /// When there will be something to look at.
    pub(super) fn next_reap(&self) -> Option<Millis> {
        self.tree.reapable().next().map(|_| self.reap_at)
    }
}

/// The first multiple of `interval` after `now`.
pub(super) fn next_multiple(now: Millis, interval: Millis) -> Millis {
    let interval = interval.0.max(1);
    Millis((now.0 / interval).saturating_add(1).saturating_mul(interval))
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
