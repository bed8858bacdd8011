//! The queue of bytes to write to one connection. Turns with the state fill it; the task of the connection empties
//! it.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::oneshot;

use crate::core::Frame;
use crate::shell::chunks::Chunks;
use crate::shell::limits::Limits;
use crate::shell::turn::Turn;

/// Queue of bytes to write to one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Chunks,
    /// Bytes that the connection's task has taken and not written yet.
    in_flight: usize,
    /// Bytes of replies and requests that wait for the disk.
    held: usize,
    /// The connection is not read.
    paused: bool,
    close: Close,
    /// The connection's task, while it waits.
    task: Option<Waker>,
    /// Dropped when everything queued before has been written, or when the peer takes no more.
    barriers: Vec<oneshot::Sender<()>>,
    /// Tasks that wait until the input that has arrived is handled.
    waiters: Vec<InputWaiter>,
}

/// Dropped when the input that has arrived is handled.
pub(crate) type InputWaiter = oneshot::Sender<Infallible>;

/// Wish to end a connection, from none to the strongest.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Close {
    /// The connection goes on.
    #[default]
    No,
    /// The connection ends when the queued bytes have been written.
    Flushed,
    /// The connection ends without waiting for the peer to take the queued bytes.
    Now,
}

impl Outbox {
    /// Appends a frame, unless the connection is closing, and wakes the task. A peer that does not read is cut
    /// off beyond the limit: returns false, the first time. If little is queued, a frame of any length is accepted.
    pub(crate) fn push(&self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> bool {
        let mut queue = self.lock();
        if queue.close != Close::No {
            return true;
        }
        turn.wakers.add(queue.task.take());
        let backlog = queue.backlog();
        if backlog >= turn.limits.pause_reading() && backlog + frame.len() > turn.limits.max_backlog {
            queue.bytes = Chunks::default();
            queue.close = Close::Now;
            queue.waiters.clear();
            return false;
        }
        queue.bytes.push(frame);
        true
    }

    /// Asks for the end of the connection. A weaker wish does not replace a stronger one.
    pub(crate) fn close(&self, close: Close, turn: &mut Turn<'_>) {
        let mut queue = self.lock();
        queue.close = queue.close.max(close);
        queue.waiters.clear();
        turn.wakers.add(queue.task.take());
    }

    /// Returns the number of bytes that are queued or wait for the disk, and the wish to end the connection. A paused
    /// connection is as good as full.
    pub(crate) fn status(&self) -> (usize, Close) {
        self.lock().status()
    }

    /// Asks the task to read nothing.
    pub(crate) fn pause(&self) {
        self.lock().paused = true;
    }

    /// Asks the task to read again.
    pub(crate) fn resume(&self, turn: &mut Turn<'_>) {
        let mut queue = self.lock();
        queue.paused = false;
        turn.wakers.add(queue.task.take());
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Returns the same as [`status`](Self::status) to the task before it reads, and hands it the waiters for input.
    pub(crate) fn before_reading(&self, waiters: &mut Vec<InputWaiter>) -> (usize, Close) {
        let mut queue = self.lock();
        waiters.append(&mut queue.waiters);
        queue.status()
    }

    /// Asks the task to handle the input that has arrived. The receiver fails when the task has, as far as it may:
    /// that is the signal. `None` if it handles nothing more.
    pub(crate) fn ask_for_input(&self, turn: &mut Turn<'_>) -> Option<oneshot::Receiver<Infallible>> {
        let mut queue = self.lock();
        if queue.close != Close::No {
            return None;
        }
        turn.wakers.add(queue.task.take());
        let (waiters, taken) = oneshot::channel();
        queue.waiters.push(waiters);
        Some(taken)
    }

    /// Returns true if the peer is not read because of bytes that wait for the disk.
    pub(crate) fn waits_for_disk(&self, limits: &Limits) -> bool {
        let queue = self.lock();
        let (backlog, pause) = (queue.backlog(), limits.pause_reading());
        queue.close == Close::No && backlog < pause && backlog + queue.held >= pause
    }

    /// Adds bytes that wait for the disk.
    pub(crate) fn hold(&self, bytes: usize) {
        self.lock().held += bytes;
    }

    /// Removes bytes that wait no longer.
    pub(crate) fn release(&self, bytes: usize, turn: &mut Turn<'_>) {
        let mut queue = self.lock();
        queue.held = queue.held.saturating_sub(bytes);
        turn.wakers.add(queue.task.take());
    }

    /// Exchanges `written`, which is empty since all of it has been written, for the queued bytes. Hands out and returns the same as
    /// [`before_reading`](Self::before_reading).
    pub(crate) fn take(&self, written: &mut Chunks, waiters: &mut Vec<InputWaiter>) -> (usize, Close) {
        let mut queue = self.lock();
        if !queue.bytes.is_empty() {
            std::mem::swap(&mut queue.bytes, written);
        }
        queue.in_flight = written.len();
        queue.task = None;
        if written.is_empty() && queue.close == Close::No {
            queue.barriers.clear();
        }
        waiters.append(&mut queue.waiters);
        queue.status()
    }

    /// Registers the task, to be woken at the next change. Returns false if it must not wait: there are bytes to
    /// write, unless the peer takes none; there is a waiter for input; there is a wish to close that is stronger
    /// than the `known` one; or it has not read, but now fewer bytes wait than the limit below which it `reads`.
    pub(crate) fn wait(
        &self,
        task: &Waker,
        peer_takes_nothing: bool,
        known: Close,
        reads: Option<usize>,
    ) -> bool {
        let mut queue = self.lock();
        if reads.is_some_and(|limit| queue.status().0 < limit) {
            return false;
        }
        let is_asked = known == Close::No && !queue.waiters.is_empty();
        if queue.close > known || is_asked || (!queue.bytes.is_empty() && !peer_takes_nothing) {
            return false;
        }
        queue.task = Some(task.clone());
        true
    }

    /// Releases the barriers: the peer takes no more for now.
    pub(crate) fn release_barriers(&self) {
        self.lock().barriers.clear();
    }

    /// Releases all waiters: the connection has ended.
    pub(crate) fn release_all(&self) {
        let mut queue = self.lock();
        queue.close = Close::Now;
        queue.barriers.clear();
        queue.waiters.clear();
    }

    /// Returns a signal, which is the receiver's error, for the time when everything queued now has been written and
    /// a wish to close has been performed, as far as the peer takes the bytes. `None` if nothing is outstanding.
    pub(crate) fn barrier(&self, turn: &mut Turn<'_>) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        if queue.backlog() == 0 && queue.close == Close::No {
            return None;
        }
        turn.wakers.add(queue.task.take());
        let (barrier, passed) = oneshot::channel();
        queue.barriers.push(barrier);
        Some(passed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn status(&self) -> (usize, Close) {
        let load = if self.paused { usize::MAX } else { self.backlog() + self.held };
        (load, self.close)
    }

    fn backlog(&self) -> usize {
        self.bytes.len() + self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;
    use crate::core::Now;
    use crate::shell::turn::Wakers;

    fn turn<T>(max_backlog: usize, act: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        let limits = Limits { max_backlog, ..Limits::default() };
        act(&mut Turn {
            now: Now::default(),
            began: None,
            limits: &limits,
            wakers: &mut Wakers::default(),
            listens: Vec::new(),
        })
    }

    /// Returns true unless the peer is cut off.
    fn push(outbox: &Outbox, max_backlog: usize, frame: &'static str) -> bool {
        turn(max_backlog, |turn| outbox.push(&Frame::Short(frame.as_bytes()), turn))
    }

    fn wakes<T>(act: impl FnOnce(&mut Turn<'_>) -> T) -> usize {
        turn(10, |turn| {
            act(turn);
            turn.wakers.len()
        })
    }

    #[test]
    fn queued_bytes_are_taken_at_once_and_count_until_they_are_written() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 10, "one"));
        assert!(push(&outbox, 10, "two"));
        let mut taken = Chunks::default();
        outbox.take(&mut taken, &mut Vec::new());
        assert_eq!((taken.chunk(), outbox.status()), (&b"onetwo"[..], (6, Close::No)));
        taken.advance(6);
        outbox.take(&mut taken, &mut Vec::new());
        assert_eq!((taken.chunk(), outbox.status()), (&b""[..], (0, Close::No)));
    }

    #[test]
    fn written_bytes_take_no_memory() {
        let (outbox, mut taken) = (Outbox::default(), Chunks::default());
        for _ in 0..10_000 {
            assert!(push(&outbox, 10, "a reply"));
            outbox.take(&mut taken, &mut Vec::new());
            taken.advance(taken.len());
            outbox.take(&mut taken, &mut Vec::new());
        }
        assert!(outbox.lock().bytes.capacity() + taken.capacity() < 1_000);
    }

    #[test]
    fn bytes_that_wait_for_the_disk_count_but_hold_up_no_barrier() {
        let outbox = Outbox::default();
        outbox.hold(7);
        assert_eq!(outbox.status(), (7, Close::No));
        assert!(turn(10, |turn| outbox.barrier(turn)).is_none());
        assert!(outbox.wait(Waker::noop(), false, Close::No, None));
        assert_eq!(wakes(|turn| outbox.release(7, turn)), 1);
        assert_eq!(outbox.status(), (0, Close::No));
    }

    #[test]
    fn a_peer_beyond_the_limit_is_cut_off_once() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 5, "one"));
        assert!(!push(&outbox, 5, "two"));
        assert!(push(&outbox, 5, "three"), "reported already");
        assert_eq!(outbox.status(), (0, Close::Now));
    }

    #[test]
    fn a_reply_of_any_length_is_taken_if_nothing_is_queued() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 5, "much longer than the limit"));
        assert!(!push(&outbox, 5, "more"));
    }

    #[test]
    fn a_weaker_wish_to_close_does_not_replace_a_stronger_one() {
        let outbox = Outbox::default();
        turn(10, |turn| outbox.close(Close::Now, turn));
        turn(10, |turn| outbox.close(Close::Flushed, turn));
        assert_eq!(outbox.status().1, Close::Now);
    }

    #[test]
    fn a_task_waits_only_without_work_and_is_woken_once() {
        let (outbox, task) = (Outbox::default(), Waker::noop());
        assert!(outbox.wait(task, false, Close::No, None));
        assert_eq!(wakes(|turn| outbox.push(&Frame::Short(b"one"), turn)), 1);
        assert_eq!(wakes(|turn| outbox.push(&Frame::Short(b"two"), turn)), 0, "it is awake");
        assert!(!outbox.wait(task, false, Close::No, None), "there is something to write");
        assert!(outbox.wait(task, true, Close::No, None), "which the peer does not take");
        assert_eq!(wakes(|turn| outbox.close(Close::Flushed, turn)), 1);
        assert!(!outbox.wait(task, true, Close::No, None));
        assert!(outbox.wait(task, true, Close::Flushed, None), "the wish is known");
    }

    #[test]
    fn a_task_that_has_not_read_does_not_wait_once_it_may() {
        let (outbox, task) = (Outbox::default(), Waker::noop());
        outbox.hold(7);
        // Between its look at the load and its wait.
        assert_eq!(wakes(|turn| outbox.release(7, turn)), 0);
        assert!(!outbox.wait(task, false, Close::No, Some(7)));
        outbox.pause();
        assert!(outbox.wait(task, false, Close::No, Some(7)));
        assert_eq!(wakes(|turn| outbox.resume(turn)), 1);
        assert!(!outbox.wait(task, false, Close::No, Some(7)));
    }

    #[test]
    fn a_barrier_is_passed_when_everything_is_written() {
        let outbox = Outbox::default();
        assert!(turn(10, |turn| outbox.barrier(turn)).is_none(), "nothing is outstanding");
        push(&outbox, 10, "one");
        let mut barrier = turn(10, |turn| outbox.barrier(turn)).unwrap();
        let mut taken = Chunks::default();
        outbox.take(&mut taken, &mut Vec::new());
        assert_eq!(barrier.try_recv(), Err(oneshot::error::TryRecvError::Empty), "taken, but not written");
        taken.advance(taken.len());
        outbox.take(&mut taken, &mut Vec::new());
        assert_eq!(barrier.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
