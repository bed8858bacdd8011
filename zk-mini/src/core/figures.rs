//! Figures for monitoring that only the core can count: watchers that were told of something, and the size of what was read
//! and written, by namespace.

use foldhash::HashMap;
use zk_wire::{ByteString, EventType, Stat};

/// Namespaces that are told apart at most: clients make them, and they are kept.
const MAX_NAMESPACES: usize = 1_000;

/// Maximum length of the name of a namespace that is told apart, in bytes.
const LONGEST_NAME: usize = 256;

/// Number, sum, least and greatest of some numbers, such as how long requests took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Totals {
    /// Adds a number as often as `count` says.
    pub(crate) fn add(&mut self, number: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.min = if self.count == 0 { number } else { self.min.min(number) };
        self.max = self.max.max(number);
        self.sum += number * count;
        self.count += count;
    }

    /// The mean, to four digits.
    pub(crate) fn mean(&self) -> f64 {
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

/// Number of watchers that heard of an event, by the kind of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchersTold([Totals; 4]);

impl WatchersTold {
    /// Notes how many watchers one table of watches had for an event.
    pub(crate) fn add(&mut self, kind: EventType, watchers: usize) {
        if let Some(totals) = Self::index(kind).and_then(|index| self.0.get_mut(index)) {
            totals.add_size(watchers);
        }
    }

    pub(crate) fn totals(&self, kind: EventType) -> Totals {
        Self::index(kind).and_then(|index| self.0.get(index)).copied().unwrap_or_default()
    }

    fn index(kind: EventType) -> Option<usize> {
        [
            EventType::NODE_CREATED,
            EventType::NODE_DELETED,
            EventType::NODE_DATA_CHANGED,
            EventType::NODE_CHILDREN_CHANGED,
        ]
        .iter()
        .position(|known| *known == kind)
    }
}

/// Bytes that were read and written below each node of the root: path and data of a node, and 68 for a stat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespaces {
    known: Vec<(ByteString, ReadAndWritten)>,
    indexes: HashMap<ByteString, usize>,
    /// Index of the one that was counted last, which most often is the next one, too.
    last: usize,
}

/// Figures of reads and of writes; `None` if there were none.
pub(crate) type ReadAndWritten = [Option<Totals>; 2];

impl Namespaces {
    /// A node was looked at: with its stat came so much of data, or of names.
    pub(crate) fn read(&mut self, path: &str, len: usize) {
        self.add(path, 0, path.len() + len + Stat::LEN);
    }

    /// A node was created, deleted, or given so much of data.
    pub(crate) fn wrote(&mut self, path: &str, len: usize) {
        self.add(path, 1, path.len() + len);
    }

    fn add(&mut self, path: &str, which: usize, size: usize) {
        let Some(path) = path.strip_prefix('/') else { return };
        let counted = match self.known.get_mut(self.last) {
            Some((name, counted)) if begins_with(path, name) => counted,
            _ => {
                let Some(index) = self.index(path) else { return };
                self.last = index;
                &mut self.known[index].1
            }
        };
        counted[which].get_or_insert_default().add_size(size);
    }

    /// Returns the place of the namespace that a path begins with. A new one gets a place if there is room.
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

    /// Begins to count anew; those that are known stay.
    pub(crate) fn reset(&mut self) {
        self.known
            .iter_mut()
            .flat_map(|(_, both)| both)
            .flatten()
            .for_each(|totals| *totals = Totals::default());
    }

    /// Each namespace with what was read and what was written, by name.
    pub(crate) fn by_name(&self) -> Vec<(&str, ReadAndWritten)> {
        let mut all: Vec<_> = self.known.iter().map(|(name, both)| (&**name, *both)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

/// Returns whether the first name of a path is this one.
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
    fn what_is_kept_of_namespaces_has_a_bound() {
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
