//! Callers that wait for room on a link: who is next, and whom to wake.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::task::Waker;

/// Maximum number of lengths among which the next caller is looked for, the shortest ones, if there is no room for the first.
const MOST_LENGTHS: usize = 32;

/// Queue of callers, in the order in which they came. One that needs fewer bytes overtakes those for whom there is no room.
#[derive(Debug, Default)]
pub(crate) struct RoomQueue {
    /// Number of the next caller.
    next: u64,
    /// Those that wait.
    waiting: BTreeMap<u64, Waiting>,
    /// Numbers of those that wait, by the bytes that they need.
    by_len: BTreeMap<usize, BTreeSet<u64>>,
    /// Those that have been called and have not tried again: room is kept for them.
    called: BTreeMap<u64, Turn>,
    /// Number of times that turns have ended.
    ends: u64,
}

/// Caller that waits.
#[derive(Debug)]
struct Waiting {
    /// Bytes that it needs.
    len: usize,
    task: Waker,
}

/// Turn of a caller.
#[derive(Debug)]
struct Turn {
    len: usize,
    /// Value of [`RoomQueue::ends`] when it was called.
    began: u64,
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
        self.waiting.entry(number).or_insert_with(|| Waiting { len, task: Waker::noop().clone() });
        self.by_len.entry(len).or_default().insert(number);
    }

    /// Removes a caller that waits no longer, and returns its task; `None` if it has been called.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Waker> {
        let Waiting { len, task } = self.waiting.remove(&number)?;
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
        let (first, Waiting { len, .. }) = self.waiting.first_key_value()?;
        let (number, len) = if fits(*len) {
            (*first, *len)
        } else {
            let fitting = self.by_len.iter().take(MOST_LENGTHS).take_while(|(len, _)| fits(**len));
            fitting.filter_map(|(len, numbers)| Some((*numbers.first()?, *len))).min()?
        };
        let task = self.remove(number)?;
        self.called.insert(number, Turn { len, began: self.ends });
        Some((len, task))
    }

    /// Notes that a caller tries again, or will not. Returns false if it has not been called, or its turn has ended.
    pub(crate) fn answer(&mut self, number: u64) -> bool {
        self.called.remove(&number).is_some()
    }

    /// Ends the turns of those that were called before the last time and have not tried again: nobody polls them. Returns the bytes
    /// that were kept for them; `None` if there are none.
    pub(crate) fn end_turns(&mut self) -> Option<usize> {
        let (ends, mut missed) = (self.ends, None::<usize>);
        self.ends += 1;
        self.called.retain(|_, turn| {
            let is_on = turn.began == ends;
            if !is_on {
                missed = Some(missed.unwrap_or(0).saturating_add(turn.len));
            }
            is_on
        });
        missed
    }

    /// Takes all callers that fit, each by itself, out of the queue, and returns their tasks. No room is kept for them.
    pub(crate) fn call_all(&mut self, mut fits: impl FnMut(usize) -> bool) -> Vec<Waker> {
        let fitting = self.by_len.iter().take_while(|(len, _)| fits(**len));
        let numbers: Vec<u64> = fitting.flat_map(|(_, numbers)| numbers).copied().collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    /// Returns true if the caller does not wait any longer. Otherwise `task` is woken when it is called, and is exchanged for the earlier
    /// one.
    pub(crate) fn is_over(&mut self, number: u64, task: &mut Waker) -> bool {
        let Some(waiting) = self.waiting.get_mut(&number) else { return true };
        mem::swap(&mut waiting.task, task);
        false
    }
}
