//! A link as its callers see it: a session under a lock, which they share with the link's task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use common::Millis;
use rpc_metrics::CallSeries;
use rpc_wire::{CallId, EncodeError};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, oneshot};

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
    /// Wakes the callers that were refused because too many bytes wait.
    room: Arc<Notify>,
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
    /// Too many bytes wait for the server; this completes when there may be room, or the session has ended.
    Full(OwnedNotified),
    /// The session takes no more calls.
    Closed,
    /// The call does not fit a limit of the protocol or of the server.
    Refused(EncodeError),
    /// The server speaks version 1 of the protocol, which has no streams.
    NoStreams,
}

impl SharedSession {
    pub(crate) fn new(session: ClientSession) -> Self {
        Self {
            session: Mutex::new(session),
            is_woken: AtomicBool::new(false),
            wake: Notify::new(),
            room: Arc::default(),
        }
    }

    /// Sends a call, if there is room for it. Its end comes through the receiver, by the deadline.
    pub(crate) fn start(
        &self,
        now: Millis,
        call: NewCall<'_>,
    ) -> Started<(CallId, oneshot::Receiver<Attempt>)> {
        let (complete, attempt) = oneshot::channel();
        self.begin(|session| Ok((session.start(now, call, complete)?, attempt)))
    }

    /// Opens a stream, if there is room for it.
    pub(crate) fn open(&self, now: Millis, new: NewStream<'_>, wakers: Arc<StreamWakers>) -> Started<CallId> {
        self.begin(|session| session.open(now, new, wakers))
    }

    fn begin<T>(&self, begin: impl FnOnce(&mut ClientSession) -> Result<T, Refused>) -> Started<T> {
        let mut session = self.lock();
        let begun = match begin(&mut session) {
            Ok(begun) => begun,
            // Under the lock, so that no room is missed.
            Err(Refused::Full) => return Started::Full(Arc::clone(&self.room).notified_owned()),
            Err(Refused::Closed) => return Started::Closed,
            Err(Refused::Argument(error)) => return Started::Refused(error),
            Err(Refused::NoStreams) => return Started::NoStreams,
        };
        self.wake_once(session);
        Started::Sent(begun)
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

    /// Gives the session an input; its task performs the outputs.
    pub(crate) fn handle(&self, now: Millis, input: Input) {
        self.lock().handle(now, input);
        self.wake.notify_one();
    }

    /// Completes when the session has something for the task.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes the callers that were refused because too many bytes wait.
    pub(crate) fn give_room(&self) {
        self.room.notify_waiters();
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
}
