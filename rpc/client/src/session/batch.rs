//! Messages that have arrived and wait for their reader.

use std::mem;

use rpc_wire::next_message;

/// Capacity that an empty batch keeps.
const KEPT_CAPACITY: usize = 16 << 10;

/// Messages, one behind the other. They take no more memory than they cost, whatever their lengths and whatever arrived
/// between them.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their frames, as they have arrived: many are copied at once.
    frames: Vec<u8>,
    /// Position of the next message.
    at: usize,
}

impl Batch {
    /// Takes the next message.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        let (message, rest) = next_message(self.frames.get(self.at..)?)?;
        self.at = self.frames.len() - rest.len();
        Some(message)
    }

    /// Returns true if all messages were taken.
    pub fn is_empty(&self) -> bool {
        self.at == self.frames.len()
    }

    pub(super) fn push(&mut self, frames: &[u8]) {
        self.frames.extend_from_slice(frames);
    }

    /// Returns the cost of all messages: the length of their frames.
    pub(super) fn cost(&self) -> usize {
        self.frames.len()
    }

    /// Becomes the batch of `next`, which gets the memory of this one.
    pub(super) fn exchange(&mut self, next: &mut Self) {
        self.clear();
        mem::swap(self, next);
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(KEPT_CAPACITY);
        self.at = 0;
    }
}
