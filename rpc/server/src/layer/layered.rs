//! A service of tower as a handler: the layered call, and its response as that of a handler.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rpc_wire::{Format, Status};
use tower::ServiceExt;
use tower::util::Oneshot;

use super::request::{Body, Request, Response};
use super::route::Route;
use crate::context::Context as CallContext;
use crate::error::Error;
use crate::handler::{Handler, PollMessage, PollReply, Running};
use crate::session::MethodKind;

/// Returns a handler that calls the layered service.
pub(super) fn handler(kind: MethodKind, route: Route) -> Handler {
    Box::new(move |opening| {
        let context = opening.context.clone();
        let call = LayeredCall { context, answering: route.clone().oneshot(Request::new(opening)) };
        Ok(if kind.server_streams() {
            Running::Messages(Box::new(LayeredMessages::Opening(call)))
        } else {
            Running::Reply(Box::pin(call))
        })
    })
}

struct LayeredCall {
    context: CallContext,
    /// Each call has a clone of the service.
    answering: Oneshot<Route, Request>,
}

impl LayeredCall {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, Status>> {
        let answer = ready!(Pin::new(&mut self.answering).poll(cx));
        Poll::Ready(answer.map(|Response(body)| body).inspect_err(|_| self.context.layer_failed()))
    }
}

impl PollReply for LayeredCall {
    fn poll_reply(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Error>> {
        Poll::Ready(match ready!(self.get_mut().poll_body(cx)?) {
            Body::Result(payload) => {
                out.extend_from_slice(&payload);
                Ok(())
            }
            Body::Messages(_) => Err(misplaced().into()),
        })
    }
}

enum LayeredMessages {
    Opening(LayeredCall),
    Open(Box<dyn PollMessage + Send>),
}

impl PollMessage for LayeredMessages {
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Option<Result<(), Error>>> {
        loop {
            match self {
                Self::Open(messages) => return messages.poll_message(cx, format, out),
                Self::Opening(call) => match ready!(call.poll_body(cx)) {
                    Ok(Body::Messages(messages)) => *self = Self::Open(messages),
                    Ok(Body::Result(_)) => return Poll::Ready(Some(Err(misplaced().into()))),
                    Err(status) => return Poll::Ready(Some(Err(status.into()))),
                },
            }
        }
    }
}

/// Returns the status of a layer that answers one call with the response of another.
fn misplaced() -> Status {
    Status::internal("a layer has answered with the response of another method")
}
