//! The messages of the client.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::active::ActiveStream;
use super::place::StreamPlace;
use crate::error::Error;
use crate::session::{Answer, Batch, Unsent};

/// Capacity of a buffer for messages that is kept.
const KEPT_CAPACITY: usize = 16 << 10;

/// Sends the messages of a stream. Dropping it before [`finish`](Self::finish) cancels the call.
pub struct MessageSender<A: ?Sized> {
    place: Arc<StreamPlace>,
    stream: Arc<ActiveStream>,
    /// The message that is being sent.
    payload: Vec<u8>,
    /// Number of messages so far.
    sent: u64,
    is_finished: bool,
    message: PhantomData<fn(&A)>,
}

/// Sends the messages of a call that has one result. Dropping it before [`finish`](Self::finish) cancels the call.
pub struct Upload<A: ?Sized, R> {
    sender: MessageSender<A>,
    result: PhantomData<fn() -> R>,
}

impl<A: Serialize + ?Sized> MessageSender<A> {
    pub(super) fn new(place: Arc<StreamPlace>, stream: Arc<ActiveStream>) -> Self {
        Self { place, stream, payload: Vec::new(), sent: 0, is_finished: false, message: PhantomData }
    }

    /// Sends a message. Waits while the server has as many bytes as it takes. Dropping the future sends nothing.
    ///
    /// # Errors
    /// The message does not fit the payload format or a limit; then others may follow. Or the stream has ended, which a status
    /// of the server, a lost connection or the deadline explains. If the server has ended it with success, the error is a
    /// status `CANCELLED`, and the result is with the receiving side.
    pub fn send<'s>(
        &'s mut self,
        message: &A,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'s, A> {
        self.payload.clear();
        let encoded = self.stream.format().encode(message, &mut self.payload);
        async move {
            let Self { place, stream, payload, sent, .. } = self;
            encoded.map_err(|error| argument(stream, error.to_string()))?;
            let outcome = loop {
                let is_first = *sent == 0;
                let sending = poll_fn(|cx| match is_first {
                    true => place.poll_first(|| stream.poll_send(cx, payload)),
                    false => stream.poll_send(cx, payload),
                });
                match sending.await {
                    Ok(()) => break Ok(()),
                    Err(Unsent::Argument(error)) => break Err(argument(stream, error.to_string())),
                    Err(Unsent::Ended(Err(ended))) if is_first => {
                        let waker = &stream.wakers().sender;
                        match poll_fn(|cx| place.poll_replace(cx, waker, stream, &ended)).await {
                            Ok(other) => *stream = other,
                            Err(error) => break Err(error),
                        }
                    }
                    Err(Unsent::Ended(Err(ended))) => break Err(stream.error(ended, *sent)),
                    Err(Unsent::Ended(Ok(_)) | Unsent::Full) => break Err(stream.complete()),
                }
            };
            payload.shrink_to(KEPT_CAPACITY);
            *sent += u64::from(outcome.is_ok());
            outcome
        }
    }

    /// Tells the server that no more messages follow.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.is_finished = true;
        self.place.finish();
    }

    /// Waits for the result of a call whose messages are all the client's, also if it is opened once more until then.
    async fn end_of_stream(&mut self) -> Result<Answer, Error> {
        let Self { place, stream, sent, .. } = self;
        let mut none = Batch::default();
        loop {
            let Some(end) = poll_fn(|cx| stream.poll_receive(cx, &mut none)).await else { continue };
            match end {
                Err(ended) if *sent == 0 => {
                    let waker = &stream.wakers().reader;
                    *stream = poll_fn(|cx| place.poll_replace(cx, waker, stream, &ended)).await?;
                }
                end => return end.map_err(|ended| stream.error(ended, *sent)),
            }
        }
    }
}

impl<A: Serialize + ?Sized, R: DeserializeOwned> Upload<A, R> {
    pub(super) fn new(sender: MessageSender<A>) -> Self {
        Self { sender, result: PhantomData }
    }

    /// Sends a message; see [`MessageSender::send`].
    ///
    /// # Errors
    /// As of [`MessageSender::send`].
    pub fn send<'s>(
        &'s mut self,
        message: &A,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'s, A, R> {
        self.sender.send(message)
    }

    /// Waits until the server needs no more messages, because it has the result or the stream has failed;
    /// [`finish`](Self::finish) tells which. Cancel-safe.
    ///
    /// [`send`](Self::send) notices the same at the next message. This is for a caller whose next message may be long in coming.
    pub async fn closed(&mut self) {
        // The end stays in the session until the stream is dropped.
        let _ = self.sender.end_of_stream().await;
    }

    /// Ends the messages and waits for the result.
    ///
    /// # Errors
    /// The stream has failed, or the result is not of the type `R`.
    pub async fn finish(mut self) -> Result<R, Error> {
        self.sender.end();
        let answer = self.sender.end_of_stream().await;
        let stream = &self.sender.stream;
        let result = answer.and_then(|answer| {
            let decoded = stream.format().decode(&answer.payload);
            decoded.map_err(|source| Error::Result { method: stream.method().to_owned(), source })
        });
        stream.count(result.is_ok());
        result
    }
}

impl<A: ?Sized> Drop for MessageSender<A> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.place.cancel();
        }
    }
}

impl<A: ?Sized> fmt::Debug for MessageSender<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSender").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl<A: ?Sized, R> fmt::Debug for Upload<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("sent", &self.sender.sent).finish_non_exhaustive()
    }
}

fn argument(stream: &ActiveStream, reason: String) -> Error {
    Error::Argument { method: stream.method().to_owned(), reason }
}
