//! Calls as layers see them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use common::Millis;
use rpc_wire::{Metadata, MethodKind};
use tokio::time::Instant;

use crate::attempts::Answered;
use crate::kept::Kept;
use crate::stream::Opened;

/// A call on its way to an instance, or a stream to open there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Name of the method.
    pub method: String,
    /// Kind of the method; a stream has its messages later, and no layer sees them.
    pub kind: MethodKind,
    /// Names and values beside the argument.
    pub metadata: Metadata,
    /// Argument, encoded; empty if the client sends messages.
    pub payload: Bytes,
    /// Time to wait for the result, or for the end of a stream, from the beginning of the call on: the time in the layers counts.
    /// A layer may shorten it. A stream without a deadline has [`Duration::MAX`].
    pub deadline: Duration,
    /// True if running the call twice does no harm.
    pub idempotent: bool,
    pub(crate) key: Option<u64>,
    pub(crate) patience: Option<Millis>,
    pub(crate) hedge: Option<Duration>,
    /// Beginning of the call.
    pub(crate) begun: Instant,
    /// The call has left the layers, and may have been sent.
    pub(crate) left: Arc<AtomicBool>,
    /// State of the client, which a stream keeps; `None` for a unary call.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// Answer of an instance on its way to the caller, or a stream that is open.
#[derive(Debug)]
pub struct Response(pub(crate) Body);

/// Content of a response.
#[derive(Debug)]
pub(crate) enum Body {
    Answer(Answered),
    Stream(Box<Opened>),
}

impl Response {
    /// Returns the result, encoded; `None` if it is a stream of messages.
    #[must_use]
    pub fn payload(&self) -> Option<&Bytes> {
        match &self.0 {
            Body::Answer(answered) => Some(&answered.answer.payload),
            Body::Stream(_) => None,
        }
    }

    /// Returns the names and values that the handler has set beside the result; `None` if it is a stream, which has them at its
    /// end.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        match &self.0 {
            Body::Answer(answered) => Some(&answered.answer.metadata),
            Body::Stream(_) => None,
        }
    }

    /// Returns the identity of the process that has answered, or that has the stream.
    #[must_use]
    pub fn instance(&self) -> &str {
        match &self.0 {
            Body::Answer(answered) => &answered.link.instance,
            Body::Stream(opened) => opened.instance(),
        }
    }
}
