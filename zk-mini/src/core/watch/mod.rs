//! Watches: connections that get an event when a node changes. As in ZooKeeper there are two tables: one for the node
//! itself (exists, getData), one for its children (getChildren).

use std::collections::{BTreeMap, hash_set};

use foldhash::{HashMap, HashSet};
use zk_wire::{ByteString, ErrorCode, EventType, path};

use crate::core::emptied::Emptied;
use crate::core::figures::WatchersTold;
use crate::core::message::ConnId;
use crate::core::watchers::{Modes, WatchMode, Watchers};

/// Number of watches that are removed at once when their connection closes. The rest follows in steps.
const FEW: usize = 100;

/// Maximum number of watched paths that are moved to a smaller table at once, which takes a few milliseconds.
const MOVED: usize = 50_000;

/// Maximum capacity that is kept for a connection without watches.
const KEPT_CAPACITY: usize = 16;

/// Paths that one connection watches.
#[derive(Debug, Default)]
struct WatchedPaths {
    paths: HashSet<ByteString>,
    /// Bytes of all paths.
    bytes: usize,
}

impl WatchedPaths {
    fn insert(&mut self, path: ByteString) {
        self.bytes += path.len();
        self.paths.insert(path);
    }

    /// Removes a path. Returns `false` if it was not there.
    fn remove(&mut self, path: &str) -> bool {
        let removed = self.paths.remove(path);
        if removed {
            self.bytes -= path.len();
        }
        removed
    }
}

/// Table of watches, for nodes or for children.
#[derive(Debug, Default)]
pub(crate) struct WatchTable {
    /// Watches by path. Those of closed connections are removed in steps.
    by_path: HashMap<ByteString, Watchers>,
    /// Connections with watches, now or a short time ago.
    by_conn: HashMap<ConnId, WatchedPaths>,
    /// Number of pairs of connection and path, without closed connections.
    count: usize,
    /// Number of recursive pairs by the length of their path. Only ancestors of these lengths are looked up.
    recursive: BTreeMap<usize, usize>,
    /// Closed connections with the rest of their watches.
    leaving: Vec<LeavingPaths>,
    /// Tables to be dropped by the caller of [`Watches::clear`].
    emptied: Emptied,
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
                self.by_conn.entry(conn).or_default().insert(own);
            }
        }
    }

    /// Removes a connection's watches of one mode (or all modes) from a path. Returns `false` if there were none.
    pub(crate) fn remove(&mut self, path: &str, conn: ConnId, mode: Option<WatchMode>) -> bool {
        let Some(watchers) = self.by_path.get_mut(path) else { return false };
        let Some(modes) = watchers.get_mut(conn) else { return false };
        let old = *modes;
        let new = mode.map_or(Modes::default(), |mode| old.without(Modes::of(mode)));
        *modes = new;
        self.count_recursive(path, old, new);
        if new.is_empty() {
            self.forget(path, conn);
        }
        old != new
    }

    /// Ends all watches of a closed connection. All but a few stay in the table until [`clear`](Self::clear) removes
    /// them, and are ignored.
    fn remove_conn(&mut self, conn: ConnId) {
        let Some(WatchedPaths { paths, .. }) = self.by_conn.remove(&conn) else { return };
        self.count -= paths.len();
        // `present` ignores these watchers from now on.
        self.leaving.push(LeavingPaths { conn, capacity: paths.capacity(), paths: paths.into_iter() });
        self.clear(&mut { FEW });
    }

    /// Removes up to `room` watches of closed connections.
    fn clear(&mut self, room: &mut usize) {
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
        if len <= MOVED && self.by_path.capacity() > KEPT_CAPACITY.max(8 * len) {
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

    /// Returns the modes of a connection's watches, path by path.
    fn modes_of(&self, conn: ConnId) -> impl Iterator<Item = Modes> {
        let paths = self.by_conn.get(&conn).into_iter().flat_map(|watched| &watched.paths);
        paths.filter_map(move |path| self.by_path.get(path)?.get(conn))
    }

    /// Returns the modes of the watches on a path, connection by connection.
    fn modes_at(&self, path: &str) -> impl Iterator<Item = Modes> {
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
    fn fire(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
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
        // The common case: the whole entry is used up.
        if watchers.iter().all(|(_, modes)| modes == Modes::of(WatchMode::Standard)) {
            let Some(watchers) = self.by_path.remove(path) else { return };
            told.extend(watchers.iter().map(|(conn, _)| conn));
            for conn in &told[first_new..] {
                self.count -= forget_path_of(&mut self.by_conn, &mut self.emptied, *conn, path);
            }
            return;
        }
        let mut used_up = 0;
        watchers.retain(|conn, modes| {
            // A recursive watch gets the event of the created or deleted child itself instead.
            if kind != EventType::NODE_CHILDREN_CHANGED || *modes != Modes::of(WatchMode::Recursive) {
                told.push(conn);
            }
            *modes = modes.without(Modes::of(WatchMode::Standard));
            used_up += usize::from(modes.is_empty());
            !modes.is_empty()
        });
        if used_up == 0 {
            return;
        }
        // Watchers without a mode left were one-shot.
        for conn in told[first_new..].iter().filter(|conn| watchers.get(**conn).is_none()) {
            self.count -= forget_path_of(&mut self.by_conn, &mut self.emptied, *conn, path);
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
        self.count -= forget_path_of(&mut self.by_conn, &mut self.emptied, conn, path);
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

/// Removes a path from those of a connection, and returns the number removed: 0 for a closed connection. Keeps small
/// allocations, because most clients re-arm their watch after every event.
fn forget_path_of(
    by_conn: &mut HashMap<ConnId, WatchedPaths>,
    emptied: &mut Emptied,
    conn: ConnId,
    path: &str,
) -> usize {
    let Some(own) = by_conn.get_mut(&conn) else { return 0 };
    let forgotten = own.remove(path);
    if own.paths.is_empty() && own.paths.capacity() > KEPT_CAPACITY {
        let capacity = own.paths.capacity();
        emptied.add_paths(std::mem::take(&mut own.paths).into_iter(), capacity);
        by_conn.remove(&conn);
    }
    usize::from(forgotten)
}

fn sort_and_dedup_from(told: &mut Vec<ConnId>, first: usize) {
    told[first..].sort_unstable();
    let second = told.len().min(first + 1);
    let mut kept = second;
    for next in second..told.len() {
        if told[next] != told[kept - 1] {
            told[kept] = told[next];
            kept += 1;
        }
    }
    told.truncate(kept);
}

/// Both tables of watches.
#[derive(Debug)]
pub(crate) struct Watches {
    pub(crate) data: WatchTable,
    pub(crate) child: WatchTable,
    /// Allows several modes on one path; see `Rules::watch_modes_add_up`.
    modes_add_up: bool,
    /// Maximum number of pairs of a connection in both tables, and maximum bytes of their paths.
    max: usize,
    max_bytes: usize,
    /// Numbers of watchers of past events.
    pub(crate) fired: WatchersTold,
}

impl Watches {
    pub(crate) fn new(modes_add_up: bool, max: usize, max_bytes: usize) -> Self {
        let (data, child) = (WatchTable::default(), WatchTable::default());
        Self { data, child, modes_add_up, max, max_bytes, fired: WatchersTold::default() }
    }

    /// Watches a node for one event: creation, deletion or change of data.
    pub(crate) fn watch_data(&mut self, path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        self.check_room(&[&self.data], path, conn)?;
        self.data.add(path, conn, WatchMode::Standard, self.modes_add_up);
        Ok(())
    }

    /// Watches a node's children for one event.
    pub(crate) fn watch_children(&mut self, path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        self.check_room(&[&self.child], path, conn)?;
        self.child.add(path, conn, WatchMode::Standard, self.modes_add_up);
        Ok(())
    }

    /// Adds a persistent or recursive watch. Where modes add up, the table of children has no recursive watches.
    pub(crate) fn add(&mut self, path: &str, conn: ConnId, mode: WatchMode) -> Result<(), ErrorCode> {
        let for_children = mode != WatchMode::Recursive || !self.modes_add_up;
        let tables = [&self.data, &self.child];
        self.check_room(&tables[..1 + usize::from(for_children)], path, conn)?;
        self.data.add(path, conn, mode, self.modes_add_up);
        if for_children {
            self.child.add(path, conn, mode, self.modes_add_up);
        }
        Ok(())
    }

    /// Fails if a connection has as many watches as allowed. Existing watches take no more room.
    fn check_room(&self, tables: &[&WatchTable], path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        let (mut count, mut bytes) = (0, 0);
        for own in [&self.data, &self.child].iter().filter_map(|table| table.by_conn.get(&conn)) {
            count += own.paths.len();
            bytes += own.bytes;
        }
        // Checked first as if all pairs were new, which needs no lookup.
        let fits = |new: usize| count + new <= self.max && bytes + new * path.len() <= self.max_bytes;
        if fits(tables.len()) {
            return Ok(());
        }
        let new = tables.iter().filter(|table| !table.contains(path, conn, None)).count();
        if new == 0 || fits(new) { Ok(()) } else { Err(ErrorCode::QUOTA_EXCEEDED) }
    }

    /// Ends all watches of a closed connection.
    pub(crate) fn remove_conn(&mut self, conn: ConnId) {
        self.data.remove_conn(conn);
        self.child.remove_conn(conn);
    }

    /// Frees watches of closed connections in a step. Adds tables that have become empty to `emptied`.
    pub(crate) fn clear(&mut self, mut room: usize, emptied: &mut Emptied) {
        for table in [&mut self.data, &mut self.child] {
            table.clear(&mut room);
            emptied.append(&mut table.emptied);
        }
    }

    /// Returns `true` if there is work for [`clear`](Self::clear).
    pub(crate) fn is_to_clear(&self) -> bool {
        [&self.data, &self.child].iter().any(|table| !(table.leaving.is_empty() && table.emptied.is_empty()))
    }

    /// Adds the watchers of an event to `told`, each once, and removes one-shot watches.
    pub(crate) fn fire(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        let first = told.len();
        if kind != EventType::NODE_CHILDREN_CHANGED {
            self.data.fire(kind, path, told);
            if told.len() > first {
                sort_and_dedup_from(told, first);
                self.fired.add(kind, told.len() - first);
            }
        }
        if matches!(kind, EventType::NODE_CHILDREN_CHANGED | EventType::NODE_DELETED) {
            let second = told.len();
            self.child.fire(kind, path, told);
            if told.len() > second {
                sort_and_dedup_from(told, second);
                self.fired.add(kind, told.len() - second);
                sort_and_dedup_from(told, first);
            }
        }
    }

    /// Returns the number of data watches: pairs of connection and path.
    pub(crate) fn data_count(&self) -> usize {
        self.data.count
    }

    /// Returns the number of watches of a connection, each counted once for its path and kind.
    pub(crate) fn count_of(&self, conn: ConnId) -> usize {
        let of_nodes = self.data.modes_of(conn).map(Modes::count).sum::<u32>();
        // Watches of other modes are in the other table, too.
        let of_children = self.child.modes_of(conn).filter(|modes| modes.has(WatchMode::Standard)).count();
        usize::try_from(of_nodes).unwrap_or(usize::MAX).saturating_add(of_children)
    }

    /// Returns the number of watches on a path, each counted once for its connection and kind.
    pub(crate) fn count_at(&self, path: &str) -> usize {
        let (of_nodes, of_children) = (self.data.modes_at(path), self.child.modes_at(path));
        let of_nodes = of_nodes.map(Modes::count).sum::<u32>();
        let of_children = of_children.filter(|modes| modes.has(WatchMode::Standard)).count();
        usize::try_from(of_nodes).unwrap_or(usize::MAX).saturating_add(of_children)
    }

    /// Returns the number of pairs of connection and path in both tables.
    pub(crate) fn count(&self) -> usize {
        self.data.count + self.child.count
    }
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
    fn a_client_whose_many_watches_have_fired_gives_their_memory_back() {
        let mut watches = Watches::new(true, usize::MAX, usize::MAX);
        for number in 0..20_000 {
            watches.watch_data(&format!("/{number}"), ConnId(1)).unwrap();
        }
        for number in 0..20_000 {
            assert!(!watches.is_to_clear());
            watches.fire(EventType::NODE_CREATED, &format!("/{number}"), &mut Vec::new());
        }
        assert!(watches.is_to_clear());
        let mut emptied = Emptied::default();
        watches.clear(1_000, &mut emptied);
        assert!(!watches.is_to_clear());
        assert_eq!(emptied.counts(), (1, 1));
        assert_eq!((watches.data.by_path.capacity(), watches.data.by_conn.len()), (0, 0));
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
