//! Answers: what a handler returns.

use zk_wire::{DecodeError, ErrorCode};

use crate::core::outputs::Body;

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
