//! Bytes on their way from a session to its transport.

use std::mem;

/// Capacity that a buffer keeps when it is used again.
const KEPT_CAPACITY: usize = 64 << 10;

/// Bytes on their way to the server.
#[derive(Debug, Default)]
pub struct Transmission {
    bytes: Vec<u8>,
    written: usize,
    has_progress: bool,
}

impl Transmission {
    /// Returns the bytes that the transport has not taken yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Notes that the transport has taken the next `n` bytes.
    pub fn advance(&mut self, n: usize) {
        self.written = self.written.saturating_add(n).min(self.bytes.len());
        self.has_progress = true;
    }

    /// Returns true if the transport has taken all bytes.
    pub fn is_done(&self) -> bool {
        self.written == self.bytes.len()
    }

    pub(super) fn take_progress(&mut self) -> bool {
        mem::take(&mut self.has_progress)
    }

    /// Becomes the transmission of `next`, which gets the memory of the old one.
    pub(super) fn exchange(&mut self, next: &mut Vec<u8>) {
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        mem::swap(&mut self.bytes, next);
    }

    /// Appends `next`, which keeps its memory.
    pub(super) fn append(&mut self, next: &mut Vec<u8>) {
        self.bytes.append(next);
    }
}
