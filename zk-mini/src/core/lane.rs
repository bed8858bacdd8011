//! Lanes: things that wait in order, each until a time.

use std::collections::VecDeque;

use zk_wire::Millis;

/// Bytes that everything that waits counts for, beside its frame.
const OVERHEAD: usize = 64;

/// Things that wait, in order.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Bytes of all, with a little for each.
    pub(crate) bytes: usize,
}

/// Thing that waits in a lane.
#[derive(Debug)]
struct Waiting<T> {
    /// Time from which on it may pass.
    at: Millis,
    /// The same without the time that it takes on a slow link.
    unslowed: Millis,
    bytes: usize,
    thing: T,
}

impl<T> Lane<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the time at which the first thing may pass.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.waiting.front().map(|waiting| waiting.at)
    }

    /// Adds something of `len` bytes behind all others, with its time, and the same without its time on a slow link.
    pub(crate) fn push_back(&mut self, (at, unslowed): (Millis, Millis), thing: T, len: usize) {
        let bytes = len + OVERHEAD;
        self.waiting.push_back(Waiting { at, unslowed, bytes, thing });
        self.bytes += bytes;
    }

    /// Adds something before all others.
    pub(crate) fn push_front(&mut self, (at, unslowed): (Millis, Millis), thing: T, len: usize) {
        let bytes = len + OVERHEAD;
        self.waiting.push_front(Waiting { at, unslowed, bytes, thing });
        self.bytes += bytes;
    }

    /// Takes the first thing, if it may pass.
    pub(crate) fn pop(&mut self, now: Millis) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let Waiting { bytes, thing, .. } = self.waiting.pop_front()?;
        self.bytes -= bytes;
        Some(thing)
    }

    /// Lets pass what only waits for its link.
    pub(crate) fn unslow(&mut self) {
        for waiting in &mut self.waiting {
            waiting.at = waiting.unslowed;
        }
    }

    pub(crate) fn things_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.iter_mut().map(|waiting| &mut waiting.thing)
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        self.waiting.retain(|waiting| keeps(&waiting.thing));
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }
}
