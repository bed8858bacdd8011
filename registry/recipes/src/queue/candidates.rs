//! Names of entries that may be free, from the last list. Pure.

use std::collections::VecDeque;

use common::Millis;

/// Maximum number of entries that are tried from one list.
const MAX: usize = 128;

/// Maximum age of a list.
const MAX_AGE: Millis = Millis(1_000);

/// Entries in the order in which they are tried. A list is used for several takes, because it is long where the queue is; an entry
/// of higher priority that comes meanwhile waits for the end of the list, a second at most.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    names: VecDeque<String>,
    listed: Millis,
}

impl Candidates {
    /// Replaces the names.
    pub(super) fn fill(&mut self, now: Millis, names: impl IntoIterator<Item = String>) {
        self.names.clear();
        self.names.extend(names.into_iter().take(MAX));
        self.listed = now;
    }

    /// Returns the next name; `None` if another list is needed.
    pub(super) fn next(&mut self, now: Millis) -> Option<String> {
        self.names.pop_front().filter(|_| now.since(self.listed) <= MAX_AGE)
    }

    /// Puts a name back that was not tried.
    pub(super) fn put_back(&mut self, name: String) {
        self.names.push_front(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_used_in_order_for_a_bounded_number_and_time() {
        let mut candidates = Candidates::default();
        candidates.fill(Millis(0), (0..1_000).map(|n| format!("{n:04}")));
        assert_eq!(candidates.next(Millis(0)).unwrap(), "0000");
        candidates.put_back("0000".to_owned());
        for n in 0..MAX {
            assert_eq!(candidates.next(MAX_AGE).unwrap(), format!("{n:04}"));
        }
        assert_eq!(candidates.next(Millis(0)), None);
        candidates.fill(Millis(0), ["late".to_owned()]);
        assert_eq!(candidates.next(MAX_AGE + Millis(1)), None);
    }
}
