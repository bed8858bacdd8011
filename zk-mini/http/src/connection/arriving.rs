//! Body of a request, which arrives in bounded time.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// Body of a request. It fails with [`TooSlow`] when its time is over.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    time: Duration,
    /// End of the time, once something had to be waited for.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// A body that has not arrived in its time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body did not arrive within {0:?}")]
pub(crate) struct TooSlow(Duration);

impl TooSlow {
    /// Finds the failure in an error that it has caused.
    pub(crate) fn caused<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| (*error).source()).find_map(|cause| cause.downcast_ref())
    }
}

impl Arriving {
    pub(super) fn new(body: Incoming, time: Duration) -> Self {
        Self { body, time, deadline: None }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| io::Error::other(error).into())));
        }
        let time = self.time;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow(time).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
