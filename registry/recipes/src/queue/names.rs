//! Names of entries. Pure.

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

    /// Returns the entries of a list of children, in the order in which they are taken.
    pub(super) fn entries(self, mut names: Vec<String>) -> Vec<String> {
        let prefix = match self {
            Self::Kazoo => "entry-",
            Self::Curator => "queue-",
        };
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        names
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
}
