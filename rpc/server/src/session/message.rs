//! Inputs and outputs of a session.

use std::sync::Arc;

use common::Millis;
use rpc_wire::{CallId, Code, MessageRun, Metadata, Status};

use super::methods::MethodId;
use super::reply::CallHead;

/// Event on the connection, or request of its owner.
#[derive(Debug)]
pub enum Input<T> {
    /// Bytes have been appended to [`Session::read_buffer`](super::Session::read_buffer).
    Received,
    /// Calls may start now, see [`Session::wants_turn`](super::Session::wants_turn).
    Turn(Turn),
    /// The handler of [`Output::Start`] has been polled once.
    Returned {
        /// Handle of the call, which continues elsewhere; `None` if the call has ended and its reply is written.
        task: Option<T>,
        /// Permission for the next call; `None` ends the turn.
        turn: Option<Turn>,
    },
    /// The messages of [`Output::Messages`] have been handed to their call.
    Delivered {
        /// Permission for the next call; `None` ends the turn.
        turn: Option<Turn>,
    },
    /// Calls that continued elsewhere have produced frames, or taken messages.
    Replies(Replies),
    /// The transport has taken this many bytes of the last batch; if that is not all, it takes no more now. The last byte of a batch
    /// counts when a transport that buffers has sent all of it: what is held back may never arrive.
    Wrote(usize),
    /// New calls are refused; the session ends after the last reply.
    Drain,
    /// The connection has to close, so that others have room.
    Evicted,
    /// The process did not run for this time and could neither read nor write. Precedes [`Input::Timeout`].
    Stalled(Millis),
    /// The time of [`Session::poll_deadline`](super::Session::poll_deadline) has come.
    Timeout,
    /// The client has closed the connection, or the transport has failed.
    Closed,
}

/// Action that the owner must perform.
#[derive(Debug)]
pub enum Output<'a, T> {
    /// Poll the handler of this call once, and pass [`Input::Returned`].
    Start(Start<'a>),
    /// Hand these messages to their call, and pass [`Input::Delivered`].
    Messages(Delivery<'a, T>),
    /// Frames of a stream have gone out: its handler may produce as many bytes.
    Sent {
        /// Number of the call.
        id: CallId,
        /// Number of bytes.
        bytes: usize,
    },
    /// Drop the handler of this call; its reply is not needed any more.
    Abort {
        /// Handle of the call.
        task: T,
        /// Code of the reply that the session has given; CANCELLED if there is none.
        code: Code,
    },
    /// The quota of calls is used up.
    Retire,
    /// Everything is written: close the connection for writing, and continue to read.
    ShutDown,
    /// The session has ended, and the transport can be dropped.
    Close(End),
}

/// Call to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// Identity, format and limits of the call.
    pub call: CallHead,
    /// Method of the call.
    pub method: MethodId,
    /// Names and values beside the argument.
    pub metadata: Option<Arc<Metadata>>,
    /// Argument in the session's format.
    pub payload: &'a [u8],
    /// Buffer to which the reply frame is appended if the call ends at once.
    pub reply: &'a mut Vec<u8>,
}

/// Messages of the client for a running call.
#[derive(Debug)]
pub struct Delivery<'a, T> {
    /// Handle of the call.
    pub task: &'a T,
    /// Messages in the session's format; `None` if the client sends no more.
    pub messages: Option<MessageRun<'a>>,
}

/// Permission to start one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Limit outside of this connection that is reached: the call is refused.
    pub full: Option<Full>,
}

/// Limit on calls in flight that is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// Limit of the whole server.
    Server(usize),
    /// Limit of all connections of one peer.
    Peer(usize),
    /// Limit of the whole server that follows its capacity, for unary calls only.
    Adaptive(usize),
    /// Share of one peer in that.
    AdaptivePeer(usize),
}

/// Frames that calls have produced after their first poll, and messages that they have taken.
#[derive(Debug, Default)]
pub struct Replies {
    /// Frames, one behind the other.
    pub frames: Vec<u8>,
    /// Calls, in the order of their frames.
    pub segments: Vec<Segment>,
    /// Messages of the client that handlers have taken.
    pub taken: Vec<Taken>,
}

/// Frames of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Number of the call.
    pub id: CallId,
    /// Length of its frames: messages, and the reply if it is the end.
    pub len: usize,
    /// The call has ended.
    pub is_end: bool,
}

/// Messages of the client that a handler has taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// Number of the call.
    pub id: CallId,
    /// Cost of the messages: the length of their frames.
    pub bytes: usize,
}

impl Replies {
    /// Returns true if there is nothing to pass on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.taken.is_empty()
    }
}

/// Reason for which a session ended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum End {
    /// A drain has completed: every call is answered.
    #[error("drained")]
    Drained,
    /// The client has closed the connection, or the network has failed.
    #[error("connection lost")]
    Lost,
    /// The client does not read what is written to it.
    #[error("the client does not read")]
    Unread,
    /// The client was refused with a GOAWAY: it broke the protocol or a limit, or asked for another service.
    #[error("refused: {0}")]
    Refused(Status),
    /// Others need the room of this connection.
    #[error("closed to make room for others")]
    Evicted,
}
