//! Commands on their way from the handles of a client to its driver: a queue that the driver empties at once, however many
//! handles have filled it.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::task::coop::poll_proceed;

use crate::command::{Command, NewCall};
use crate::session::CallId;

/// Capacities, in commands and in bytes, above which an empty queue is freed, so that one burst does not hold memory for ever.
const KEPT_COMMANDS: usize = 1024;
const KEPT_BYTES: usize = 64 * 1024;

/// Creates a queue.
pub(crate) fn intake() -> (Commands, Intake) {
    let queue =
        Queue { batch: Batch::default(), next_call: 0, driver: None, has_handles: true, has_driver: true };
    let shared = Arc::new(Mutex::new(queue));
    (Commands(Arc::new(Handles(Arc::clone(&shared)))), Intake(shared))
}

/// End of the handles. The driver is told when the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Commands(Arc<Handles>);

/// End of a handle that does not keep the client open.
#[derive(Debug)]
pub(crate) struct WeakCommands(Weak<Handles>);

/// End of the driver. Dropping it drops the commands that it has not taken.
#[derive(Debug)]
pub(crate) struct Intake(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Handles(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    batch: Batch,
    next_call: u64,
    /// The driver, while it waits.
    driver: Option<Waker>,
    has_handles: bool,
    has_driver: bool,
}

/// Commands in their order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) commands: Vec<Command>,
    /// Bodies of the calls among them, one behind the other.
    pub(crate) bodies: BytesMut,
}

/// Request that is longer than the limit.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct TooLong {
    pub(crate) len: usize,
}

impl Commands {
    /// Hands a call over, whose body is written by `encode` and has at most `limit` bytes. Returns its number, and true if there
    /// is a driver; without one the call is dropped.
    pub(crate) fn call(
        &self,
        call: NewCall,
        encode: impl FnOnce(&mut BytesMut),
        limit: usize,
    ) -> Result<(CallId, bool), TooLong> {
        let mut queue = lock(&self.0.0);
        let bodies = &mut queue.batch.bodies;
        let before = bodies.len();
        encode(bodies);
        let len = bodies.len() - before;
        if len > limit || !queue.has_driver {
            queue.batch.take_back(before);
        }
        if len > limit {
            return Err(TooLong { len });
        }
        let id = CallId(queue.next_call);
        queue.next_call += 1;
        Ok((id, push(queue, Command::Call { id, len, call })))
    }

    /// Hands a command over. Returns true if there is a driver; without one the command is dropped.
    pub(crate) fn send(&self, command: Command) -> bool {
        push(lock(&self.0.0), command)
    }

    pub(crate) fn downgrade(&self) -> WeakCommands {
        WeakCommands(Arc::downgrade(&self.0))
    }
}

impl WeakCommands {
    /// Tells the driver, if there is one and the client is open, that the handle of a watch is gone.
    pub(crate) fn forget(&self, id: CallId) {
        if let Some(handles) = self.0.upgrade() {
            Commands(handles).send(Command::Forget(id));
        }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.has_handles = false;
        wake(queue);
    }
}

impl Intake {
    /// Waits for commands, and exchanges an empty `batch` for them. Returns false if no handle is left, which it says at once. Dropping
    /// the future loses nothing.
    pub(crate) async fn take(&self, batch: &mut Batch) -> bool {
        poll_fn(|cx| self.poll_take(cx, batch)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<bool> {
        // Handles on other threads that never stop must not keep the driver's thread from other tasks.
        let turn = ready!(poll_proceed(cx));
        let mut queue = lock(&self.0);
        if queue.batch.commands.is_empty() && queue.has_handles {
            // A waker may be the last owner of what takes the lock when it is dropped.
            let _earlier = queue.driver.replace(cx.waker().clone());
            drop(queue);
            return Poll::Pending;
        }
        turn.made_progress();
        mem::swap(&mut queue.batch, batch);
        Poll::Ready(queue.has_handles)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.has_driver = false;
        let dropped = mem::take(&mut queue.batch);
        drop(queue);
        // Their callers hear of it.
        drop(dropped);
    }
}

impl Batch {
    /// Drops the body that begins at `start`, with its memory if it is long.
    fn take_back(&mut self, start: usize) {
        self.bodies.truncate(start);
        if self.bodies.capacity() > KEPT_BYTES.max(2 * start) {
            self.bodies = BytesMut::from(&self.bodies[..]);
        }
    }

    /// Makes an empty batch ready for the next commands, and keeps a little capacity.
    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.bodies.clear();
        if self.commands.capacity() > KEPT_COMMANDS {
            self.commands = Vec::new();
        }
        if self.bodies.capacity() > KEPT_BYTES {
            self.bodies = BytesMut::new();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends a command, unless there is no driver, and wakes the driver.
fn push(mut queue: MutexGuard<'_, Queue>, command: Command) -> bool {
    if !queue.has_driver {
        drop(queue);
        return false;
    }
    queue.batch.commands.push(command);
    wake(queue);
    true
}

/// Wakes the driver without the lock.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let driver = queue.driver.take();
    drop(queue);
    driver.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::sync::oneshot::error::TryRecvError;
    use zk_wire::OpCode;

    use super::*;
    use crate::command::{CallReply, Caller};

    fn new_call() -> (NewCall, oneshot::Receiver<CallReply>) {
        let (reply, receiver) = oneshot::channel();
        let caller = Caller { reply, notify: None };
        (
            NewCall {
                op: OpCode::GET_DATA,
                session: None,
                watch: None,
                wait: std::time::Duration::ZERO,
                caller,
            },
            receiver,
        )
    }

    fn call(commands: &Commands, body: &[u8], limit: usize) -> Result<(CallId, bool), TooLong> {
        commands.call(new_call().0, |bodies| bodies.extend_from_slice(body), limit)
    }

    /// Returns the numbers and bodies of the calls.
    fn calls(batch: &Batch) -> Vec<(u64, &[u8])> {
        let mut bodies = &batch.bodies[..];
        let mut body = |len| bodies.split_off(..len).unwrap();
        let calls = batch.commands.iter().filter_map(|command| match command {
            Command::Call { id, len, .. } => Some((id.0, body(*len))),
            _ => None,
        });
        calls.collect()
    }

    #[tokio::test]
    async fn all_commands_come_at_once_with_their_bodies_in_order() {
        let (commands, intake) = intake();
        let mut batch = Batch::default();
        assert_eq!(call(&commands, b"one", 3), Ok((CallId(0), true)));
        assert!(commands.send(Command::Forget(CallId(0))));
        assert_eq!(call(&commands, b"four", 3), Err(TooLong { len: 4 }));
        assert_eq!(call(&commands, b"", 3), Ok((CallId(1), true)));
        assert_eq!(call(&commands, b"two", 3), Ok((CallId(2), true)));
        assert!(intake.take(&mut batch).await);
        assert_eq!(calls(&batch), [(0, &b"one"[..]), (1, b""), (2, b"two")]);
        assert!(matches!(batch.commands[1], Command::Forget(CallId(0))));
        batch.clear();
        call(&commands, b"six", 3).unwrap();
        assert!(intake.take(&mut batch).await);
        assert_eq!(calls(&batch), [(3, &b"six"[..])]);
    }

    #[tokio::test]
    async fn a_driver_that_waits_is_woken_by_a_command_and_by_the_last_handle() {
        let (commands, intake) = intake();
        let watch = commands.downgrade();
        let waiting = tokio::spawn(async move {
            let (mut first, mut last) = (Batch::default(), Batch::default());
            let left = (intake.take(&mut first).await, intake.take(&mut last).await);
            (left, first.commands.len(), last.commands.len())
        });
        tokio::task::yield_now().await;
        watch.forget(CallId(7));
        tokio::task::yield_now().await;
        drop(commands);
        watch.forget(CallId(8));
        assert_eq!(waiting.await.unwrap(), ((true, false), 1, 0));
    }

    #[test]
    fn callers_hear_that_the_driver_is_gone() {
        let (commands, intake) = intake();
        let (earlier, mut before) = new_call();
        assert_eq!(commands.call(earlier, |_| {}, 0), Ok((CallId(0), true)));
        assert_eq!(before.try_recv().unwrap_err(), TryRecvError::Empty);
        drop(intake);
        assert_eq!(before.try_recv().unwrap_err(), TryRecvError::Closed);
        let (later, mut after) = new_call();
        assert_eq!(commands.call(later, |_| {}, 0), Ok((CallId(1), false)));
        assert_eq!(after.try_recv().unwrap_err(), TryRecvError::Closed);
        assert!(!commands.send(Command::Forget(CallId(0))));
    }

    #[test]
    fn a_body_that_is_refused_holds_no_memory() {
        let (commands, intake) = intake();
        call(&commands, b"one", 3).unwrap();
        let long = vec![7; 4 * KEPT_BYTES];
        assert_eq!(call(&commands, &long, 3), Err(TooLong { len: long.len() }));
        let batch = mem::take(&mut lock(&intake.0).batch);
        assert_eq!(calls(&batch), [(0, &b"one"[..])]);
        assert!(batch.bodies.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn a_burst_does_not_hold_memory_for_ever() {
        let (commands, intake) = intake();
        for _ in 0..=KEPT_COMMANDS {
            call(&commands, &[7; 100], 100).unwrap();
        }
        let mut batch = mem::take(&mut lock(&intake.0).batch);
        batch.clear();
        assert_eq!((batch.commands.capacity(), batch.bodies.capacity()), (0, 0));
        call(&commands, b"one", 3).unwrap();
        mem::swap(&mut lock(&intake.0).batch, &mut batch);
        batch.clear();
        assert!(batch.commands.capacity() > 0 && batch.bodies.capacity() > 0);
    }
}
