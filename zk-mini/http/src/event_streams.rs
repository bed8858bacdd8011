//! Event streams that are open: their number, and what they hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Event streams that are open. A clone counts the same ones.
#[derive(Clone, Debug)]
pub(crate) struct EventStreams {
    counts: Arc<Mutex<EventStreamCounts>>,
    most: usize,
}

/// Counts of the event streams that are open; see [`Http::event_streams`](crate::Http::event_streams).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct EventStreamCounts {
    /// Number of streams.
    pub open: usize,
    /// Number of entries that they have taken from the history and not given to their connections yet.
    pub held: usize,
}

/// Place of a stream among those that are open. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct EventStreamPlace {
    streams: EventStreams,
    held: usize,
}

impl EventStreams {
    pub(crate) fn new(most: usize) -> Self {
        Self { counts: Arc::default(), most }
    }

    /// Returns the present counts.
    pub(crate) fn counts(&self) -> EventStreamCounts {
        *self.lock()
    }

    /// Enters, if there is room.
    pub(crate) fn enter(&self) -> Option<EventStreamPlace> {
        let mut counts = self.lock();
        if counts.open >= self.most {
            return None;
        }
        counts.open += 1;
        Some(EventStreamPlace { streams: self.clone(), held: 0 })
    }

    fn lock(&self) -> MutexGuard<'_, EventStreamCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStreamPlace {
    /// Notes the number of entries that the stream holds now.
    pub(crate) fn hold(&mut self, held: usize) {
        if held != self.held {
            let mut counts = self.streams.lock();
            counts.held = counts.held + held - self.held;
            self.held = held;
        }
    }
}

impl Drop for EventStreamPlace {
    fn drop(&mut self) {
        self.hold(0);
        self.streams.lock().open -= 1;
    }
}
