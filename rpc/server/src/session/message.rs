//! Inputs and outputs of a session.

use common::Millis;
use rpc_wire::{CallId, Status};

use super::{CallHead, MethodId};

/// An event on the connection, or a wish of its owner.
#[derive(Debug)]
pub enum Input<T> {
    /// Bytes have been appended to [`Session::read_buffer`](super::Session::read_buffer).
    Received,
    /// Handlers may run now, see [`Session::wants_turn`](super::Session::wants_turn).
    Turn(Turn),
    /// The call of [`Output::Start`] has been polled once.
    Returned {
        /// The call has not ended and goes on elsewhere; `None` if its reply has been written.
        task: Option<T>,
        /// Permission for the next call; `None` ends the turn.
        turn: Option<Turn>,
    },
    /// Calls have ended elsewhere.
    Replies(Replies),
    /// The transport has taken so many bytes of the last batch, and would take no more now.
    Wrote(usize),
    /// No more calls; the session ends after the last reply.
    Drain,
    /// The memory or the place of this connection is needed for others.
    Evicted,
    /// Nothing could be read or written for this time, because the process stood still. Comes before a timeout.
    Stalled(Millis),
    /// The time of [`Session::poll_deadline`](super::Session::poll_deadline) has come.
    Timeout,
    /// The client has closed the connection, or the transport has failed.
    Closed,
}

/// A change that the owner must perform.
#[derive(Debug)]
pub enum Output<'a, T> {
    /// Poll the handler of this call, and answer with [`Input::Returned`].
    Start(Start<'a>),
    /// Drop this call; nobody waits for its reply.
    Abort(T),
    /// The quota of calls is used up.
    Retire,
    /// Everything has been written: close the connection for writing, and go on reading.
    ShutDown,
    /// The session has ended, and the transport can be dropped.
    Close(End),
}

/// A call to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// The call.
    pub call: CallHead,
    /// Its method.
    pub method: MethodId,
    /// Its argument in the session's format.
    pub payload: &'a [u8],
    /// Buffer for the reply frame of a call that ends at once: append it.
    pub reply: &'a mut Vec<u8>,
}

/// Permission to start one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Limit beyond this connection that is reached; the call is refused.
    pub full: Option<Full>,
}

/// A limit on calls in flight that is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// Of the whole server.
    Server(usize),
    /// Of all connections of one peer.
    Peer(usize),
}

/// Replies of calls that ended elsewhere.
#[derive(Debug, Default)]
pub struct Replies {
    /// Frames, one after the other.
    pub frames: Vec<u8>,
    /// Call of each frame, in the same order.
    pub ended: Vec<EndedCall>,
}

/// A call that ended elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndedCall {
    /// The call.
    pub id: CallId,
    /// Length of its frame.
    pub len: usize,
}

impl Replies {
    /// Returns true if no call has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }
}

/// End of a session.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum End {
    /// A drain is over: every call has been answered.
    #[error("drained")]
    Drained,
    /// The client has closed the connection, or the network has.
    #[error("connection lost")]
    Lost,
    /// The client does not read what is written to it.
    #[error("the client does not read")]
    Unread,
    /// The client broke the protocol or a limit, or asked for something that is not here; a GOAWAY has told it.
    #[error("refused: {0}")]
    Refused(Status),
    /// Others need its memory or its place.
    #[error("closed to make room for others")]
    Evicted,
}
