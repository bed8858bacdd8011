//! A connection: bytes in, bytes out, no rule of the protocol.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use zk_wire::{DecodeError, split_frame, whole_frames};

use crate::connect::Stream;

/// Maximum size of an answer: the names of children can take far more than a request.
const MAX_REPLY: usize = 64 << 20;

/// Room for the answers to come.
const READ_SIZE: usize = 16 * 1024;

/// Minimum room for a read that begins with an answer.
const LEAST_ROOM: usize = 4 * 1024;

/// Length of an answer, or of bytes to write at once, after which a buffer is freed, so that one of them does not hold memory for
/// ever.
const KEPT: usize = 64 * 1024;

/// Open connection with its buffers.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    incoming: BytesMut,
    /// Whole frames that have arrived.
    frames: Bytes,
    outgoing: BytesMut,
    /// Maximum length of `outgoing` since it was empty. Its capacity does not tell: writing takes bytes off its front.
    longest: usize,
    flushed: bool,
}

impl Link {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            incoming: BytesMut::new(),
            frames: Bytes::new(),
            outgoing: BytesMut::new(),
            longest: 0,
            flushed: true,
        }
    }

    /// Returns the buffer of bytes for [`Self::read`] to write, to append to.
    pub(crate) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Writes all that was sent and waits until bytes arrive. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The error of the stream; `UnexpectedEof` at its end.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_read(cx)
        })
        .await
    }

    /// Returns the next complete frame that has arrived.
    ///
    /// # Errors
    /// A length that no frame can have.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.frames.is_empty() {
            self.frames = whole_frames(&mut self.incoming, MAX_REPLY)?;
            if self.frames.len() > KEPT {
                self.incoming = BytesMut::from(&self.incoming[..]);
            }
        }
        Ok(split_frame(&mut self.frames))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.longest = self.longest.max(self.outgoing.len());
        while !self.outgoing.is_empty() {
            self.flushed = false;
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        if std::mem::take(&mut self.longest) > KEPT {
            self.outgoing = BytesMut::new();
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Answers that callers keep hold the buffer that they came in: many are to share it.
        let room = self.incoming.capacity() - self.incoming.len();
        if room < LEAST_ROOM || !self.incoming.is_empty() {
            self.incoming.reserve(READ_SIZE);
        }
        // The future holds no state of its own: polling a new one each time loses nothing.
        let read = pin!(self.stream.read_buf(&mut self.incoming));
        match ready!(read.poll(cx))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn much_that_has_gone_or_come_holds_no_memory() {
        const MUCH: usize = 4 * KEPT;
        let (mut server, client) = tokio::io::duplex(1024);
        let mut link = Link::new(Box::new(client));
        link.outgoing().resize(MUCH, 7);
        let echo = async {
            let mut sent = vec![0; MUCH];
            server.read_exact(&mut sent).await.unwrap();
            server.write_u32(u32::try_from(MUCH).unwrap()).await.unwrap();
            server.write_all(&sent).await.unwrap();
        };
        let answer = async {
            loop {
                link.read().await.unwrap();
                if let Some(answer) = link.next_frame().unwrap() {
                    return answer;
                }
            }
        };
        let ((), answer) = tokio::join!(echo, answer);
        assert_eq!(answer, vec![7; MUCH]);
        assert!(link.outgoing.capacity() <= KEPT && link.incoming.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn answers_that_are_kept_share_a_buffer() {
        const FRAME: &[u8] = b"\0\0\0\x0ctwelve bytes";
        let (mut server, client) = tokio::io::duplex(1024);
        let (mut link, mut kept) = (Link::new(Box::new(client)), Vec::new());
        for _ in 0..1_000 {
            server.write_all(FRAME).await.unwrap();
            link.read().await.unwrap();
            kept.push(link.next_frame().unwrap().unwrap());
        }
        assert!(kept.iter().all(|answer| answer == &FRAME[4..]));
        let is_next = |pair: &[Bytes]| pair[0].as_ptr().wrapping_add(16) == pair[1].as_ptr();
        let buffers = 1 + kept.windows(2).filter(|pair| !is_next(pair)).count();
        assert!(buffers < 10, "{buffers}");
    }
}
