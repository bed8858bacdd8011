//! Body of an answer, which keeps its connection busy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::places::ConnectionPlace;

/// Body of an answer. When hyper drops it, the rest of the answer is on its way.
#[derive(Debug)]
pub(super) struct Working {
    body: Body,
    place: Arc<ConnectionPlace>,
}

impl Working {
    pub(super) fn new(body: Body, place: Arc<ConnectionPlace>) -> Self {
        Self { body, place }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.place.answered();
    }
}

impl hyper::body::Body for Working {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
