//! Watches: connections that get an event when a node changes. As in ZooKeeper there are two tables: one for the node
//! itself (exists, getData), one for its children (getChildren).

mod paths;
mod table;
mod watchers;

use zk_wire::{ErrorCode, EventType};

use crate::core::emptied::Emptied;
use crate::core::figures::WatchersTold;
use crate::core::message::ConnId;
pub(crate) use table::WatchTable;
use watchers::Modes;
pub(crate) use watchers::{WatchMode, Watchers};

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
        self.data.is_to_clear() || self.child.is_to_clear()
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
        let (of_nodes, lasting) = self.data.count_of(conn);
        // Lasting ones are in the other table, too.
        let (of_children, _) = self.child.count_of(conn);
        of_nodes + lasting + of_children
    }

    /// Returns the number of watches on a path, each counted once for its connection and kind.
    pub(crate) fn count_at(&self, path: &str) -> usize {
        let (of_nodes, of_children) = (self.data.modes_at(path), self.child.modes_at(path));
        let of_nodes = of_nodes.map(Modes::count).sum::<usize>();
        let of_children = of_children.filter(|modes| modes.has(WatchMode::Standard)).count();
        of_nodes + of_children
    }

    /// Returns the number of pairs of connection and path in both tables.
    pub(crate) fn count(&self) -> usize {
        self.data.count + self.child.count
    }
}

/// Sorts the connections from this place on, and leaves each in once.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_whose_many_watches_have_fired_gives_their_memory_back() {
        let mut watches = Watches::new(true, usize::MAX, usize::MAX);
        for number in 0..20_000 {
            watches.watch_data(&format!("/{number}"), ConnId(1)).unwrap();
        }
        for number in 0..20_000 {
            watches.fire(EventType::NODE_CREATED, &format!("/{number}"), &mut Vec::new());
        }
        assert!(watches.is_to_clear());
        let mut emptied = Emptied::default();
        watches.clear(1_000, &mut emptied);
        assert!(!watches.is_to_clear());
        assert_eq!(emptied.counts(), (1, 1));
        assert!(matches!(watches.data.capacities(ConnId(1)), (0, 0..=16)));
    }

    #[test]
    fn a_client_that_keeps_a_few_of_many_watches_gives_the_memory_of_the_others_back() {
        let mut watches = Watches::new(true, usize::MAX, usize::MAX);
        for number in 0..20_000 {
            watches.watch_data(&format!("/{number}"), ConnId(1)).unwrap();
        }
        for number in 100..20_000 {
            watches.fire(EventType::NODE_CREATED, &format!("/{number}"), &mut Vec::new());
        }
        watches.clear(1_000, &mut Emptied::default());
        assert_eq!(watches.count_of(ConnId(1)), 100);
        let (by_path, of_conn) = watches.data.capacities(ConnId(1));
        assert!(by_path.max(of_conn) <= 8 * 100, "{by_path}, {of_conn}");
        assert!((0..100).all(|number| watches.data.contains(&format!("/{number}"), ConnId(1), None)));
    }

    proptest! {
        #[test]
        fn the_number_of_watches_of_a_connection_is_that_of_its_modes(
            add_up in any::<bool>(),
            acts in prop::collection::vec((0_u8..8, 0_u64..3, 0_usize..3), 1..60),
        ) {
            let modes = [WatchMode::Standard, WatchMode::Persistent, WatchMode::Recursive];
            let mut watches = Watches::new(add_up, usize::MAX, usize::MAX);
            for (act, conn, place) in acts {
                let (path, conn) = (["/", "/a", "/a/b"][place], ConnId(conn));
                match act {
                    0 => watches.watch_data(path, conn).unwrap(),
                    1 => watches.watch_children(path, conn).unwrap(),
                    2 | 3 => watches.add(path, conn, modes[usize::from(act) - 1]).unwrap(),
                    4 => { watches.data.remove(path, conn, Some(modes[place])); }
                    5 => { watches.child.remove(path, conn, None); }
                    6 => watches.remove_conn(conn),
                    _ => watches.fire(EventType::NODE_DELETED, path, &mut Vec::new()),
                }
                for conn in (0..3).map(ConnId) {
                    let set = |table: &WatchTable, mode| {
                        ["/", "/a", "/a/b"].iter().filter(|path| table.contains(path, conn, Some(mode))).count()
                    };
                    let of_nodes = modes.iter().map(|mode| set(&watches.data, *mode)).sum::<usize>();
                    prop_assert_eq!(watches.count_of(conn), of_nodes + set(&watches.child, WatchMode::Standard));
                }
            }
        }
    }
}
