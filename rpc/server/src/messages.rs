//! The client's messages of a call, for its handler.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rpc_wire::{Format, Status, next_message};
use serde::de::DeserializeOwned;

use crate::inbox::{Inbox, InboxEnd};

/// Cost of messages that a handler has taken before the client hears of it.
const TELL_TAKEN: usize = 16 << 10;

/// Memory that a stream keeps for the next messages.
const KEPT_CAPACITY: usize = 16 << 10;

/// Messages that the client sends in one call, in order. The client is held back while they are not taken; dropping this
/// skips what is left.
///
/// It is also a `Stream`.
///
/// ```
/// use rpc_server::{Context, Messages, Service, Status};
///
/// async fn sum(mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
///     let mut sum = 0;
///     while let Some(number) = numbers.next().await {
///         sum += number?;
///     }
///     Ok(sum)
/// }
///
/// let service = Service::builder("calculator").client_stream("sum", sum).build();
/// ```
#[derive(Debug)]
pub struct Messages<T> {
    inbox: Arc<Inbox>,
    format: Format,
    /// Frames that have been fetched, and the length of those that have been taken.
    batch: Vec<u8>,
    at: usize,
    /// Length of taken frames that the client has not heard of.
    taken: usize,
    is_over: bool,
    types: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Messages<T> {
    pub(crate) fn new(inbox: Arc<Inbox>, format: Format) -> Self {
        Self { inbox, format, batch: Vec::new(), at: 0, taken: 0, is_over: false, types: PhantomData }
    }

    /// Returns the next message; `None` after the last one, and after an error.
    ///
    /// Cancel safe: a message is lost only with the whole stream.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the message does not decode. CANCELLED: the call has ended, and these messages have outlived its
    /// handler.
    pub async fn next(&mut self) -> Option<Result<T, Status>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.at == self.batch.len() {
            self.tell_taken();
            self.at = 0;
            self.batch.clear();
            // One long message does not hold memory as long as the stream.
            self.batch.shrink_to(KEPT_CAPACITY);
            if let Err(end) = ready!(self.inbox.poll_take(&mut self.batch, cx)) {
                self.is_over = true;
                return Poll::Ready(match end {
                    InboxEnd::Complete => None,
                    InboxEnd::Cut => Some(Err(Status::cancelled("the call has ended"))),
                });
            }
        }
        // The inbox gives whole messages.
        let Some((message, rest)) = next_message(&self.batch[self.at..]) else { return Poll::Ready(None) };
        let end = self.batch.len() - rest.len();
        self.taken += end - self.at;
        self.at = end;
        let decoded = self.format.decode(message).map_err(|error| {
            self.is_over = true;
            Status::invalid_argument(format!("a message cannot be decoded: {error}"))
        });
        if self.taken >= TELL_TAKEN {
            self.tell_taken();
        }
        Poll::Ready(Some(decoded))
    }
}

impl<T> Messages<T> {
    fn tell_taken(&mut self) {
        self.inbox.taken(std::mem::take(&mut self.taken));
    }
}

impl<T: DeserializeOwned> Stream for Messages<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx)
    }
}

impl<T> Drop for Messages<T> {
    fn drop(&mut self) {
        self.taken += self.batch.len() - self.at;
        self.tell_taken();
        self.inbox.refuse_all();
    }
}
