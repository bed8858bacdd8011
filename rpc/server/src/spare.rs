//! A spare buffer of each thread for what streams produce: a batch that has been written becomes the next one. So neither a stream
//! nor a connection that waits has a buffer of its own.

use std::cell::Cell;

/// Capacity up to which a buffer is kept.
const MOST_KEPT: usize = 256 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Returns an empty buffer.
pub(crate) fn take() -> Vec<u8> {
    SPARE.take()
}

/// Keeps a buffer for [`take`], if it is larger than the one that is there.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    let kept = SPARE.take();
    if buffer.capacity() > MOST_KEPT || buffer.capacity() <= kept.capacity() {
        return SPARE.set(kept);
    }
    buffer.clear();
    SPARE.set(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_one_of_two_is_kept_unless_it_is_too_large() {
        give_back(b"some".to_vec());
        give_back(Vec::with_capacity(100));
        give_back(Vec::with_capacity(MOST_KEPT + 1));
        give_back(Vec::new());
        let taken = take();
        assert!(taken.is_empty() && (100..1_000).contains(&taken.capacity()));
        assert_eq!(take().capacity(), 0);
    }
}
