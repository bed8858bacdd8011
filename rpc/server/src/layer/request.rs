//! Calls as layers see them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rpc_wire::Format;

use crate::context::Context;
use crate::handler::{Opening, PollMessage};
use crate::inbox::Inbox;

/// A call on its way to its handler.
pub struct Request {
    context: Context,
    payload: Bytes,
    format: Format,
    inbox: Option<Arc<Inbox>>,
}

/// Answer of a handler on its way to the caller. Metadata for it are set in the [`Context`].
pub struct Response(pub(super) Body);

pub(super) enum Body {
    Result(Vec<u8>),
    Messages(Box<dyn PollMessage + Send>),
}

impl Request {
    pub(super) fn new(opening: Opening<'_>) -> Self {
        let Opening { payload, format, context, inbox, .. } = opening;
        Self { context, payload: Bytes::copy_from_slice(payload), format, inbox }
    }

    /// Returns the circumstances of the call, which the handler gets, too.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the argument, encoded; empty if the client sends a stream of messages.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the format of the argument and the result.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    pub(super) fn opening(&self) -> Opening<'_> {
        Opening {
            method: self.context.method(),
            payload: &self.payload,
            format: self.format,
            context: self.context.clone(),
            inbox: self.inbox.clone(),
        }
    }
}

impl Response {
    /// Returns the result, encoded; `None` if it is a stream of messages.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.0 {
            Body::Result(payload) => Some(payload),
            Body::Messages(_) => None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("context", &self.context).finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("len", &self.payload().map(<[u8]>::len)).finish()
    }
}
