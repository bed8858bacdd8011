//! Deletion of nodes by the server: containers without children, and nodes whose time to live is over. They are
//! checked at intervals, as by ZooKeeper's `ContainerManager`.

use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Xid, Zxid};

use crate::core::Core;
use crate::core::history::Cause;
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

/// Time of the next deletion, if no further transaction comes: kept while time is moved, because looking for it visits all
/// nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextDeletion {
    /// Last transaction when it was looked for.
    after: Zxid,
    /// Wall-clock time at which it is due; `None` if there is none.
    due: Option<UnixMillis>,
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
            let due = self.tree.get(&path).filter(|node| due(node).is_some_and(|due| due <= now.wall));
            if let Some(kind) = due.map(Node::kind) {
                let is_container = kind == NodeKind::Container;
                let cause = if is_container { Cause::Container } else { Cause::TimeToLive };
                self.commit(now, SessionId::NONE, Xid(0), cause, Change::Delete { path });
            }
        }
    }

    /// Returns the time of the next check; `None` if there are no such nodes.
    pub(crate) fn next_reap(&self) -> Option<Millis> {
        (!self.is_still() && self.has_nodes_to_check()).then_some(self.reaper.at)
    }

    /// Skips checks that had no nodes to look at. A node that comes after such a time waits for the next check.
    pub(crate) fn skip_idle_checks(&mut self, now: Millis) {
        if now > self.reaper.at && !self.has_nodes_to_check() {
            self.reaper.at = next_multiple(now, self.config.container_check_interval);
        }
    }

    /// Returns the next time, up to `limit`, at which something happens without any input, if the wall clock runs with
    /// the monotonic one until then. Checks that will find nothing do not count.
    pub(crate) fn next_event(
        &self,
        now: Now,
        limit: Millis,
        known: &mut Option<NextDeletion>,
    ) -> Option<Millis> {
        if self.is_stalled() {
            return None;
        }
        let other = self.deadline_beside_checks().filter(|at| *at <= limit);
        let limit = other.unwrap_or(limit);
        // Looking for a node is slow, so it is done only if a check comes first.
        let check =
            self.next_reap().filter(|at| *at <= limit).and_then(|_| self.next_useful_check(now, known));
        check.filter(|at| *at <= limit).or(other)
    }

    /// Skips the checks before `to`, which find nothing.
    pub(crate) fn skip_checks_before(&mut self, to: Millis) {
        if self.reaper.at < to && self.reaper.last.is_none() && !self.is_stalled() {
            self.reaper.at = self.first_check_from(to);
        }
    }

    /// Returns the time of the next check that finds something.
    fn next_useful_check(&self, now: Now, known: &mut Option<NextDeletion>) -> Option<Millis> {
        if self.reaper.last.is_some() {
            return Some(self.reaper.at);
        }
        if known.is_none_or(|known| known.after != self.last_zxid) {
            let nodes = self.tree.reapable().filter_map(|path| self.tree.get(path));
            *known = Some(NextDeletion { after: self.last_zxid, due: nodes.filter_map(due).min() });
        }
        let wait = known.and_then(|known| known.due)?.0.saturating_sub(now.wall.0);
        let due = now.mono + Millis(u64::try_from(wait).unwrap_or(0));
        Some(self.reaper.at.max(self.first_check_from(due)))
    }

    /// Returns the time of the first check at `time` or later.
    fn first_check_from(&self, time: Millis) -> Millis {
        next_multiple(time.since(Millis(1)), self.config.container_check_interval)
    }

    fn has_nodes_to_check(&self) -> bool {
        self.reaper.last.is_some() || self.tree.reapable_after(None).is_some()
    }
}

/// Returns the wall-clock time from which on a node is to be deleted. A container is due only after it has had a child.
fn due(node: &Node) -> Option<UnixMillis> {
    match node.kind() {
        _ if !node.children().is_empty() => None,
        NodeKind::Container => (node.created_children() > 0).then_some(UnixMillis(i64::MIN)),
        NodeKind::Ttl(ttl) => {
            let last = node.mtime.0.saturating_add(i64::try_from(ttl.0).unwrap_or(i64::MAX));
            // A node lives longer than its time to live.
            last.checked_add(1).map(UnixMillis)
        }
        NodeKind::Persistent | NodeKind::Ephemeral(_) => None,
    }
}
