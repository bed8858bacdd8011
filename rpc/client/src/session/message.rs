//! Inputs and outputs of a session.

use std::sync::Arc;

use bytes::Bytes;
use common::Millis;
use rpc_wire::{CallId, Code, DecodeError, EncodeError, Metadata, MetadataRef, Status};

use super::hello::HelloError;

/// An event on the connection, or a request of its owner.
#[derive(Debug)]
pub enum Input {
    /// A frame's body has arrived, see [`next_input`](super::next_input). It is no message.
    Frame(Bytes),
    /// Messages of one call have arrived.
    Messages {
        /// The call.
        id: CallId,
        /// Their frames.
        frames: Bytes,
        /// Length of the last frame.
        last: usize,
    },
    /// Bytes have arrived that complete no frame yet.
    Heard,
    /// The bytes that have arrived are no frames.
    Garbage(DecodeError),
    /// The server has closed the connection.
    Eof,
    /// The transport has failed, or is given up, for this reason.
    Failed(Arc<str>),
    /// The caller has given the call or the stream up. Ignored after its end.
    Cancel(CallId),
    /// Ask the server whether it is alive; [`Output::Alive`] is its answer.
    Probe,
    /// Take no more calls, and end after the last reply.
    Leave,
    /// The time of [`Session::poll_deadline`](super::Session::poll_deadline) has come.
    Timeout,
}

/// A change that the owner must perform or pass on.
#[derive(Debug)]
pub enum Output<C, S> {
    /// The server has said who it is: from here on calls may start.
    Greeted {
        /// Identity of the server's process.
        instance: String,
    },
    /// The server takes no more calls, for a reason with this code.
    GoingAway(Code),
    /// The server has answered a ping.
    Alive,
    /// Callers that got [`Refused::Full`] should try again, as many as [`Session::has_room`](super::Session::has_room) for.
    Room,
    /// A call has ended.
    Complete {
        /// The call, as it was given to [`Session::start`](super::Session::start).
        call: C,
        /// Its result.
        attempt: Attempt,
    },
    /// The owner of a stream that waits should look again.
    Signal(Signal<S>),
    /// The session has ended, and the transport can be dropped. The completions of its last calls follow.
    Closed(Ending),
}

/// A call to send.
#[derive(Clone, Copy, Debug)]
pub struct NewCall<'a> {
    /// Name of the method.
    pub method: &'a str,
    /// Names and values beside the argument.
    pub metadata: MetadataRef<'a>,
    /// Argument in the session's format.
    pub payload: &'a [u8],
    /// Time at which the call ends without an answer.
    pub deadline: Millis,
}

/// A stream to open.
#[derive(Clone, Copy, Debug)]
pub struct NewStream<'a> {
    /// Name of the method.
    pub method: &'a str,
    /// Argument in the session's format; empty if the client sends messages.
    pub payload: &'a [u8],
    /// Names and values beside the argument.
    pub metadata: MetadataRef<'a>,
    /// Time at which the stream is cancelled; `None` for never.
    pub deadline: Option<Millis>,
    /// The client sends messages.
    pub sends: bool,
    /// The server sends messages.
    pub receives: bool,
}

/// News of a stream for its owner `S`, who waits for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal<S> {
    /// [`Session::receive`](super::Session::receive) has something.
    Readable(S),
    /// [`Session::send`](super::Session::send) may work.
    Writable(S),
}

/// Result of [`Session::receive`](super::Session::receive).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// The batch has messages.
    Messages,
    /// The stream goes on; [`Signal::Readable`] follows.
    Nothing,
    /// All messages were taken, and the stream has ended.
    End(Attempt),
}

/// Reason why a message was not sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unsent {
    /// The server takes no more now; [`Signal::Writable`] follows.
    Full,
    /// The stream has ended, in this way.
    Ended(Attempt),
    /// The message does not fit a limit of the server.
    Argument(EncodeError),
}

/// Reason why a call was not sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// The server does not read fast enough, or has as many bytes of arguments as it takes; [`Output::Room`] follows.
    Full,
    /// The session takes no calls: not yet, or not any more.
    Closed,
    /// The call does not fit a limit of the protocol or of the server.
    Argument(EncodeError),
    /// The server speaks version 1 of the protocol, which has no streams.
    NoStreams,
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        Self::Argument(error)
    }
}

/// Result of an attempt: the reply, or the way it ended without one.
pub type Attempt = Result<Answer, Ended>;

/// A successful reply.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The result in the session's format; empty after a stream of the server's messages.
    pub payload: Bytes,
    /// Names and values beside the result.
    pub metadata: Metadata,
}

/// End of an attempt without a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Its bytes never left this process.
    NotSent,
    /// The server said that nothing of it ran.
    NotRun(Status),
    /// The connection broke before the reply, for this reason; it may have run.
    Lost(Arc<str>),
    /// The server answered with a failure.
    Failed(Status),
    /// Its deadline passed; it may have run.
    Late,
}

impl Ended {
    /// Returns the code under which the attempt is counted.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Failed(status) | Self::NotRun(status) => status.code,
            Self::Late => Code::DEADLINE_EXCEEDED,
            Self::NotSent | Self::Lost(_) => Code::UNAVAILABLE,
        }
    }
}

/// Frame that a server may not send.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// Its messages take more bytes than the client has allowed.
    #[error("it sent messages without credit")]
    NoCredit,
    /// It has given more credit than a window can hold.
    #[error("it gave credit beyond {} bytes", u32::MAX)]
    CreditOverflow,
}

/// End of a session, in words for the log and for callers that lost an answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Ending {
    /// The owner or the server wanted it to end, and the last call has ended.
    #[error("it is closed")]
    Left,
    /// The transport has failed.
    #[error("{0}")]
    Lost(Arc<str>),
    /// The server has sent bytes that are no frames.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// The server has sent frames that it may not send.
    #[error("the server broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The server has sent nothing, not even the answer to a ping.
    #[error("the server does not answer")]
    Silent,
    /// The server has taken no bytes, although some wait.
    #[error("the server does not read")]
    Unread,
    /// The hello failed.
    #[error(transparent)]
    Hello(#[from] HelloError),
}
