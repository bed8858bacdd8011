//! Inputs and outputs of the session core.

use bytes::Bytes;
use common::Millis;
use zk_wire::{ByteString, ErrorCode, OpCode, SessionId, WatchedEvent};

use super::login::{LoginError, SaslUser};
use crate::session_state::WatchLost;
use crate::session_state::{Credentials, SessionState};

/// Number of a call, given by its caller: unique, and increasing in the order of sending. A watch has the number of the call
/// that set it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct CallId(pub(crate) u64);

/// Call on its way through the core, with the shell's way to its caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call<C> {
    pub(crate) id: CallId,
    /// The only session in which it may be made, if it is not any.
    pub(crate) session: Option<SessionId>,
    pub(crate) caller: C,
}

/// Input of the core.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The handle of a call or of its watch is gone.
    Forget(CallId),
    /// Number of addresses of the server of [`Output::LookUp`]; 0 if none was found.
    LookedUp(usize),
    /// A connection of [`Output::Connect`] is open. The other attempts are dropped.
    Connected,
    /// A connection of [`Output::Connect`] could not be opened.
    NotConnected(AttemptId),
    /// The server of [`Output::AskMode`] is in read-write mode.
    ReadWrite { server: usize },
    /// The connection broke.
    Lost,
    /// The body of a frame arrived.
    Frame(Bytes),
    /// End the session, and give up at `deadline`. Calls that were not sent fail.
    Close { deadline: Millis },
    /// The time of [`Session::poll_deadline`](super::Session::poll_deadline) has come.
    Timeout,
}

/// Request without its header.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) op: OpCode,
    pub(crate) body: &'a [u8],
    /// Watch that the server sets if it answers with success (exists: also with "no node").
    pub(crate) watch: Option<WatchKey>,
}

/// Watch as a server keeps it, for any number of handles.
pub(crate) type WatchKey = (WatchKind, ByteString);

/// Kind of a watch: decides which events it hears.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum WatchKind {
    /// One change of an existing node; set by getData, and by exists if the node exists.
    Data,
    /// The creation of a node; set by exists if the node does not exist.
    Exist,
    /// One change of a node's list of children.
    Child,
    /// Every change of a node and of its list of children; set by addWatch.
    Persistent,
    /// Every creation, deletion and change of data of a node and of all nodes below it; set by addWatch.
    Recursive,
}

impl WatchKind {
    /// Returns true if the watch stays after an event.
    pub(crate) fn is_lasting(self) -> bool {
        matches!(self, Self::Persistent | Self::Recursive)
    }
}

/// Number of an attempt to open a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AttemptId(pub(crate) u64);

/// Output of the core: something to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output<C> {
    /// Find the addresses of the server with this index. There is no connection now.
    LookUp { server: usize },
    /// Stop waiting for the addresses. The lookup goes on: its answer counts at the next [`Output::LookUp`] of the server.
    LeaveLookUp,
    /// Open a connection to an address, by its index among the addresses found. Earlier attempts go on.
    Connect { attempt: AttemptId, server: usize, address: usize },
    /// Drop an attempt to open a connection.
    GiveUp(AttemptId),
    /// Ask a server for its mode, over a connection of its own, instead of the server that was asked before.
    AskMode { server: usize },
    /// Drop the connection.
    Disconnect(DisconnectCause),

    /// A call is done. With `watching` its watch is set: [`Output::Watch`] will follow once, or [`Output::Event`] many times,
    /// unless the watch is forgotten.
    Complete { call: Call<C>, result: Result<Bytes, CallFailure>, watching: bool },
    /// A one-shot watch is done.
    Watch { id: CallId, outcome: Result<WatchedEvent, WatchLost> },
    /// A lasting watch has heard of a change.
    Event { id: CallId, event: WatchedEvent },
    /// A lasting watch is set again, on a new connection or after another watch on its path; it may not have heard of changes
    /// in between.
    Missed { id: CallId },
    /// The state changed; the credentials belong to the current session.
    State(SessionState, Option<Credentials>),
    /// The session is closed. This output is the last.
    Closed(CloseResult),
}

/// Reason why the core drops a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DisconnectCause {
    /// The server took too long to answer the handshake.
    #[error("no answer to the handshake in time")]
    NoHandshake,
    /// The server refused an identity of the session, by its index.
    #[error("the server refused an identity: {code}")]
    IdentityRefused { index: usize, code: ErrorCode },
    /// The server has not let the user log in, or is not the one that it should be.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The server sent nothing for two thirds of the session timeout.
    #[error("the server sent nothing for too long")]
    Silence,
    /// The server answered pings, but not the request whose turn it was.
    #[error("a request was not answered in time")]
    NoAnswer,
    /// The server broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The probe session has shown that the server has all that the client has seen: the session goes on.
    #[error("the server has caught up; connecting again with the session")]
    CaughtUp,
    /// A read-only server gives no sessions.
    #[error("the server is read-only, and gives no sessions: it runs without localSessionsEnabled=true")]
    NoLocalSessions,
    /// A read-only server does not know the session.
    #[error("the server is read-only, and does not know the session")]
    UnknownToReadOnly,
    /// Another server is in read-write mode.
    #[error("another server is in read-write mode")]
    ReadWriteFound,
    /// The server answered that the session is gone.
    #[error("the session has expired")]
    Expired,
    /// The server refused to close the session.
    #[error("the server refused to close the session")]
    CloseRefused,
    /// The session is closed.
    #[error("the session is closed")]
    Closed,
}

/// Reason why a call failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallFailure {
    Server(ErrorCode),
    ConnectionLost { sent: bool },
    SessionExpired,
    Closed,
    Overloaded,
}

/// Result of closing the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CloseResult {
    /// The server closed the session, or there was none.
    Closed,
    /// The session was gone already.
    AlreadyGone,
    /// No server answered in time.
    Unknown { sent: bool },
}

/// Configuration of a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    /// Number of servers.
    pub(crate) servers: usize,
    /// Session timeout to ask for; the server decides.
    pub(crate) session_timeout: Millis,
    /// Time limit for the first session. The servers share it, or the session timeout if that is shorter.
    pub(crate) connect_timeout: Millis,
    /// True if a server in read-only mode is accepted.
    pub(crate) read_only: bool,
    /// Time that a server has for the next answer; `None` for the session timeout.
    pub(crate) answer_timeout: Option<Millis>,
    /// Maximum number of pending calls.
    pub(crate) max_pending: usize,
    /// Bodies of the auth packets of the identities to begin with.
    pub(crate) identities: Vec<Bytes>,
    /// User who logs in by SASL on each connection.
    pub(crate) sasl: Option<SaslUser>,
    /// Seed of the order of servers and of the pauses.
    pub(crate) seed: u64,
    /// Existing session to continue.
    pub(crate) attach: Option<Credentials>,
}
