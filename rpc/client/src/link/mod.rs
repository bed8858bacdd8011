//! A link as its callers see it: a session under a lock, which they share with the link's task.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use common::Millis;
use rpc_metrics::CallSeries;
use rpc_wire::{CallId, EncodeError};
use tokio::sync::{Notify, oneshot};

use crate::room_queue::RoomQueue;
use crate::session::{Attempt, Batch, Input, NewCall, NewStream, Output, Received, Refused, Session, Unsent};
use crate::stats::InstanceCounters;

/// A greeted session, as callers see it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Identity of the server's process.
    pub(crate) instance: String,
    /// Address that it was reached at.
    pub(crate) addr: String,
    pub(crate) counters: Arc<InstanceCounters>,
    /// Attempts that went through links to this instance.
    pub(crate) metrics: Arc<CallSeries>,
    pub(crate) session: Arc<SharedSession>,
}

/// A session that callers and its task share. Callers encode their requests into its buffer themselves.
#[derive(Debug)]
pub(crate) struct SharedSession {
    session: Mutex<ClientSession>,
    /// The task has been woken, and has not looked since. Written under the lock only: many callers wake it once.
    is_woken: AtomicBool,
    /// Wakes the task: the session has something for it.
    wake: Notify,
    /// Callers that were refused because too many bytes wait. Locked after the session, where both are.
    callers: Mutex<RoomQueue>,
}

pub(crate) type ClientSession = Session<oneshot::Sender<Attempt>, Arc<StreamWakers>>;

pub(crate) type LinkOutput = Output<oneshot::Sender<Attempt>, Arc<StreamWakers>>;

/// Tasks to wake when a stream goes on.
#[derive(Debug, Default)]
pub(crate) struct StreamWakers {
    /// The task that waits for messages or the end.
    pub(crate) reader: StreamWaker,
    /// The task that waits until it can send.
    pub(crate) sender: StreamWaker,
}

/// Wakes both, whichever of them has asked.
impl Wake for StreamWakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.sender.wake();
    }
}

/// The task that waits for one side of a stream.
#[derive(Debug, Default)]
pub(crate) struct StreamWaker(Mutex<Option<Waker>>);

impl StreamWaker {
    /// Notes the task to wake. Call it before the session is asked, so that no change is missed.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Result of [`SharedSession::start`].
#[derive(Debug)]
pub(crate) enum Started<T> {
    /// The call is on its way.
    Sent(T),
    /// Too many bytes wait for the server; this completes when the caller should try again.
    Full(Room),
    /// The session takes no more calls.
    Closed,
    /// The call does not fit a limit of the protocol or of the server.
    Refused(EncodeError),
    /// The server speaks version 1 of the protocol, which has no streams.
    NoStreams,
}

/// Wait for room on a link, or for the end of its session. Room is kept for one that is over until the caller tries again with it,
/// or drops it: then the next ones may go on. That is for a moment only, because nobody may poll the caller.
#[derive(Debug)]
pub(crate) struct Room {
    session: Arc<SharedSession>,
    number: u64,
    /// Length of the argument.
    len: usize,
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Dropped without the lock, for the same reason as in `drop`.
        let mut task = cx.waker().clone();
        let is_over = self.session.callers().is_over(self.number, &mut task);
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut session = self.session.lock();
        let mut callers = self.session.callers();
        let task = callers.remove(self.number);
        if callers.answer(self.number) {
            session.release_promise(self.len);
        }
        drop((callers, session));
        // Here, because the last waker may free the task, which may have more of these.
        if task.is_none() {
            self.session.give_room();
        }
    }
}

impl SharedSession {
    pub(crate) fn new(session: ClientSession) -> Self {
        Self {
            session: Mutex::new(session),
            is_woken: AtomicBool::new(false),
            wake: Notify::new(),
            callers: Mutex::default(),
        }
    }

    /// Sends a call, if there is room for it: `room` is the wait of a caller that has found none before. Its end comes through the
    /// receiver, by the deadline.
    pub(crate) fn start(
        self: &Arc<Self>,
        now: Millis,
        call: NewCall<'_>,
        room: Option<Room>,
    ) -> Started<(CallId, oneshot::Receiver<Attempt>)> {
        let (complete, attempt) = oneshot::channel();
        let len = call.payload.len() + call.metadata.len();
        self.begin(len, room, |session| Ok((session.start(now, call, complete)?, attempt)))
    }

    /// Opens a stream, if there is room for it, as [`start`](Self::start) sends a call.
    pub(crate) fn open(
        self: &Arc<Self>,
        now: Millis,
        new: NewStream<'_>,
        wakers: Arc<StreamWakers>,
        room: Option<Room>,
    ) -> Started<CallId> {
        let len = new.payload.len() + new.metadata.len();
        self.begin(len, room, |session| session.open(now, new, wakers))
    }

    fn begin<T>(
        self: &Arc<Self>,
        len: usize,
        room: Option<Room>,
        begin: impl FnOnce(&mut ClientSession) -> Result<T, Refused>,
    ) -> Started<T> {
        // The link may have been made anew. A room is dropped without the lock.
        let room = room.filter(|room| Arc::ptr_eq(&room.session, self));
        let mut session = self.lock();
        let was_called = room.as_ref().is_some_and(|room| self.callers().answer(room.number));
        if was_called {
            session.release_promise(len);
        }
        let begun = match begin(&mut session) {
            Ok(begun) => begun,
            Err(Refused::Full) => {
                // Under the lock, so that no room is missed.
                let room = self.wait(len, room);
                drop(session);
                if was_called {
                    // What is too little for this one may be enough for another.
                    self.give_room();
                }
                return Started::Full(room);
            }
            Err(Refused::Closed) => return Started::Closed,
            Err(Refused::Argument(error)) => return Started::Refused(error),
            Err(Refused::NoStreams) => return Started::NoStreams,
        };
        self.wake_once(session);
        Started::Sent(begun)
    }

    /// Returns the wait of a caller: in its old place, if it has waited before.
    fn wait(self: &Arc<Self>, len: usize, room: Option<Room>) -> Room {
        let mut callers = self.callers();
        match room {
            Some(room) => {
                callers.put_back(room.number, len);
                room
            }
            None => Room { session: Arc::clone(self), number: callers.push(len), len },
        }
    }

    /// Sends a message of a stream.
    pub(crate) fn send(&self, id: CallId, payload: &[u8]) -> Result<(), Unsent> {
        let mut session = self.lock();
        session.send(id, payload)?;
        self.wake_once(session);
        Ok(())
    }

    /// Wakes the task, unless somebody else has, and it has not looked since.
    fn wake_once(&self, session: MutexGuard<'_, ClientSession>) {
        let was_woken = self.is_woken.load(Ordering::Relaxed);
        self.is_woken.store(true, Ordering::Relaxed);
        drop(session);
        if !was_woken {
            self.wake.notify_one();
        }
    }

    /// Tells the server that no more messages follow.
    pub(crate) fn finish(&self, id: CallId) {
        self.lock().finish(id);
        self.wake.notify_one();
    }

    /// Exchanges a batch of messages that was taken for the next one.
    pub(crate) fn receive(&self, id: CallId, batch: &mut Batch) -> Received {
        let mut session = self.lock();
        let received = session.receive(id, batch);
        let has_credit = session.has_urgent();
        drop(session);
        if has_credit {
            self.wake.notify_one();
        }
        received
    }

    /// Forgets a stream, and cancels it if it has not ended.
    pub(crate) fn release(&self, id: CallId) {
        self.lock().release(id);
        self.wake.notify_one();
    }

    /// Cancels a stream, unless it has ended. Returns its end.
    pub(crate) fn cancel(&self, now: Millis, id: CallId) -> Option<Attempt> {
        let mut session = self.lock();
        session.handle(now, Input::Cancel(id));
        let end = session.end(id);
        drop(session);
        self.wake.notify_one();
        end
    }

    /// Gives the session an input; its task performs the outputs.
    pub(crate) fn handle(&self, now: Millis, input: Input) {
        self.lock().handle(now, input);
        self.wake.notify_one();
    }

    /// Completes when the session has something for the task.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes the callers that were refused because too many bytes wait: as many as there is room for, the first ones first.
    pub(crate) fn give_room(&self) {
        let mut tasks = Vec::new();
        let mut session = self.lock();
        let had_promised = session.has_promised();
        let mut callers = self.callers();
        while let Some((len, task)) = callers.call(|len| session.has_room(len)) {
            session.promise(len);
            tasks.push(task);
        }
        let is_first = session.has_promised() && !had_promised;
        drop((callers, session));
        tasks.into_iter().for_each(Waker::wake);
        if is_first {
            // The task ends their turns.
            self.wake.notify_one();
        }
    }

    /// Ends the turns of callers that nobody polls. Then all others for whom there is room are woken, and whoever comes gets it: more
    /// of them may be such callers.
    pub(crate) fn end_turns(&self) {
        let mut session = self.lock();
        let mut callers = self.callers();
        let Some(len) = callers.end_turns() else { return };
        session.release_promise(len);
        let tasks = callers.call_all(|len| session.has_room(len));
        drop((callers, session));
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Locks the session for a look of the task at all that there is to do.
    pub(crate) fn look(&self) -> MutexGuard<'_, ClientSession> {
        let session = self.lock();
        self.is_woken.store(false, Ordering::Relaxed);
        session
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ClientSession> {
        // A session does not panic.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn callers(&self) -> MutexGuard<'_, RoomQueue> {
        // Nothing that can panic runs under the lock.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
