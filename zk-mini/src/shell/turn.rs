//! Context of work under the lock of the state: the time, the limits, and the tasks to wake afterwards.

use std::task::Waker;
use std::time::Instant;

use crate::core::Now;
use crate::shell::limits::Limits;
use crate::shell::listens::Listens;

/// Context of one turn with the state, from lock to unlock. All work under the lock gets it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Time of the turn. Overdue work sets it back to the deadline.
    pub(crate) now: Now,
    /// The machine's time at the start, if it was read.
    pub(crate) began: Option<Instant>,
    pub(crate) limits: &'a Limits,
    /// Tasks to wake when the lock is free again.
    pub(crate) wakers: &'a mut Wakers,
    /// Servers of an ensemble that get an address when the lock is free again.
    pub(crate) listens: Vec<Listens>,
}

/// Tasks to wake. Dropping it wakes them, even if a panic drops it: other tasks must not wait for ever.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    /// Adds a task, if there is one.
    pub(crate) fn add(&mut self, task: Option<Waker>) {
        self.0.extend(task);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}
