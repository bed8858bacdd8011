//! Figures for monitoring that only the core can count: watchers per event, and bytes read and written per namespace.

use foldhash::HashMap;
use zk_wire::{ByteString, EventType, Stat};

/// Maximum number of namespaces with figures of their own. Clients create them, and they are never forgotten.
const MAX_NAMESPACES: usize = 1_000;

/// Maximum length of a namespace's name in bytes.
const LONGEST_NAME: usize = 256;

/// Number, sum, minimum and maximum of measured values, such as durations of requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Number of values.
    pub count: u64,
    /// Sum of the values.
    pub sum: u64,
    /// Smallest value; 0 without any.
    pub min: u64,
    /// Largest value; 0 without any.
    pub max: u64,
}

impl Totals {
    /// Adds a value `count` times.
    pub(crate) fn add(&mut self, number: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.min = if self.count == 0 { number } else { self.min.min(number) };
        self.max = self.max.max(number);
        self.sum += number * count;
        self.count += count;
    }

    /// Returns the mean, rounded to four digits after the point; 0 without any value.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
        let mean = self.sum as f64 / self.count as f64;
        (mean * 10_000.0).round() / 10_000.0
    }

    fn add_size(&mut self, size: usize) {
        self.add(u64::try_from(size).unwrap_or(u64::MAX), 1);
    }
}

/// Numbers of watchers per event, by the type of event.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct WatchersTold {
    /// Watchers of creations.
    pub created: Totals,
    /// Watchers of deletions.
    pub deleted: Totals,
    /// Watchers of changes of data.
    pub data_changed: Totals,
    /// Watchers of changes of lists of children.
    pub children_changed: Totals,
}

impl WatchersTold {
    /// Adds the number of watchers that one table had for an event.
    pub(crate) fn add(&mut self, kind: EventType, watchers: usize) {
        let totals = match kind {
            EventType::NODE_CREATED => &mut self.created,
            EventType::NODE_DELETED => &mut self.deleted,
            EventType::NODE_DATA_CHANGED => &mut self.data_changed,
            EventType::NODE_CHILDREN_CHANGED => &mut self.children_changed,
            _ => return,
        };
        totals.add_size(watchers);
    }
}

/// Bytes read and written below each child of the root: path and data of a node, and 68 for a `Stat`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespaces {
    known: Vec<(ByteString, ReadAndWritten)>,
    indexes: HashMap<ByteString, usize>,
    /// Index of the namespace that was counted last. The next one is usually the same.
    last: usize,
}

/// Figures of reads and of writes; `None` before the first.
pub(crate) type ReadAndWritten = [Option<Totals>; 2];

impl Namespaces {
    /// Counts a read of a node's `Stat` with `len` bytes of data or names.
    pub(crate) fn read(&mut self, path: &str, len: usize) {
        self.add(path, 0, path.len() + len + Stat::LEN);
    }

    /// Counts a write of a node with `len` bytes of data.
    pub(crate) fn wrote(&mut self, path: &str, len: usize) {
        self.add(path, 1, path.len() + len);
    }

    fn add(&mut self, path: &str, which: usize, size: usize) {
        let Some(path) = path.strip_prefix('/') else { return };
        let counted = match self.known.get_mut(self.last) {
            // Same namespace as the last time: no lookup.
            Some((name, counted)) if begins_with(path, name) => counted,
            _ => {
                let Some(index) = self.index(path) else { return };
                self.last = index;
                &mut self.known[index].1
            }
        };
        counted[which].get_or_insert_default().add_size(size);
    }

    /// Returns the index of a path's namespace, and adds the namespace if there is room.
    fn index(&mut self, path: &str) -> Option<usize> {
        let name = path.split('/').next().filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME)?;
        if let Some(index) = self.indexes.get(name) {
            return Some(*index);
        }
        let index = self.known.len();
        if index == MAX_NAMESPACES {
            return None;
        }
        let name = ByteString::from(name);
        self.known.push((name.clone(), ReadAndWritten::default()));
        self.indexes.insert(name, index);
        Some(index)
    }

    /// Resets all figures; known namespaces stay.
    pub(crate) fn reset(&mut self) {
        self.known
            .iter_mut()
            .flat_map(|(_, both)| both)
            .flatten()
            .for_each(|totals| *totals = Totals::default());
    }

    /// Returns each namespace with its figures, sorted by name.
    pub(crate) fn by_name(&self) -> Vec<(&str, ReadAndWritten)> {
        let mut all: Vec<_> = self.known.iter().map(|(name, both)| (&**name, *both)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

/// Returns `true` if `name` is the first component of a path.
fn begins_with(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_the_nodes_of_the_root() {
        let mut namespaces = Namespaces::default();
        namespaces.read("/a/b", 3);
        namespaces.wrote("/a", 7);
        for path in ["/", "", "relative", "//"] {
            namespaces.read(path, 1);
        }
        for path in ["/ab", "/a", "/b"] {
            namespaces.wrote(path, 1);
        }
        let once = |number| Some(Totals { count: 1, sum: number, min: number, max: number });
        assert_eq!(
            namespaces.by_name(),
            [
                ("a", [once(75), Some(Totals { count: 2, sum: 12, min: 3, max: 9 })]),
                ("ab", [None, once(4)]),
                ("b", [None, once(3)])
            ]
        );
    }

    #[test]
    fn number_and_length_of_namespaces_are_bounded() {
        let mut namespaces = Namespaces::default();
        namespaces.wrote(&format!("/{}/a", "n".repeat(LONGEST_NAME + 1)), 0);
        assert_eq!(namespaces.by_name(), []);
        namespaces.wrote(&format!("/{}/a", "n".repeat(LONGEST_NAME)), 0);
        namespaces.wrote("/a/b", 0);
        assert_eq!(namespaces.by_name().len(), 2);
        (0..2 * MAX_NAMESPACES).for_each(|n| namespaces.wrote(&format!("/{n}"), 0));
        namespaces.wrote("/a/c", 0);
        assert_eq!(namespaces.by_name().len(), MAX_NAMESPACES);
        let known = namespaces.by_name().into_iter().find(|(name, _)| *name == "a");
        let count = known.and_then(|(_, [_, wrote])| wrote).map(|wrote| wrote.count);
        assert_eq!(count, Some(2), "those known go on");
        namespaces.reset();
        assert_eq!(namespaces.by_name()[0], ("0", [None, Some(Totals::default())]), "and stay known");
    }
}
