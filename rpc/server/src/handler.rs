//! Handlers without their types: how a call starts, and how it is polled.

#[cfg(feature = "tower")]
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rpc_wire::{Format, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context as CallContext;
use crate::error::{Error, HandlerError};
use crate::inbox::Inbox;
use crate::messages::Messages;

/// Decodes an argument and starts a call. An error is the reply: no part of the call has run.
pub(crate) type Handler = Box<dyn Fn(Opening<'_>) -> Result<Running, Status> + Send + Sync>;

/// Handlers of the methods of a service, by name.
#[cfg(feature = "tower")]
pub(crate) type Handlers = BTreeMap<String, Handler>;

/// Start of a call.
pub(crate) struct Opening<'a> {
    /// Name of the method, for errors.
    pub(crate) method: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) format: Format,
    pub(crate) context: CallContext,
    /// Messages of the client, if the method takes them.
    pub(crate) inbox: Option<Arc<Inbox>>,
}

impl Opening<'_> {
    /// Decodes the argument.
    pub(crate) fn argument<A: DeserializeOwned>(&self) -> Result<A, Status> {
        self.format.decode(self.payload).map_err(|error| {
            Status::invalid_argument(format!("the argument of {} cannot be decoded: {error}", self.method))
        })
    }

    /// Returns the messages of the client, and the context.
    pub(crate) fn messages<A: DeserializeOwned>(self) -> Result<(Messages<A>, CallContext), Status> {
        // The session starts no call of another kind than the method's.
        let inbox = self.inbox.ok_or_else(|| Status::internal("a call without its messages"))?;
        Ok((Messages::new(inbox, self.format), self.context))
    }
}

/// Running handler, without its types.
pub(crate) enum Running {
    /// Handler that ends with a result.
    Reply(Pin<Box<dyn PollReply + Send>>),
    /// Handler that gives messages until it ends.
    Messages(Box<dyn PollMessage + Send>),
}

/// Future whose result is encoded into the buffer for the socket, so that a reply needs no buffer of its own.
pub(crate) trait PollReply {
    /// Polls the handler. At `Ready(Ok(()))` the result has been appended to `out`.
    fn poll_reply(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Error>>;
}

impl<F, R, E> PollReply for F
where
    F: Future<Output = Result<R, E>>,
    R: Serialize,
    E: HandlerError,
{
    fn poll_reply(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Error>> {
        self.poll(cx).map(|result| {
            let reply = result.map_err(HandlerError::into_error)?;
            encode(&reply, format, out, "reply")
        })
    }
}

/// Stream whose messages are encoded into the buffer for the socket.
pub(crate) trait PollMessage {
    /// Polls the handler. At `Ready(Some(Ok(())))` a message has been appended to `out`; `Ready(None)` is the end.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Option<Result<(), Error>>>;
}

/// Handler that gives messages: a future of a stream, then the stream.
pub(crate) enum Streaming<F, S> {
    Opening(Pin<Box<F>>),
    Open(Pin<Box<S>>),
}

impl<F, S, R, E> PollMessage for Streaming<F, S>
where
    F: Future<Output = Result<S, E>>,
    S: Stream<Item = Result<R, Status>>,
    R: Serialize,
    E: HandlerError,
{
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Option<Result<(), Error>>> {
        loop {
            match self {
                Self::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(stream) => *self = Self::Open(Box::pin(stream)),
                    Err(error) => return Poll::Ready(Some(Err(error.into_error()))),
                },
                Self::Open(stream) => {
                    let next = ready!(stream.as_mut().poll_next(cx));
                    return Poll::Ready(next.map(|next| encode(&next?, format, out, "message")));
                }
            }
        }
    }
}

fn encode<T: Serialize>(value: &T, format: Format, out: &mut Vec<u8>, what: &str) -> Result<(), Error> {
    let encoded = format.encode(value, out);
    encoded.map_err(|error| Status::internal(format!("the {what} cannot be encoded: {error}")).into())
}
