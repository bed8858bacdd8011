//! What waits to be written to one connection. Whoever drains the core fills it; the connection's task
//! empties it.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::shell::chunks::Chunks;
use crate::shell::limits::Limits;
use crate::shell::turn::Turn;

/// What waits to be written to one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Chunks,
    /// Bytes that the connection's task has taken and not written yet.
    in_flight: usize,
    /// Bytes that will come, or that came in and are waiting, when the disk is ready.
    held: usize,
    close: Close,
    /// The connection's task, while it waits.
    task: Option<Waker>,
    /// Dropped when everything queued before has been written, or when the peer takes no more.
    barriers: Vec<oneshot::Sender<()>>,
    /// Tasks that wait until what the peer has sent is handled.
    asked: Vec<Asked>,
}

/// Dropped when what the peer has sent has been handled.
pub(crate) type Asked = oneshot::Sender<Infallible>;

/// Whether a connection is to end, and how.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Close {
    /// It goes on.
    #[default]
    No,
    /// When what is queued has been written.
    Flushed,
    /// Without waiting for the peer to take what is queued.
    Now,
}

impl Outbox {
    /// Appends a frame; nothing once the connection is closing. A peer that lets too much pile up is cut off, `false`
    /// the first time; a single frame, however long, finds its place where little is queued. The task to wake, if it
    /// waits, goes to the wakers of the turn.
    pub(crate) fn push(&self, frame: &Bytes, turn: &mut Turn<'_>) -> bool {
        let mut queue = self.lock();
        if queue.close != Close::No {
            return true;
        }
        turn.wakers.add(queue.task.take());
        let backlog = queue.backlog();
        if backlog >= turn.limits.pause_reading() && backlog + frame.len() > turn.limits.max_backlog {
            queue.bytes = Chunks::default();
            queue.close = Close::Now;
            queue.asked.clear();
            return false;
        }
        queue.bytes.push(frame);
        true
    }

    /// Asks for the end of the connection. A milder wish does not replace a stronger one.
    pub(crate) fn close(&self, close: Close, turn: &mut Turn<'_>) {
        let mut queue = self.lock();
        queue.close = queue.close.max(close);
        queue.asked.clear();
        turn.wakers.add(queue.task.take());
    }

    /// How many bytes there are on account of this connection: queued and not written, as far as is known, or waiting
    /// for the disk; and whether it is to end.
    pub(crate) fn status(&self) -> (usize, Close) {
        let queue = self.lock();
        (queue.backlog() + queue.held, queue.close)
    }

    /// Returns the same as [`status`](Self::status), to the task before it reads, which takes over those that wait for that.
    pub(crate) fn before_reading(&self, asked: &mut Vec<Asked>) -> (usize, Close) {
        let mut queue = self.lock();
        asked.append(&mut queue.asked);
        (queue.backlog() + queue.held, queue.close)
    }

    /// Asks the task to handle what its peer has sent until now; the error of what comes back is the signal that it has,
    /// as far as it may. `None` if it handles nothing more.
    pub(crate) fn ask_for_input(&self, turn: &mut Turn<'_>) -> Option<oneshot::Receiver<Infallible>> {
        let mut queue = self.lock();
        if queue.close != Close::No {
            return None;
        }
        turn.wakers.add(queue.task.take());
        let (asked, taken) = oneshot::channel();
        queue.asked.push(asked);
        Some(taken)
    }

    /// Returns whether nothing is read from the peer because of what waits for the disk.
    pub(crate) fn waits_for_disk(&self, limits: &Limits) -> bool {
        let queue = self.lock();
        let (backlog, pause) = (queue.backlog(), limits.pause_reading());
        queue.close == Close::No && backlog < pause && backlog + queue.held >= pause
    }

    /// So many bytes wait for the disk.
    pub(crate) fn hold(&self, bytes: usize) {
        self.lock().held += bytes;
    }

    /// So many bytes wait no longer.
    pub(crate) fn release(&self, bytes: usize, turn: &mut Turn<'_>) {
        let mut queue = self.lock();
        queue.held = queue.held.saturating_sub(bytes);
        turn.wakers.add(queue.task.take());
    }

    /// Exchanges `written`, whose content has been written, for what is queued.
    pub(crate) fn take(&self, written: &mut Chunks) {
        written.clear();
        let mut queue = self.lock();
        std::mem::swap(&mut queue.bytes, written);
        queue.in_flight = written.len();
        queue.task = None;
        if written.is_empty() && queue.close == Close::No {
            queue.barriers.clear();
        }
    }

    /// The task is about to wait: wakes it at the next change. `false` if there was one already, so that it must
    /// not wait: something to write, unless the peer is not taking any, somebody who asks for what the peer has sent, or a
    /// stronger wish to close than the one that it `knows` of.
    pub(crate) fn wait(&self, task: &Waker, peer_takes_nothing: bool, knows: Close) -> bool {
        let mut queue = self.lock();
        let is_asked = knows == Close::No && !queue.asked.is_empty();
        if queue.close > knows || is_asked || (!queue.bytes.is_empty() && !peer_takes_nothing) {
            return false;
        }
        queue.task = Some(task.clone());
        true
    }

    /// Lets go whoever waits at a barrier: the peer takes no more for now.
    pub(crate) fn release_barriers(&self) {
        self.lock().barriers.clear();
    }

    /// Lets go whoever waits for something of this connection: it has ended.
    pub(crate) fn release_all(&self) {
        let mut queue = self.lock();
        queue.close = Close::Now;
        queue.barriers.clear();
        queue.asked.clear();
    }

    /// Something to wait for (its error is the signal) until what is queued now has been written and a close asked
    /// for has happened, as far as the peer takes it. `None` if nothing is outstanding.
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
        act(&mut Turn { now: Now::default(), limits: &limits, wakers: &mut Wakers::default() })
    }

    /// Returns true unless the peer is cut off.
    fn push(outbox: &Outbox, max_backlog: usize, frame: &'static str) -> bool {
        turn(max_backlog, |turn| outbox.push(&Bytes::from_static(frame.as_bytes()), turn))
    }

    fn wakes<T>(act: impl FnOnce(&mut Turn<'_>) -> T) -> usize {
        turn(10, |turn| {
            act(turn);
            turn.wakers.len()
        })
    }

    #[test]
    fn what_is_queued_is_taken_at_once_and_counts_until_it_is_written() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 10, "one"));
        assert!(push(&outbox, 10, "two"));
        let mut taken = Chunks::default();
        outbox.take(&mut taken);
        assert_eq!((taken.chunk(), outbox.status()), (&b"onetwo"[..], (6, Close::No)));
        outbox.take(&mut taken);
        assert_eq!((taken.chunk(), outbox.status()), (&b""[..], (0, Close::No)));
    }

    #[test]
    fn what_waits_for_the_disk_counts_but_is_not_waited_for_by_a_barrier() {
        let outbox = Outbox::default();
        outbox.hold(7);
        assert_eq!(outbox.status(), (7, Close::No));
        assert!(turn(10, |turn| outbox.barrier(turn)).is_none());
        assert!(outbox.wait(Waker::noop(), false, Close::No));
        assert_eq!(wakes(|turn| outbox.release(7, turn)), 1);
        assert_eq!(outbox.status(), (0, Close::No));
    }

    #[test]
    fn whoever_exceeds_the_limit_is_cut_off_once() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 5, "one"));
        assert!(!push(&outbox, 5, "two"));
        assert!(push(&outbox, 5, "three"), "told already");
        assert_eq!(outbox.status(), (0, Close::Now));
    }

    #[test]
    fn a_reply_of_any_length_is_taken_where_nothing_is_queued() {
        let outbox = Outbox::default();
        assert!(push(&outbox, 5, "much longer than the limit"));
        assert!(!push(&outbox, 5, "more"));
    }

    #[test]
    fn a_milder_wish_to_close_does_not_replace_a_stronger_one() {
        let outbox = Outbox::default();
        turn(10, |turn| outbox.close(Close::Now, turn));
        turn(10, |turn| outbox.close(Close::Flushed, turn));
        assert_eq!(outbox.status().1, Close::Now);
    }

    #[test]
    fn a_task_waits_only_if_there_is_nothing_to_do_and_is_woken_once() {
        let (outbox, task) = (Outbox::default(), Waker::noop());
        assert!(outbox.wait(task, false, Close::No));
        assert_eq!(wakes(|turn| outbox.push(&Bytes::from_static(b"one"), turn)), 1);
        assert_eq!(wakes(|turn| outbox.push(&Bytes::from_static(b"two"), turn)), 0, "it is awake");
        assert!(!outbox.wait(task, false, Close::No), "there is something to write");
        assert!(outbox.wait(task, true, Close::No), "which the peer does not take");
        assert_eq!(wakes(|turn| outbox.close(Close::Flushed, turn)), 1);
        assert!(!outbox.wait(task, true, Close::No));
        assert!(outbox.wait(task, true, Close::Flushed), "it knows of that");
    }

    #[test]
    fn a_barrier_is_passed_when_everything_is_written() {
        let outbox = Outbox::default();
        assert!(turn(10, |turn| outbox.barrier(turn)).is_none(), "nothing is outstanding");
        push(&outbox, 10, "one");
        let mut barrier = turn(10, |turn| outbox.barrier(turn)).unwrap();
        let mut taken = Chunks::default();
        outbox.take(&mut taken);
        assert_eq!(barrier.try_recv(), Err(oneshot::error::TryRecvError::Empty), "it is taken, not written");
        outbox.take(&mut taken);
        assert_eq!(barrier.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
