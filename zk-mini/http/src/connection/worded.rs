//! A stream that gives the framework's own refusals a body: hyper answers a head that it cannot read without a word.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::ApiError;

/// A stream whose refusals say what was wrong. All other answers pass as they are.
#[derive(Debug)]
pub(super) struct Worded<S> {
    stream: S,
    /// A refusal that is being written instead of the framework's, and how much of it has been.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S> Worded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, refusal: None }
    }
}

/// Maximum length of a refusal of the framework's.
const LONGEST: usize = 1024;

/// Returns the answer in place of one of the framework's own, which has this head and no body.
///
/// Our answers always have a header that the framework does not know, and no body of ours begins as an answer does.
fn refusal(written: &[u8]) -> Option<Vec<u8>> {
    // Most of what is written is long, or no refusal by its first bytes.
    if written.len() > LONGEST || !written.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let written = std::str::from_utf8(written).ok()?;
    let (line, headers) = written.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(StatusCode::is_client_error)?;
    let is_empty = headers.split("\r\n").any(|header| header == "content-length: 0");
    if !is_empty || headers.contains("x-content-type-options") {
        return None;
    }
    let message = match status {
        StatusCode::URI_TOO_LONG => "the address of the request is longer than 64 KiB",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the head of the request is longer than 128 KiB, or has more than 200 headers"
        }
        _ => {
            "the head of the request is malformed: it has a first line with method, path and version, a line for each header, and an empty line"
        }
    };
    let body = ApiError::new(status, message).into_body();
    let rest = headers.replace("content-length: 0", &format!("content-length: {}", body.len()));
    let always =
        "content-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff";
    Some(format!("{line}\r\n{rest}\r\n{always}\r\n\r\n{body}").into_bytes())
}

impl<S: AsyncRead + Unpin> AsyncRead for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Worded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, refusal: pending } = self.get_mut();
        if pending.is_none() {
            *pending = refusal(buf).map(|bytes| (bytes, 0));
        }
        let Some((bytes, written)) = pending else { return Pin::new(stream).poll_write(cx, buf) };
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        *pending = None;
        Poll::Ready(Ok(buf.len()))
    }

    /// Writes a head and its body as they are: a refusal has no body. Without this, the framework copies each body into a buffer
    /// that stays with the connection.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bufs {
            [only] => self.poll_write(cx, only),
            _ => Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn written(answer: &'static str) -> String {
        // One byte at a time: the peer is slow.
        let (near, mut far) = tokio::io::duplex(1);
        let write = tokio::spawn(async move { Worded::new(near).write_all(answer.as_bytes()).await });
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        write.await.unwrap().unwrap();
        read
    }

    #[tokio::test]
    async fn a_refusal_without_a_word_gets_some_and_other_answers_pass() {
        let refused =
            written("HTTP/1.1 431 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        let (head, body) = refused.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(body.starts_with("{\"error\":{\"code\":") && body.contains("200 headers"), "{body}");
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nabcde",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-content-type-options: nosniff\r\n\r\n",
        ] {
            assert_eq!(written(answer).await, answer);
        }
    }
}
