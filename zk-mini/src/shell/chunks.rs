//! Bytes to write. Short frames are gathered, so that one write takes many; long ones are not copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::core::Frame;

/// Minimum length of a frame that is not copied. A short frame is copied, because it would keep the whole buffer alive
/// that it is a slice of.
const LONG: usize = 8 * 1024;

/// Capacity above which an empty buffer is freed, so that one burst does not hold memory for ever.
pub(crate) const KEPT_CAPACITY: usize = 16 * 1024;

/// Bytes in order. Reading them, as a [`Buf`], takes them off the front.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// Chunks before `last`.
    first: VecDeque<Bytes>,
    last: BytesMut,
    /// Number of bytes of `last` that have been taken. Advancing `last` would hide its capacity.
    taken: usize,
    len: usize,
    /// Length of the last buffer that was freed: the next burst will probably be as long.
    expected: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        self.len += frame.len();
        let Frame::Shared(frame) = frame else { return self.copy(frame) };
        if frame.len() < LONG {
            return self.copy(frame);
        }
        if !self.last.is_empty() {
            let mut last = self.last.split().freeze();
            last.advance(std::mem::take(&mut self.taken));
            self.first.push_back(last);
        }
        self.first.push_back(frame.clone());
    }

    fn copy(&mut self, frame: &[u8]) {
        if self.last.capacity() == 0 {
            self.last.reserve(std::mem::take(&mut self.expected));
        }
        self.last.extend_from_slice(frame);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the size of the buffer for short frames.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.last.capacity()
    }

    /// Makes room when everything has been taken, and keeps a little capacity.
    fn reset(&mut self) {
        if self.last.capacity() > KEPT_CAPACITY {
            self.expected = self.last.len();
            self.last = BytesMut::new();
        }
        self.last.clear();
        self.taken = 0;
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.first.front().map_or(&self.last[self.taken..], |first| first)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.first.iter().map(|chunk| &chunk[..]).chain([&self.last[self.taken..]]);
        let filled = chunks.filter(|chunk| !chunk.is_empty()).zip(slices);
        filled.map(|(chunk, slice)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        if self.len == 0 {
            self.first.clear();
            return self.reset();
        }
        while let Some(first) = self.first.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.first.pop_front();
        }
        self.taken += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_many_are_taken_at_once() {
        let frames: Vec<_> = [3, LONG, 5, 7, LONG + 1, LONG, 2].into_iter().zip(1..).collect();
        let all: Vec<u8> = frames.iter().flat_map(|&(len, byte)| vec![byte; len]).collect();
        for step in [1, 4, LONG - 1, LONG + 3, all.len()] {
            let mut chunks = Chunks::default();
            for &(len, byte) in &frames {
                chunks.push(&Frame::Shared(vec![byte; len].into()));
            }
            let mut out = Vec::new();
            while chunks.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 3];
                let count = chunks.chunks_vectored(&mut slices);
                let offered: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(offered.starts_with(chunks.chunk()) && !chunks.chunk().is_empty());
                let taken = step.min(offered.len());
                out.extend_from_slice(&offered[..taken]);
                chunks.advance(taken);
            }
            assert!(out == all && chunks.is_empty());
        }
    }

    #[test]
    fn memory_of_a_burst_is_freed_and_asked_for_at_once_by_the_next_one() {
        let frame = Frame::Short(&[7; 1024]);
        let mut chunks = Chunks::default();
        let frames = 1 + KEPT_CAPACITY / frame.len();
        (0..frames).for_each(|_| chunks.push(&frame));
        chunks.advance(chunks.len());
        assert_eq!(chunks.last.capacity(), 0);
        chunks.push(&frame);
        assert!(chunks.last.capacity() >= frames * frame.len());
        chunks.advance(chunks.len());
        chunks.push(&frame);
        assert!(chunks.last.capacity() <= KEPT_CAPACITY, "it was short");
    }
}
