//! Table of watches: by path, and by connection.

use std::collections::{BTreeMap, hash_set};

use foldhash::HashMap;
use zk_wire::{ByteString, EventType, path};

use super::paths::{KEPT_CAPACITY, MAX_MOVED, WatchedPaths};
use super::watchers::{Modes, WatchMode, Watchers};
use crate::core::emptied::Emptied;
use crate::core::message::ConnId;

/// Number of watches that are removed at once when their connection closes. The rest follows in steps.
const FEW: usize = 100;

/// Table of watches, for nodes or for children.
#[derive(Debug, Default)]
pub(crate) struct WatchTable {
    /// Watches by path. Those of closed connections are removed in steps.
    by_path: HashMap<ByteString, Watchers>,
    /// Open connections that have watches, or had some.
    pub(super) by_conn: HashMap<ConnId, WatchedPaths>,
    /// Number of pairs of connection and path, without closed connections.
    pub(super) count: usize,
    /// Number of recursive pairs by the length of their path. Only ancestors of these lengths are looked up.
    recursive: BTreeMap<usize, usize>,
    /// Closed connections with the rest of their watches.
    leaving: Vec<LeavingPaths>,
    /// Tables to be dropped by the caller of [`Watches::clear`].
    pub(super) emptied: Emptied,
}

/// Rest of the paths of a closed connection.
#[derive(Debug)]
struct LeavingPaths {
    conn: ConnId,
    paths: hash_set::IntoIter<ByteString>,
    capacity: usize,
}

impl WatchTable {
    /// Adds a watch. `add_up` keeps existing watches of other modes; otherwise they are replaced.
    pub(crate) fn add(&mut self, path: &str, conn: ConnId, mode: WatchMode, add_up: bool) {
        let mode = Modes::of(mode);
        let (own, old, new) = match self.by_path.get_mut(path) {
            Some(watchers) => {
                let modes = watchers.entry(conn);
                let old = *modes;
                *modes = if add_up { old.with(mode) } else { mode };
                (None, old, *modes)
            }
            None => {
                // A copy, so that the table does not keep the request in memory.
                let own = ByteString::from(path);
                self.by_path.insert(own.clone(), Watchers::One(conn, mode));
                (Some(own), Modes::default(), mode)
            }
        };
        self.count_recursive(path, old, new);
        if old.is_empty() {
            self.count += 1;
            // Both maps share one copy of the path.
            let own = own.or_else(|| self.by_path.get_key_value(path).map(|(own, _)| own.clone()));
            if let Some(own) = own {
                let watched = self.by_conn.entry(conn).or_default();
                watched.insert(own);
                watched.count(old, new);
            }
        } else if old != new
            && let Some(watched) = self.by_conn.get_mut(&conn)
        {
            watched.count(old, new);
        }
    }

    /// Removes a connection's watches of one mode (or all modes) from a path. Returns `false` if there were none.
    pub(crate) fn remove(&mut self, path: &str, conn: ConnId, mode: Option<WatchMode>) -> bool {
        let Some(watchers) = self.by_path.get_mut(path) else { return false };
        let Some(modes) = watchers.get_mut(conn) else { return false };
        let old = *modes;
        let new = mode.map_or(Modes::default(), |mode| old.without(Modes::of(mode)));
        *modes = new;
        if old != new {
            self.count_recursive(path, old, new);
            if let Some(watched) = self.by_conn.get_mut(&conn) {
                watched.count(old, new);
            }
        }
        if new.is_empty() {
            self.forget(path, conn);
        }
        old != new
    }

    /// Ends all watches of a closed connection. All but a few stay in the table until [`clear`](Self::clear) removes
    /// them, and are ignored.
    pub(super) fn remove_conn(&mut self, conn: ConnId) {
        let Some(WatchedPaths { paths, .. }) = self.by_conn.remove(&conn) else { return };
        self.count -= paths.len();
        // `present` ignores these watchers from now on.
        self.leaving.push(LeavingPaths { conn, capacity: paths.capacity(), paths: paths.into_iter() });
        self.clear(&mut { FEW });
    }

    /// Returns the capacities of the table and of the paths of a connection.
    #[cfg(test)]
    pub(super) fn capacities(&self, conn: ConnId) -> (usize, usize) {
        (self.by_path.capacity(), self.by_conn.get(&conn).map_or(0, |watched| watched.paths.capacity()))
    }

    /// Returns `true` if there is work for [`clear`](Self::clear), or a table to be dropped.
    pub(super) fn is_to_clear(&self) -> bool {
        !(self.leaving.is_empty() && self.emptied.is_empty())
    }

    /// Removes up to `room` watches of closed connections.
    pub(super) fn clear(&mut self, room: &mut usize) {
        while *room > 0
            && let Some(LeavingPaths { conn, paths, .. }) = self.leaving.last_mut()
        {
            let (conn, path) = (*conn, paths.next());
            let Some(path) = path else {
                if let Some(LeavingPaths { paths, capacity, .. }) = self.leaving.pop() {
                    self.emptied.add_paths(paths, capacity);
                }
                continue;
            };
            *room -= 1;
            let Some(watchers) = self.by_path.get_mut(&path) else { continue };
            let old = watchers.remove(conn).unwrap_or_default();
            if watchers.is_empty() {
                self.by_path.remove(&path);
            }
            self.count_recursive(&path, old, Modes::default());
        }
        if self.leaving.is_empty() {
            self.shrink();
        }
    }

    /// Gives back the memory of a table that is nearly empty.
    fn shrink(&mut self) {
        let len = self.by_path.len();
        if len <= MAX_MOVED && self.by_path.capacity() > KEPT_CAPACITY.max(8 * len) {
            let smaller = HashMap::with_capacity_and_hasher(2 * len, self.by_path.hasher().clone());
            let mut former = std::mem::replace(&mut self.by_path, smaller);
            self.by_path.extend(former.drain());
            self.emptied.add_watchers(former);
        }
    }

    /// Returns `true` if a connection has a watch of this mode (or any) on exactly this path.
    pub(crate) fn contains(&self, path: &str, conn: ConnId, mode: Option<WatchMode>) -> bool {
        self.by_path
            .get(path)
            .and_then(|watchers| watchers.get(conn))
            .is_some_and(|modes| mode.is_none_or(|mode| modes.has(mode)))
    }

    /// Returns `true` if any connection watches exactly this path.
    pub(crate) fn is_watched(&self, path: &str) -> bool {
        self.by_path.get(path).is_some_and(|watchers| self.present(watchers).next().is_some())
    }

    /// Returns the numbers of a connection's watches for one event, and of others.
    pub(super) fn count_of(&self, conn: ConnId) -> (usize, usize) {
        self.by_conn.get(&conn).map_or((0, 0), |watched| (watched.standard, watched.lasting))
    }

    /// Returns the modes of the watches on a path, connection by connection.
    pub(super) fn modes_at(&self, path: &str) -> impl Iterator<Item = Modes> {
        let watchers = self.by_path.get(path).into_iter().flat_map(Watchers::iter);
        watchers.filter(|(conn, _)| self.by_conn.contains_key(conn)).map(|(_, modes)| modes)
    }

    /// Returns every watched path, in no order, with the connections that watch it.
    pub(crate) fn by_path(&self) -> impl Iterator<Item = (&ByteString, impl Iterator<Item = ConnId>)> {
        let mut paths = self.by_path.iter().map(|(path, watchers)| (path, self.present(watchers).peekable()));
        std::iter::from_fn(move || {
            paths.find_map(|(path, mut conns)| conns.peek().is_some().then_some((path, conns)))
        })
    }

    /// Returns the numbers of connections with watches and of watched paths. Looks only at connections, unless
    /// watches of closed ones are left.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let conns = self.by_conn.values().filter(|own| !own.paths.is_empty()).count();
        let paths = if self.leaving.is_empty() { self.by_path.len() } else { self.by_path().count() };
        (conns, paths)
    }

    /// Returns the watchers whose connection is open.
    fn present<'a>(&'a self, watchers: &'a Watchers) -> impl Iterator<Item = ConnId> + 'a {
        watchers.iter().map(|(conn, _)| conn).filter(|conn| self.by_conn.contains_key(conn))
    }

    /// Returns `true` if there is a recursive watch on any path.
    pub(crate) fn has_recursive(&self) -> bool {
        !self.recursive.is_empty()
    }

    /// Adds the watchers of an event to `told`, and removes one-shot watches.
    pub(super) fn fire(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        self.fire_at(kind, path, told);
        if self.recursive.is_empty() || kind == EventType::NODE_CHILDREN_CHANGED {
            return;
        }
        // Recursive watches of ancestors; the node itself is done.
        let mut below = path;
        while let Some((parent, _)) = path::split(below) {
            // A lookup by length is cheaper than one by path.
            let watchers = self.recursive.get(&parent.len()).and_then(|_| self.by_path.get(parent));
            let watchers = watchers.into_iter().flat_map(Watchers::iter);
            told.extend(watchers.filter(|(_, modes)| modes.has(WatchMode::Recursive)).map(|(conn, _)| conn));
            below = parent;
        }
    }

    fn fire_at(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        let Some(watchers) = self.by_path.get_mut(path) else { return };
        let first_new = told.len();
        let standard = Modes::of(WatchMode::Standard);
        // The common case: the whole entry is used up.
        if watchers.iter().all(|(_, modes)| modes == standard) {
            let Some(watchers) = self.by_path.remove(path) else { return };
            told.extend(watchers.iter().map(|(conn, _)| conn));
            for conn in &told[first_new..] {
                let forgotten = forget_path_of(&mut self.by_conn, &mut self.emptied, *conn, path, standard);
                self.count -= forgotten;
            }
            return;
        }
        let mut used_up = 0;
        watchers.retain(|conn, modes| {
            // A recursive watch gets the event of the created or deleted child itself instead.
            if kind != EventType::NODE_CHILDREN_CHANGED || *modes != Modes::of(WatchMode::Recursive) {
                told.push(conn);
            }
            let rest = modes.without(standard);
            if *modes != rest
                && let Some(watched) = self.by_conn.get_mut(&conn)
            {
                watched.count(*modes, rest);
            }
            *modes = rest;
            used_up += usize::from(modes.is_empty());
            !modes.is_empty()
        });
        if used_up == 0 {
            return;
        }
        // Watchers without a mode left were one-shot.
        for conn in told[first_new..].iter().filter(|conn| watchers.get(**conn).is_none()) {
            let (by_conn, emptied) = (&mut self.by_conn, &mut self.emptied);
            self.count -= forget_path_of(by_conn, emptied, *conn, path, Modes::default());
        }
    }

    /// Removes a pair without modes from both maps.
    fn forget(&mut self, path: &str, conn: ConnId) {
        if let Some(watchers) = self.by_path.get_mut(path) {
            watchers.remove(conn);
            if watchers.is_empty() {
                self.by_path.remove(path);
            }
        }
        self.count -= forget_path_of(&mut self.by_conn, &mut self.emptied, conn, path, Modes::default());
    }

    fn count_recursive(&mut self, path: &str, old: Modes, new: Modes) {
        let (was, is) = (old.has(WatchMode::Recursive), new.has(WatchMode::Recursive));
        if was == is {
            return;
        }
        let count = self.recursive.entry(path.len()).or_default();
        *count = *count + usize::from(is) - usize::from(was);
        if *count == 0 {
            self.recursive.remove(&path.len());
        }
    }
}

/// Removes a path from those of a connection, with what is left of its modes. Returns the number removed: 0 for a closed
/// connection.
fn forget_path_of(
    by_conn: &mut HashMap<ConnId, WatchedPaths>,
    emptied: &mut Emptied,
    conn: ConnId,
    path: &str,
    modes: Modes,
) -> usize {
    let Some(own) = by_conn.get_mut(&conn) else { return 0 };
    let forgotten = own.remove(path);
    own.count(modes, Modes::default());
    own.shrink(emptied);
    usize::from(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gives_its_memory_back_when_most_watches_have_gone_with_their_connection() {
        let mut table = WatchTable::default();
        let (going, staying) = (ConnId(1), ConnId(2));
        for number in 0..20_000 {
            table.add(&format!("/{number}"), going, WatchMode::Standard, false);
        }
        for number in 0..100 {
            table.add(&format!("/{number}"), staying, WatchMode::Standard, false);
        }
        table.remove_conn(going);
        while !table.leaving.is_empty() {
            assert!(table.emptied.is_empty());
            table.clear(&mut { 1_000 });
        }
        assert_eq!((table.by_path.len(), table.by_conn.len(), table.count), (100, 1, 100));
        assert!(table.by_path.capacity() < 8 * 100, "{}", table.by_path.capacity());
        assert!((0..100).all(|number| table.contains(&format!("/{number}"), staying, None)));
        assert_eq!(table.emptied.counts(), (1, 1), "nobody waits until the large tables are freed");
    }

    #[test]
    fn small_tables_are_freed_at_once() {
        let mut table = WatchTable::default();
        for number in 0..2_000 {
            table.add(&format!("/{number}"), ConnId(1), WatchMode::Standard, false);
        }
        table.remove_conn(ConnId(1));
        table.clear(&mut { 2_000 });
        assert!(table.leaving.is_empty() && table.by_path.capacity() == 0);
        assert!(table.emptied.is_empty());
    }
}
