//! Callers that wait for room on a link: who is next, and whom to wake.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Waker};

/// Queue of callers, in the order in which they came. One that needs fewer bytes overtakes those for whom there is no room.
#[derive(Debug, Default)]
pub(crate) struct RoomQueue {
    /// Number of the next caller.
    next: u64,
    /// Tasks of those that wait.
    waiting: BTreeMap<u64, Waker>,
    /// Numbers of those that wait, by the bytes that they need.
    by_len: BTreeMap<usize, BTreeSet<u64>>,
    /// Those that have been called and have not tried again: room is kept for them.
    called: BTreeSet<u64>,
}

impl RoomQueue {
    /// Adds a caller at the end, and returns its number.
    pub(crate) fn push(&mut self, len: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        self.put_back(number, len);
        number
    }

    /// Puts a caller back in its old place, unless it is there.
    pub(crate) fn put_back(&mut self, number: u64, len: usize) {
        // It names its task when it is polled.
        self.waiting.entry(number).or_insert_with(|| Waker::noop().clone());
        self.by_len.entry(len).or_default().insert(number);
    }

    /// Removes a caller that waits no longer, and returns its task; `None` if it has been called.
    pub(crate) fn remove(&mut self, number: u64, len: usize) -> Option<Waker> {
        let task = self.waiting.remove(&number)?;
        if let Some(numbers) = self.by_len.get_mut(&len) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_len.remove(&len);
            }
        }
        Some(task)
    }

    /// Calls the first caller that fits. Returns the bytes that it needs, and its task. `fits` has no room for more bytes where it
    /// has none for fewer.
    pub(crate) fn call(&mut self, mut fits: impl FnMut(usize) -> bool) -> Option<(usize, Waker)> {
        let fitting = self.by_len.iter().take_while(|(len, _)| fits(**len));
        let first = fitting.filter_map(|(len, numbers)| Some((*numbers.first()?, *len))).min();
        let (number, len) = first?;
        let task = self.remove(number, len)?;
        self.called.insert(number);
        Some((len, task))
    }

    /// Notes that a caller tries again, or will not. Returns false if it has not been called.
    pub(crate) fn answer(&mut self, number: u64) -> bool {
        self.called.remove(&number)
    }

    /// Returns true if the caller does not wait any longer. Otherwise its task is woken when it is called.
    pub(crate) fn is_over(&mut self, number: u64, cx: &Context<'_>) -> bool {
        let Some(task) = self.waiting.get_mut(&number) else { return true };
        task.clone_from(cx.waker());
        false
    }
}
