//! Queue of a connection, which holds little memory while the connection is idle.

use std::collections::VecDeque;

/// Number of places that an empty queue keeps. Their memory is worth less than an allocation for each burst.
const KEPT_PLACES: usize = 32;

/// First in, first out. Frees the memory of a burst once it is empty.
#[derive(Debug)]
pub(super) struct Queue<T>(VecDeque<T>);

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let first = self.0.pop_front();
        if first.is_none() {
            self.free();
        }
        first
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.0.front()
    }

    /// Drops what is in front while `is_over` returns true.
    pub(super) fn drop_while(&mut self, is_over: impl Fn(&T) -> bool) {
        while self.0.front().is_some_and(&is_over) {
            self.0.pop_front();
        }
    }

    pub(super) fn retain(&mut self, is_kept: impl FnMut(&T) -> bool) {
        self.0.retain(is_kept);
        self.free();
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.free();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the allocated memory in bytes, without that of the places that are always kept.
    pub(super) fn held(&self) -> usize {
        if self.0.capacity() > KEPT_PLACES { self.0.capacity() * size_of::<T>() } else { 0 }
    }

    #[inline]
    fn free(&mut self) {
        if self.0.capacity() > KEPT_PLACES && self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_no_memory_and_single_items_need_no_new_one() {
        let mut queue = Queue::new();
        for round in 0..2 {
            for item in 0..1_000 {
                queue.push(item);
            }
            assert!(queue.held() >= 4_000, "round {round}");
            assert!(std::iter::from_fn(|| queue.pop()).eq(0..1_000));
            assert_eq!((queue.held(), queue.0.capacity()), (0, 0));
        }
        queue.push(1);
        let kept = queue.0.capacity();
        assert_eq!((queue.pop(), queue.pop()), (Some(1), None));
        assert_eq!((queue.held(), queue.0.capacity()), (0, kept));
    }
}
