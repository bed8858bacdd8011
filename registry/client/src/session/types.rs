//! What goes into the session core and what comes out.

use bytes::Bytes;
use zk_wire::{ByteString, ErrorCode, Millis, OpCode, WatchedEvent};

use crate::state::WatchLost;
use crate::state::{Credentials, SessionState};

/// A call's identity, given by its caller: unique, and increasing in the order in which calls shall be sent.
/// A watch has the identity of the call that set it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct CallId(pub(crate) u64);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Someone wants an answer; if no server is connected it waits for one until `deadline`.
    Call { id: CallId, request: Outgoing, deadline: Millis },
    /// Nobody wants the answer of this call, or the event of its watch, any more.
    Forget(CallId),
    /// The server of [`Output::LookUp`] has so many addresses, numbered from 0; none if they cannot be found.
    LookedUp(usize),
    /// The connection that [`Output::Connect`] asked for is open.
    Connected,
    /// It could not be opened, or it broke.
    Lost,
    /// A frame's body arrived on it.
    Frame(Bytes),
    /// End the session; calls not yet sent fail. Give up trying at `deadline`.
    Close { deadline: Millis },
    /// Time has passed: due at [`Session::poll_deadline`](super::Session::poll_deadline).
    Timeout,
}

/// A request as it goes out, without its header.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) op: OpCode,
    pub(crate) body: Bytes,
    /// The watch that the server sets if it answers with success (exists: also with "no node").
    pub(crate) watch: Option<WatchKey>,
}

/// What a watch looks at.
pub(crate) type WatchKey = (WatchKind, ByteString);

/// Which requests set a watch; decides which events end it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum WatchKind {
    /// Of a node that exists: set by getData, and by exists on one that does.
    Data,
    /// Of a node that does not exist.
    Exist,
    /// Of a node's children.
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

/// What to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Find the addresses of the server with this index. There is no connection at this moment.
    LookUp { server: usize },
    /// Open a connection to an address that was found, by its index among those of the server.
    Connect { server: usize, address: usize },
    /// Write these bytes.
    Send(Bytes),
    /// Drop the connection, or the attempt to open one.
    Disconnect(DisconnectCause),
    /// A call is done. With `watching` its watch is set, and one [`Output::Watch`] will follow, unless it is
    /// forgotten.
    Complete { id: CallId, result: Result<Bytes, CallFailure>, watching: bool },
    /// A one-shot watch is done.
    Watch { id: CallId, outcome: Result<WatchedEvent, WatchLost> },
    /// A lasting watch has heard of a change.
    Event { id: CallId, event: WatchedEvent },
    /// A lasting watch is set again, on a new connection; it has not heard of changes in between.
    Missed { id: CallId },
    /// The state changed; the credentials are those of the current session.
    State(SessionState, Option<Credentials>),
    /// The end: nothing comes out any more.
    Closed(CloseResult),
}

/// Why the core drops a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DisconnectCause {
    /// The server's name was not looked up in time.
    #[error("the name could not be looked up in time")]
    NoAddress,
    /// No connection was opened in time.
    #[error("no connection in time")]
    NoConnection,
    /// The server took too long to answer the handshake.
    #[error("no answer to the handshake in time")]
    NoHandshake,
    /// Nothing was heard for two thirds of the session timeout.
    #[error("the server fell silent")]
    Silence,
    /// The server sent what it may not send.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The server knows what the client has seen: the session goes on, and the one that has shown it is closed.
    #[error("the server has caught up; connecting again with the session")]
    CaughtUp,
    /// The server answered that the session is gone.
    #[error("the session has expired")]
    Expired,
    /// The server did not close the session when it was asked to.
    #[error("the server refused to close the session")]
    CloseRefused,
    /// The session is closed.
    #[error("the session is closed")]
    Closed,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallFailure {
    Server(ErrorCode),
    ConnectionLost { sent: bool },
    SessionExpired,
    Closed,
    Overloaded,
}

/// How closing went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CloseResult {
    /// The server closed the session, or there was none.
    Closed,
    /// The server answered that the session was gone already.
    AlreadyGone,
    /// No server answered in time.
    Unknown { sent: bool },
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    /// How many servers there are.
    pub(crate) servers: usize,
    /// The timeout to ask for; the server decides.
    pub(crate) session_timeout: Millis,
    /// Time that somebody waits for the first session: servers share it, or the session timeout, if that is shorter.
    pub(crate) connect_timeout: Millis,
    /// How many calls may be pending at once.
    pub(crate) max_pending: usize,
    /// Of the order of servers and of the jitter.
    pub(crate) seed: u64,
    /// An existing session to go on with.
    pub(crate) attach: Option<Credentials>,
}
