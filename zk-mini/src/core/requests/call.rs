//! Calls and answers: parameters and results of handlers.

use zk_wire::{DecodeError, ErrorCode, Fields, OpCode, RequestView, SessionId, Xid};

use crate::core::message::{ConnId, Now};
use crate::core::outputs::Body;

/// Request that is being handled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) now: Now,
    pub(crate) conn: ConnId,
    pub(crate) session: SessionId,
    pub(crate) xid: Xid,
    pub(crate) op: OpCode,
}

impl Call {
    /// Reads the body of the request.
    pub(crate) fn read<'a, T: RequestView<'a>>(&self, mut body: Fields<'a>) -> Result<T, DecodeError> {
        T::read(self.op, &mut body)
    }
}

/// Answer to a request.
pub(crate) type Answer = Result<Reply, Failure>;

/// Reply of a handler. Its header is added when it is sent.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Header only.
    Header,
    /// Header and body.
    Body(Body),
    /// Header with an error, and a body.
    ErrorAndBody(ErrorCode, Body),
    /// Header with an error, and a body; then the connection is closed.
    LastErrorAndBody(ErrorCode, Body),
    /// Body only, as the answer to a handshake.
    Greeting(Body),
    /// Header only, then the connection is closed.
    Last,
}

/// Reason why a handler has no reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// Sends a header with this code.
    Code(ErrorCode),
    /// Sends a header with this code, then closes the connection.
    LastCode(ErrorCode),
    /// Sends the code for a connection that must authenticate first, with the zxid 0 and the request's own xid; then closes
    /// the connection.
    NotAuthenticated,
    /// Sends nothing now: the reply comes when the nodes of the session are gone, and is the last one.
    Later,
    /// Closes the connection without a reply.
    Close,
    /// The body cannot be read. The class of the operation decides on the answer.
    Unreadable,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<DecodeError> for Failure {
    fn from(_: DecodeError) -> Self {
        Self::Unreadable
    }
}
