//! Connections that begin with an HTTP request: their stream, for the function that serves them. The server itself knows no
//! HTTP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that began with an HTTP request; see [`Builder::on_http`](crate::Builder::on_http). It is none of the
/// server's connections any more: no limit, fault or freezing concerns it, and it is not counted.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpConnection {
    /// The bytes from the first one on, and the way back. Dropping it closes the connection.
    pub stream: HttpStream,
    /// Address of the other end; `None` if it is in this process.
    pub peer: Option<SocketAddr>,
    /// Address that the server was told to listen on, such as 0.0.0.0 for all of the machine's; `None` for a connection
    /// that the server did not accept itself.
    pub listener: Option<SocketAddr>,
}

/// Stream of a connection that began with an HTTP request.
pub struct HttpStream {
    /// Bytes that have been read already.
    first: BytesMut,
    rest: Box<dyn Stream>,
}

/// A stream of bytes to a peer: TCP, or a pipe in this process. A TLS stream would be one more.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

impl HttpStream {
    pub(crate) fn new(first: BytesMut, rest: impl Stream) -> Self {
        Self { first, rest: Box::new(rest) }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, buf);
        }
        let len = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..len]);
        self.first.advance(len);
        if self.first.is_empty() {
            self.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.rest.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream").finish_non_exhaustive()
    }
}
