//! Names of entries. Pure.

use crate::sequence::counter;

/// Length of a priority in a name of Curator.
const CURATOR_RANK: usize = 9;

/// Names of a queue's entries, which order them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum QueueNames {
    /// `entry-100-0000000000`, as kazoo's `Queue` and `LockingQueue` write them: priority, counter.
    #[default]
    Kazoo,
    /// `queue-0000000000`, as Curator's `DistributedQueue` writes them, or `queue-1000000640000000000` with a priority, as its
    /// `DistributedPriorityQueue` does. A queue of Curator has either the ones or the others. Curator's data are items in a frame:
    /// [`curator_items`](crate::curator_items) reads and writes it.
    Curator,
}

/// Rank of an entry: lower ones are taken first. 100 by default, at most 999.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Priority(u16);

impl Priority {
    /// Returns a priority; values above 999 are taken as 999, because names have three digits for it.
    #[must_use]
    pub fn new(priority: u16) -> Self {
        Self(priority.min(999))
    }
}

/// 100, as in kazoo.
impl Default for Priority {
    fn default() -> Self {
        Self(100)
    }
}

impl QueueNames {
    /// Returns the name up to the counter.
    pub(super) fn prefix(self, priority: Option<Priority>) -> String {
        match (self, priority) {
            (Self::Kazoo, priority) => format!("entry-{:03}-", priority.unwrap_or_default().0),
            (Self::Curator, None) => "queue-".to_owned(),
            (Self::Curator, Some(priority)) => format!("queue-1{:08X}", priority.0),
        }
    }

    /// Returns the entries of a list of children, in the order in which they are taken. Those that nobody made by this recipe are the
    /// last.
    pub(super) fn entries(self, mut names: Vec<String>) -> Vec<String> {
        names.retain(|name| self.text(name).is_some());
        // The counter wraps around, so only the distance of two has a meaning; all are of one parent, and near each other.
        let base =
            names.iter().find_map(|name| self.rank_and_counter(name)).map_or(0, |(_, counter)| counter);
        names.sort_by_cached_key(|name| match self.rank_and_counter(name) {
            Some((rank, counter)) => (false, rank.to_owned(), counter.wrapping_sub(base)),
            None => (true, name.clone(), 0),
        });
        names
    }

    /// Returns the priority in a name, as text, and the counter.
    fn rank_and_counter(self, name: &str) -> Option<(&str, i32)> {
        let text = self.text(name)?;
        let (rank, digits) = match self {
            Self::Kazoo => text.split_once('-')?,
            Self::Curator if counter(text).is_some() => ("", text),
            Self::Curator => text.split_at_checked(CURATOR_RANK)?,
        };
        Some((rank, counter(digits)?))
    }

    /// Returns the part of a name that differs from entry to entry; `None` if the node is no entry.
    fn text(self, name: &str) -> Option<&str> {
        name.strip_prefix(match self {
            Self::Kazoo => "entry-",
            Self::Curator => "queue-",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kazoo_and_curator_and_sort_by_priority_and_age() {
        let low = Priority::new(5);
        for (names, plain, ranked) in [
            (QueueNames::Kazoo, "entry-100-", "entry-005-"),
            (QueueNames::Curator, "queue-", "queue-100000005"),
        ] {
            assert_eq!(names.prefix(None), plain);
            assert_eq!(names.prefix(Some(low)), ranked);
        }
        assert_eq!(QueueNames::Kazoo.prefix(Some(Priority::new(1_000))), "entry-999-");
        let mixed = ["entry-100-0000000001", "taken", "entry-100-0000000000", "entry-005-0000000007"];
        let sorted = ["entry-005-0000000007", "entry-100-0000000000", "entry-100-0000000001"];
        assert_eq!(QueueNames::Kazoo.entries(mixed.map(str::to_owned).to_vec()), sorted);
    }

    #[test]
    fn entries_after_the_counter_has_wrapped_around_are_behind_those_before() {
        let in_order = |names: QueueNames, sorted: &[&str]| {
            let sorted: Vec<_> = sorted.iter().map(|&name| name.to_owned()).collect();
            for turn in 0..sorted.len() {
                let mut mixed = sorted.clone();
                mixed.rotate_left(turn);
                assert_eq!(names.entries(mixed), sorted);
            }
        };
        in_order(
            QueueNames::Kazoo,
            &[
                "entry-005--2147483648",
                "entry-100-2147483646",
                "entry-100-2147483647",
                "entry-100--2147483647",
                "entry-100--2147483646",
                "entry-100--999999999",
                "entry-foreign",
            ],
        );
        // And once more, from -1 to 0.
        in_order(
            QueueNames::Kazoo,
            &["entry-100--000000002", "entry-100--000000001", "entry-100-0000000000"],
        );
        in_order(QueueNames::Curator, &["queue-2147483647", "queue--2147483648", "queue--2147483647"]);
        in_order(
            QueueNames::Curator,
            &["queue-100000005-2147483648", "queue-1000000642147483647", "queue-100000064-2147483647"],
        );
    }
}
