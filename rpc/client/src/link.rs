//! A link as its callers see it: a session under a lock, which they share with the link's task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::Millis;
use rpc_wire::{CallId, EncodeError};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, oneshot};

use crate::session::{Attempt, Input, NewCall, Refused, Session};
use crate::stats::InstanceCounters;

/// A greeted session, as callers see it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Identity of the server's process.
    pub(crate) instance: String,
    pub(crate) counters: Arc<InstanceCounters>,
    pub(crate) session: Arc<SharedSession>,
}

/// A session that callers and its task share. Callers encode their requests into its buffer themselves.
#[derive(Debug)]
pub(crate) struct SharedSession {
    session: Mutex<ClientSession>,
    /// Wakes the task: the session has something for it.
    wake: Notify,
    /// Wakes the callers that were refused because too many bytes wait.
    room: Arc<Notify>,
}

pub(crate) type ClientSession = Session<oneshot::Sender<Attempt>>;

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
}

impl SharedSession {
    pub(crate) fn new(session: ClientSession) -> Self {
        Self { session: Mutex::new(session), wake: Notify::new(), room: Arc::default() }
    }

    /// Sends a call, if there is room for it. Its end comes through the receiver, by the deadline.
    pub(crate) fn start(
        &self,
        now: Millis,
        call: NewCall<'_>,
    ) -> Started<(CallId, oneshot::Receiver<Attempt>)> {
        let (complete, attempt) = oneshot::channel();
        let mut session = self.lock();
        let id = match session.start(now, call, complete) {
            Ok(id) => id,
            // Under the lock, so that no room is missed.
            Err(Refused::Full) => return Started::Full(Arc::clone(&self.room).notified_owned()),
            Err(Refused::Closed) => return Started::Closed,
            Err(Refused::Argument(error)) => return Started::Refused(error),
        };
        drop(session);
        self.wake.notify_one();
        Started::Sent((id, attempt))
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, ClientSession> {
        // A session does not panic.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
