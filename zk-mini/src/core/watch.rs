//! Watches: which connection is to be told of what. Two tables, as in ZooKeeper: one for what happens to a
//! node (exists and getData), one for what happens to its children.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashSet};
use zk_wire::{ByteString, ErrorCode, EventType, path};

use super::ConnId;
use super::figures::Fired;

/// How long a watch lasts and how far it reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WatchMode {
    /// For one event.
    Standard,
    /// Until it is removed.
    Persistent,
    /// Until it is removed, for the node and all below it.
    Recursive,
}

/// The modes of one connection's watches on one path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Modes(u8);

impl Modes {
    fn of(mode: WatchMode) -> Self {
        Self(match mode {
            WatchMode::Standard => 1,
            WatchMode::Persistent => 2,
            WatchMode::Recursive => 4,
        })
    }

    fn has(self, mode: WatchMode) -> bool {
        self.0 & Self::of(mode).0 != 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// More room than this is given back when a connection watches nothing any more.
const KEPT_CAPACITY: usize = 16;

/// Paths that one connection watches.
#[derive(Debug, Default)]
struct Own {
    paths: HashSet<ByteString>,
    /// Of all of them together.
    bytes: usize,
}

impl Own {
    fn insert(&mut self, path: ByteString) {
        self.bytes += path.len();
        self.paths.insert(path);
    }

    fn remove(&mut self, path: &str) {
        if self.paths.remove(path) {
            self.bytes -= path.len();
        }
    }
}

/// One of the two tables.
#[derive(Debug, Default)]
pub(super) struct WatchTable {
    by_path: HashMap<ByteString, BTreeMap<ConnId, Modes>>,
    by_conn: HashMap<ConnId, Own>,
    /// How many (connection, path) pairs there are.
    count: usize,
    /// How many of them are recursive: with none, only the path itself is looked up.
    recursive: usize,
}

impl WatchTable {
    /// Adds a watch; `add_up` keeps those of other modes that are there already.
    pub(super) fn add(&mut self, path: &str, conn: ConnId, mode: WatchMode, add_up: bool) {
        let mode = Modes::of(mode);
        let (own, old, new) = match self.by_path.get_mut(path) {
            Some(watchers) => {
                let modes = watchers.entry(conn).or_default();
                let old = *modes;
                *modes = if add_up { old.with(mode) } else { mode };
                (None, old, *modes)
            }
            None => {
                let own = ByteString::from(path);
                self.by_path.insert(own.clone(), BTreeMap::from([(conn, mode)]));
                (Some(own), Modes::default(), mode)
            }
        };
        self.count_recursive(old, new);
        if old.is_empty() {
            self.count += 1;
            let own = own.or_else(|| self.by_path.get_key_value(path).map(|(own, _)| own.clone()));
            if let Some(own) = own {
                self.by_conn.entry(conn).or_default().insert(own);
            }
        }
    }

    /// Removes a connection's watches of one mode, or of all, from a path. Whether there was something.
    pub(super) fn remove(&mut self, path: &str, conn: ConnId, mode: Option<WatchMode>) -> bool {
        let Some(watchers) = self.by_path.get_mut(path) else { return false };
        let Some(modes) = watchers.get_mut(&conn) else { return false };
        let old = *modes;
        let new = mode.map_or(Modes::default(), |mode| old.without(Modes::of(mode)));
        *modes = new;
        self.count_recursive(old, new);
        if new.is_empty() {
            self.forget(path, conn);
        }
        old != new
    }

    /// Removes all watches of a connection.
    pub(super) fn remove_conn(&mut self, conn: ConnId) {
        for path in self.by_conn.remove(&conn).unwrap_or_default().paths {
            let Some(watchers) = self.by_path.get_mut(&path) else { continue };
            let old = watchers.remove(&conn).unwrap_or_default();
            if watchers.is_empty() {
                self.by_path.remove(&path);
            }
            self.count -= 1;
            self.count_recursive(old, Modes::default());
        }
    }

    /// Whether a connection has a watch of this mode, or of any, on exactly this path.
    pub(super) fn contains(&self, path: &str, conn: ConnId, mode: Option<WatchMode>) -> bool {
        self.by_path
            .get(path)
            .and_then(|watchers| watchers.get(&conn))
            .is_some_and(|modes| mode.is_none_or(|mode| modes.has(mode)))
    }

    /// Whether any connection watches exactly this path.
    pub(super) fn is_watched(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Whether there is a recursive watch, on any path.
    pub(super) fn has_recursive(&self) -> bool {
        self.recursive > 0
    }

    /// Every watched path, sorted, with the connections that watch it.
    pub(super) fn by_path(&self) -> Vec<(ByteString, Vec<ConnId>)> {
        let mut paths: Vec<_> = self
            .by_path
            .iter()
            .map(|(path, watchers)| (path.clone(), watchers.keys().copied().collect()))
            .collect();
        paths.sort_unstable();
        paths
    }

    /// Adds those to `told` who are to hear of an event, and uses up what is for one event only.
    fn fire(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        self.fire_at(kind, path, told);
        if self.recursive == 0 || kind == EventType::NODE_CHILDREN_CHANGED {
            return;
        }
        let mut below = path;
        while let Some((parent, _)) = path::split(below) {
            let watchers = self.by_path.get(parent).into_iter().flatten();
            told.extend(watchers.filter(|(_, modes)| modes.has(WatchMode::Recursive)).map(|(&conn, _)| conn));
            below = parent;
        }
    }

    fn fire_at(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        let Some(watchers) = self.by_path.get_mut(path) else { return };
        let first_new = told.len();
        if watchers.values().all(|modes| *modes == Modes::of(WatchMode::Standard)) {
            let Some(watchers) = self.by_path.remove(path) else { return };
            self.count -= watchers.len();
            told.extend(watchers.into_keys());
            told[first_new..].iter().for_each(|conn| forget_path_of(&mut self.by_conn, *conn, path));
            return;
        }
        let mut used_up = 0;
        watchers.retain(|&conn, modes| {
            // A recursive watch hears of each child's own creation and deletion instead.
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
        self.count -= used_up;
        let is_left = |conn: &ConnId| watchers.contains_key(conn);
        let gone = told[first_new..].iter().filter(|conn| !is_left(conn));
        gone.for_each(|conn| forget_path_of(&mut self.by_conn, *conn, path));
    }

    /// Takes a pair without modes out of both maps.
    fn forget(&mut self, path: &str, conn: ConnId) {
        if let Some(watchers) = self.by_path.get_mut(path) {
            watchers.remove(&conn);
            if watchers.is_empty() {
                self.by_path.remove(path);
            }
        }
        self.count -= 1;
        forget_path_of(&mut self.by_conn, conn, path);
    }

    fn count_recursive(&mut self, old: Modes, new: Modes) {
        self.recursive += usize::from(new.has(WatchMode::Recursive));
        self.recursive -= usize::from(old.has(WatchMode::Recursive));
    }
}

/// Who watches again after each event, as most do, finds a little room as it was.
fn forget_path_of(by_conn: &mut HashMap<ConnId, Own>, conn: ConnId, path: &str) {
    if let Some(own) = by_conn.get_mut(&conn) {
        own.remove(path);
        if own.paths.is_empty() && own.paths.capacity() > KEPT_CAPACITY {
            by_conn.remove(&conn);
        }
    }
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

/// The two tables.
#[derive(Debug)]
pub(super) struct Watches {
    pub(super) data: WatchTable,
    pub(super) child: WatchTable,
    /// Whether several modes can stand on one path; see `Rules::watch_modes_add_up`.
    modes_add_up: bool,
    /// Maximum of what a connection may have in both: pairs, and bytes of their paths.
    max: usize,
    max_bytes: usize,
    /// How many heard of what has happened.
    pub(super) fired: Fired,
}

impl Watches {
    pub(super) fn new(modes_add_up: bool, max: usize, max_bytes: usize) -> Self {
        let (data, child) = (WatchTable::default(), WatchTable::default());
        Self { data, child, modes_add_up, max, max_bytes, fired: Fired::default() }
    }

    /// Watches a node's data, or its coming to be, for one event.
    pub(super) fn watch_data(&mut self, path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        self.check_room(&[&self.data], path, conn)?;
        self.data.add(path, conn, WatchMode::Standard, self.modes_add_up);
        Ok(())
    }

    /// Watches a node's children for one event.
    pub(super) fn watch_children(&mut self, path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        self.check_room(&[&self.child], path, conn)?;
        self.child.add(path, conn, WatchMode::Standard, self.modes_add_up);
        Ok(())
    }

    /// Adds a watch that stays. Where modes add up, a recursive one has no business in the table of
    /// children.
    pub(super) fn add(&mut self, path: &str, conn: ConnId, mode: WatchMode) -> Result<(), ErrorCode> {
        let for_children = mode != WatchMode::Recursive || !self.modes_add_up;
        let tables = [&self.data, &self.child];
        self.check_room(&tables[..1 + usize::from(for_children)], path, conn)?;
        self.data.add(path, conn, mode, self.modes_add_up);
        if for_children {
            self.child.add(path, conn, mode, self.modes_add_up);
        }
        Ok(())
    }

    /// Fails if a connection has as much as it may. What it has already takes no more.
    fn check_room(&self, tables: &[&WatchTable], path: &str, conn: ConnId) -> Result<(), ErrorCode> {
        let (mut count, mut bytes) = (0, 0);
        for own in [&self.data, &self.child].iter().filter_map(|table| table.by_conn.get(&conn)) {
            count += own.paths.len();
            bytes += own.bytes;
        }
        let fits = |new: usize| count + new <= self.max && bytes + new * path.len() <= self.max_bytes;
        if fits(tables.len()) {
            return Ok(());
        }
        let new = tables.iter().filter(|table| !table.contains(path, conn, None)).count();
        if new == 0 || fits(new) { Ok(()) } else { Err(ErrorCode::QUOTA_EXCEEDED) }
    }

    /// Removes all watches of a connection.
    pub(super) fn remove_conn(&mut self, conn: ConnId) {
        self.data.remove_conn(conn);
        self.child.remove_conn(conn);
    }

    /// Adds those to `told` who are to hear of an event, each once, and uses up their one-shot watches.
    pub(super) fn fire(&mut self, kind: EventType, path: &str, told: &mut Vec<ConnId>) {
        let first = told.len();
        if kind != EventType::NODE_CHILDREN_CHANGED {
            self.data.fire(kind, path, told);
            sort_and_dedup_from(told, first);
            self.fired.add(kind, told.len() - first);
        }
        if matches!(kind, EventType::NODE_CHILDREN_CHANGED | EventType::NODE_DELETED) {
            let second = told.len();
            self.child.fire(kind, path, told);
            sort_and_dedup_from(told, second);
            self.fired.add(kind, told.len() - second);
            sort_and_dedup_from(told, first);
        }
    }

    /// How many watches there are in both tables: pairs of connection and path.
    pub(super) fn count(&self) -> usize {
        self.data.count + self.child.count
    }
}
