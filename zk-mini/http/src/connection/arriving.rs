//! Body of a request, which arrives in bounded time.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::error::ApiError;

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

/// A body that is longer than the limit of all bodies.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body is too long; {0} bytes are allowed")]
pub(crate) struct TooLong(usize);

/// Returns the error for a body that could not be read.
pub(crate) fn unread(error: &(dyn Error + 'static)) -> ApiError {
    if let Some(slow) = cause::<TooSlow>(error) {
        return ApiError::new(StatusCode::REQUEST_TIMEOUT, slow.to_string());
    }
    match cause::<TooLong>(error) {
        Some(long) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, long.to_string()),
        None => ApiError::bad_request(format!("the body is incomplete: {error}")),
    }
}

/// Finds the failure in an error that it has caused.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|cause| cause.downcast_ref())
}

/// Bounds a body. It fails with [`TooLong`] beyond so many bytes.
pub(super) fn bounded(body: Arriving, max: usize) -> Body {
    Body::new(Limited::new(body, max).map_err(move |error| {
        if error.is::<LengthLimitError>() { BoxError::from(TooLong(max)) } else { error }
    }))
}

impl Arriving {
    pub(super) fn new(body: Incoming, time: Duration) -> Self {
        Self { body, time, deadline: None }
    }
}

impl HttpBody for Arriving {
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
