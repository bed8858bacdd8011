//! A pump for one connection: bytes in, bytes out, no rule of the protocol.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use zk_wire::{DecodeError, next_frame};

use crate::connect::Stream;

/// The largest answer that is read: children's names may take far more than a request may.
const MAX_REPLY: usize = 64 << 20;

/// How much room there is at least for one read.
const READ_SIZE: usize = 16 * 1024;

/// An open connection with its two buffers.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    incoming: BytesMut,
    outgoing: BytesMut,
    flushed: bool,
}

impl Link {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new(), flushed: true }
    }

    /// Appends to what [`Self::read`] writes.
    pub(crate) fn send(&mut self, bytes: &Bytes) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Writes what is to be written and waits until something arrives. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the stream says; an end of the stream is `UnexpectedEof`.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_read(cx)
        })
        .await
    }

    /// The next whole frame among what has arrived.
    ///
    /// # Errors
    /// A length that no frame has.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        next_frame(&mut self.incoming, MAX_REPLY)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            self.flushed = false;
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming.reserve(READ_SIZE);
        // The future holds no state of its own: polling a new one each time loses nothing.
        let read = pin!(self.stream.read_buf(&mut self.incoming));
        match ready!(read.poll(cx))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}
