//! Reading ahead: one thread reads a file while another uses what has been read.

use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Number of items that are handed over at once.
const BATCH: usize = 512;

/// Maximum number of batches that are read and not used yet.
const AHEAD: usize = 8;

/// Calls `read` on another thread with a function that takes the items one by one. They come to `each` in their order.
///
/// # Errors
/// The system refuses the thread.
pub(super) fn read_ahead<T: Send, R: Send>(
    read: impl FnOnce(&mut dyn FnMut(T)) -> R + Send,
    each: impl FnMut(T),
) -> io::Result<R> {
    let (sender, batches) = sync_channel(AHEAD);
    let read_all = move || {
        let mut batch = Vec::with_capacity(BATCH);
        let result = read(&mut |item| {
            batch.push(item);
            if batch.len() == BATCH {
                // Refused only after a panic of the other side, which goes on there.
                let _ = sender.send(mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        });
        let _ = sender.send(batch);
        result
    };
    thread::scope(|scope| {
        let reading = thread::Builder::new().spawn_scoped(scope, read_all)?;
        batches.into_iter().flatten().for_each(each);
        Ok(reading.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        for count in [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * AHEAD * BATCH + 7] {
            let mut seen = Vec::new();
            let read = |each: &mut dyn FnMut(usize)| {
                (0..count).for_each(each);
                "read"
            };
            assert_eq!(read_ahead(read, |item| seen.push(item)).unwrap(), "read");
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "unreadable")]
    fn a_panic_of_the_reader_is_not_lost() {
        let read = |each: &mut dyn FnMut(usize)| {
            each(1);
            panic!("unreadable")
        };
        let _ = read_ahead::<_, ()>(read, |_| ());
    }
}
