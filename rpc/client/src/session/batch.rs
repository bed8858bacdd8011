//! Messages that have arrived and wait for their reader.

use std::mem;

use rpc_wire::SendWindow;

/// Capacity that an empty batch keeps.
const KEPT_CAPACITY: usize = 16 << 10;

/// Number of bytes in front of a message: its length.
const PREFIX: usize = 4;

/// Messages, one behind the other. They take no more memory than they cost, whatever their lengths and whatever arrived
/// between them.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Position of the next message.
    at: usize,
    /// Cost of all messages.
    cost: usize,
}

impl Batch {
    /// Takes the next message.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        let prefix = self.bytes.get(self.at..)?.first_chunk::<PREFIX>()?;
        let start = self.at + PREFIX;
        self.at = start + u32::from_be_bytes(*prefix) as usize;
        self.bytes.get(start..self.at)
    }

    /// Returns true if all messages were taken.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        // The length of a frame has four bytes, too.
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.cost += SendWindow::cost(message.len());
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Becomes the batch of `next`, which gets the memory of this one.
    pub(super) fn exchange(&mut self, next: &mut Self) {
        self.clear();
        mem::swap(self, next);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        (self.at, self.cost) = (0, 0);
    }
}
