//! The messages between the handles of a client and its driver, and the state that the driver publishes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use common::Millis;
use tokio::sync::{oneshot, watch};
use zk_wire::{ErrorCode, OpCode, SessionId, WatchedEvent};

use crate::error::Attempt;
use crate::feed::FeedSender;
use crate::session::{CallFailure, CallId, CloseResult, LoginError, WatchKey};
use crate::session_state::{Credentials, SessionState, WatchLost};

/// Result of a call: the body of the server's answer.
pub(crate) type CallReply = Result<Bytes, CallFailure>;

/// End of a one-shot watch.
pub(crate) type WatchOutcome = Result<WatchedEvent, WatchLost>;

/// Request of a handle to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Make a call, whose body has `len` bytes.
    Call { id: CallId, len: usize, call: NewCall },
    /// Drop a call or its watch: its handle is gone.
    Forget(CallId),
    /// End the session.
    Close { within: Duration, done: oneshot::Sender<CloseResult> },
}

/// Call to make.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) op: OpCode,
    /// The only session in which it may be made, if it is not any.
    pub(crate) session: Option<SessionId>,
    /// Watch that the server sets.
    pub(crate) watch: Option<WatchKey>,
    /// Maximum time to wait for a connection.
    pub(crate) wait: Duration,
    pub(crate) caller: Caller,
}

/// Ways to the handles that wait for a call and for its watch.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) reply: oneshot::Sender<CallReply>,
    pub(crate) notify: Option<Notify>,
}

/// Way to the handle of a watch.
#[derive(Debug)]
pub(crate) enum Notify {
    /// A one-shot watch.
    Once(oneshot::Sender<WatchOutcome>),
    /// A persistent watch.
    Each(FeedSender),
}

/// State that the driver publishes to all handles.
#[derive(Debug)]
pub(crate) struct Shared {
    state: watch::Sender<SessionState>,
    credentials: Mutex<Option<Credentials>>,
    /// Negotiated session timeout, in milliseconds; before that, the one to ask for.
    session_timeout: AtomicU64,
    tried: Mutex<Vec<TriedServer>>,
    failed_rounds: watch::Sender<u32>,
    refusal: watch::Sender<Option<Refusal>>,
}

/// A server's refusal of who the client is. No retry helps before somebody changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// An identity, by its index.
    Identity { index: usize, code: ErrorCode },
    /// The user of SASL.
    Login(LoginError),
}

/// Server of the list, with the last error at each of its addresses.
#[derive(Debug)]
struct TriedServer {
    server: String,
    causes: Vec<(String, String)>,
}

impl TriedServer {
    fn attempt(&self) -> Attempt {
        let cause = match &self.causes[..] {
            [] => None,
            [(address, cause)] if *address == self.server => Some(cause.clone()),
            causes => {
                let each = causes.iter().map(|(address, cause)| format!("{address}: {cause}"));
                Some(each.collect::<Vec<_>>().join("; "))
            }
        };
        Attempt { server: self.server.clone(), cause }
    }
}

impl Shared {
    pub(crate) fn new(servers: &[String], session_timeout: Millis) -> Self {
        let tried = servers.iter().map(|server| TriedServer { server: server.clone(), causes: Vec::new() });
        Self {
            state: watch::Sender::new(SessionState::Connecting),
            credentials: Mutex::new(None),
            session_timeout: AtomicU64::new(session_timeout.0),
            tried: Mutex::new(tried.collect()),
            failed_rounds: watch::Sender::new(0),
            refusal: watch::Sender::new(None),
        }
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> SessionState {
        *self.state.borrow()
    }

    /// Follows the state from now on.
    pub(crate) fn states(&self) -> watch::Receiver<SessionState> {
        self.state.subscribe()
    }

    /// Returns the credentials of the current session.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the timeout of the current session, or the one to ask for.
    pub(crate) fn session_timeout(&self) -> Millis {
        Millis(self.session_timeout.load(Ordering::Relaxed))
    }

    /// Notes the timeout of a session, before the session is published.
    pub(crate) fn note_session_timeout(&self, timeout: Millis) {
        self.session_timeout.store(timeout.0, Ordering::Relaxed);
    }

    /// Returns every server with its last error.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).iter().map(TriedServer::attempt).collect()
    }

    /// Notes the number of rounds through all servers that have failed in a row.
    pub(crate) fn note_failed_rounds(&self, rounds: u32) {
        self.failed_rounds.send_replace(rounds);
    }

    /// Waits until this number of rounds has failed in a row.
    pub(crate) async fn wait_for_failed_rounds(&self, rounds: u32) {
        // The sender is in `self`: it does not go.
        let _ = self.failed_rounds.subscribe().wait_for(|failed| *failed >= rounds).await;
    }

    /// Notes that a server has refused who the client is.
    pub(crate) fn note_refusal(&self, refusal: Refusal) {
        self.refusal.send_replace(Some(refusal));
    }

    /// Waits until a server has refused who the client is.
    pub(crate) async fn wait_for_refusal(&self) -> Refusal {
        let mut refused = self.refusal.subscribe();
        loop {
            if let Some(refusal) = *refused.borrow_and_update() {
                return refusal;
            }
            // The sender is in `self`: it does not go.
            let _ = refused.changed().await;
        }
    }

    /// Publishes a new state.
    pub(crate) fn publish(&self, state: SessionState, credentials: Option<Credentials>) {
        // The credentials first: a handle that sees the new state reads those of its session.
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
        self.state.send_replace(state);
    }

    /// Notes an error at an address of a server.
    pub(crate) fn blame(&self, server: usize, address: &str, cause: String) {
        self.with_cause(server, address, |noted| *noted = cause);
    }

    /// Notes an error at an address of a server if none is noted there.
    pub(crate) fn blame_first(&self, server: usize, address: &str, cause: &str) {
        self.with_cause(server, address, |noted| {
            if noted.is_empty() {
                cause.clone_into(noted);
            }
        });
    }

    fn with_cause(&self, server: usize, address: &str, change: impl FnOnce(&mut String)) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(TriedServer { causes, .. }) = tried.get_mut(server) else { return };
        match causes.iter_mut().find(|(blamed, _)| blamed == address) {
            Some((_, noted)) => change(noted),
            None => {
                let mut noted = String::new();
                change(&mut noted);
                causes.push((address.to_owned(), noted));
            }
        }
    }

    /// Forgets the errors at addresses that the server no longer has.
    pub(crate) fn forget_others(&self, server: usize, addresses: &[String]) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tried) = tried.get_mut(server) {
            tried.causes.retain(|(address, _)| addresses.contains(address));
        }
    }
}
