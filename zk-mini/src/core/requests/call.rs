//! Calls and answers: what a handler is given, and what it returns.

use zk_wire::{DecodeError, ErrorCode, Fields, OpCode, RequestView, SessionId, Xid};

use crate::core::message::{ConnId, Now};
use crate::core::outputs::Body;

/// A request that is being handled.
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

/// Reply of a handler. The header is put before it when it is sent.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A header alone.
    Header,
    /// A header and a body.
    Body(Body),
    /// A header with an error, and a body all the same.
    ErrorAndBody(ErrorCode, Body),
    /// A body alone, as of a handshake.
    Greeting(Body),
    /// A header alone; then the connection is closed.
    Last,
}

/// Reason for which a handler has no reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// A header with this code is sent.
    Code(ErrorCode),
    /// A header with this code is sent; then the connection is closed.
    LastCode(ErrorCode),
    /// The connection is closed without a reply.
    Close,
    /// The body cannot be read. The class of the operation says how that is answered.
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
