//! The messages of the server.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rpc_wire::Metadata;
use serde::de::DeserializeOwned;

use super::active::ActiveStream;
use super::place::StreamPlace;
use crate::error::Error;
use crate::session::{Attempt, Batch, Ended};

/// The messages of a server stream, in their order. Also a [`Stream`](futures_core::Stream).
///
/// The server sends ahead up to a window of bytes, and more as messages are taken from here: a slow reader holds up the
/// server's handler, and no other call. Dropping it before the end cancels the call.
///
/// A message that is not of the type `R` ends the stream with [`Error::Result`].
pub struct Messages<R> {
    place: Arc<StreamPlace>,
    reading: Reading,
    batch: Batch,
    /// Number of messages so far.
    received: u64,
    metadata: Metadata,
    message: PhantomData<fn() -> R>,
}

enum Reading {
    /// Once more, because nothing of this stream ran, which has ended in this way.
    Opening(Arc<ActiveStream>, Ended),
    Open(Arc<ActiveStream>),
    Ended,
}

impl<R: DeserializeOwned> Messages<R> {
    /// Returns the messages of a stream.
    pub(super) fn new(place: Arc<StreamPlace>, stream: Arc<ActiveStream>) -> Self {
        Self {
            place,
            reading: Reading::Open(stream),
            batch: Batch::default(),
            received: 0,
            metadata: Metadata::new(),
            message: PhantomData,
        }
    }

    /// Returns the next message; `None` after the last one, and after an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<R, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Returns the names and values that the server has sent with the end of the stream; empty before it.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, Error>>> {
        loop {
            let stream = match &mut self.reading {
                Reading::Open(stream) => stream,
                Reading::Ended => return Poll::Ready(None),
                Reading::Opening(old, ended) => {
                    match ready!(self.place.poll_replace(cx, &old.wakers().reader, old, ended)) {
                        Ok(stream) => {
                            self.reading = Reading::Open(stream);
                            continue;
                        }
                        Err(error) => {
                            old.count(false);
                            return self.fail(error);
                        }
                    }
                }
            };
            if let Some(message) = self.batch.next_message() {
                if self.received == 0 {
                    self.place.settle();
                }
                self.received += 1;
                return match stream.format().decode(message) {
                    Ok(message) => Poll::Ready(Some(Ok(message))),
                    Err(source) => {
                        stream.cancel();
                        stream.count(false);
                        let method = stream.method().to_owned();
                        self.fail(Error::Result { method, source })
                    }
                };
            }
            if let Some(end) = ready!(stream.poll_receive(cx, &mut self.batch)) {
                match self.end(end) {
                    Some(Ok(())) => return Poll::Ready(None),
                    Some(Err(error)) => return self.fail(error),
                    None => {}
                }
            }
        }
    }

    /// Ends the stream, or begins to open it once more and returns `None`.
    fn end(&mut self, end: Attempt) -> Option<Result<(), Error>> {
        let Reading::Open(stream) = std::mem::replace(&mut self.reading, Reading::Ended) else {
            return Some(Ok(()));
        };
        let ended = match end {
            Ok(answer) => {
                self.metadata = answer.metadata;
                stream.count(true);
                return Some(Ok(()));
            }
            Err(ended) => ended,
        };
        if self.received == 0 {
            self.reading = Reading::Opening(stream, ended);
            return None;
        }
        stream.count(false);
        Some(Err(stream.error(ended, self.received)))
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<R, Error>>> {
        self.reading = Reading::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

impl<R: DeserializeOwned> futures_core::Stream for Messages<R> {
    type Item = Result<R, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx)
    }
}

impl<R> Drop for Messages<R> {
    fn drop(&mut self) {
        if !matches!(self.reading, Reading::Ended) {
            // The sender may have the stream, too.
            self.place.cancel();
        }
    }
}

impl<R> fmt::Debug for Messages<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("received", &self.received).finish_non_exhaustive()
    }
}
