//! The task of a connection: bytes in, bytes out, over TCP or in memory. Its only rules are those of framing; all
//! others are the core's.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::shell::chunks::{Chunks, KEPT_CAPACITY};
use crate::shell::engine::ConnectionGuard;
use crate::shell::frames::Handled;
use crate::shell::http::{HttpConnection, HttpStream, Stream};
use crate::shell::opening::Opening;
use crate::shell::outbox::{Close, InputWaiter};
#[cfg(feature = "tls")]
use crate::shell::security::Security;
use crate::shell::turned_away;

/// Bytes to read at once: few at first, so that an idle connection costs little; doubled whenever a read fills them.
const FIRST_READ: usize = 512;
const LARGEST_READ: usize = 64 * 1024;

/// Maximum number of turns that a waiter for arrived input waits. Each turn handles one read or one time slice.
const MAX_WAITER_TURNS: u32 = 16;

/// Length of a read after which other connections have a turn: more input has probably arrived.
const LARGE_READ: usize = 8 * 1024;

/// Time for the peer of a closing connection to take the queued bytes.
const LINGER: Duration = Duration::from_secs(5);

/// Serves a connection in a task of its own.
pub(crate) fn spawn(stream: impl Stream, guard: ConnectionGuard) {
    let runtime = guard.engine.runtime.clone();
    runtime.spawn(serve(stream, guard));
}

/// Serves a connection until either side ends it.
async fn serve(stream: impl Stream, guard: ConnectionGuard) {
    let mut task = ConnectionTask {
        stream,
        guard,
        input: BytesMut::new(),
        read_size: FIRST_READ,
        handled: Handled::All,
        waiters: Vec::new(),
        waiter_turns: 0,
        yields: false,
        opening: Opening::Incomplete,
        output: Chunks::default(),
        is_flushed: true,
    };
    loop {
        match poll_fn(|cx| task.poll_progress(cx)).await {
            Progress::Input => match task.handle_input() {
                Opening::FourLetterWord(request) => task.guard.engine.answer(&task.guard, request).await,
                Opening::Http => return task.hand_over(),
                Opening::Tls => return task.secure().await,
                Opening::NoTls => return task.guard.engine.refuse_plain(&task.guard),
                Opening::Incomplete | Opening::Frame => {}
            },
            Progress::Yield => tokio::task::yield_now().await,
            Progress::Closing(_) if task.may_be_http() => return task.turn_away().await,
            Progress::Closing(close) => return task.finish(close).await,
            Progress::Lost => return,
        }
    }
}

/// State of the task. The stream stands before the guard, so that it is closed before the connection is removed.
struct ConnectionTask<S> {
    stream: S,
    guard: ConnectionGuard,
    /// Bytes that have been read and not handled.
    input: BytesMut,
    read_size: usize,
    handled: Handled,
    /// Waiters for the input that has arrived, and the number of turns since there is one.
    waiters: Vec<InputWaiter>,
    waiter_turns: u32,
    /// True if other connections are to have a turn before more is handled.
    yields: bool,
    /// Protocol, as far as it is known.
    opening: Opening,
    /// Bytes that are being written.
    output: Chunks,
    /// False while the stream may hold bytes in a buffer of its own.
    is_flushed: bool,
}

/// State of the outbox when a task has written.
struct Written {
    /// Nothing is queued any more; otherwise the peer takes no more.
    is_all: bool,
    backlog: usize,
    close: Close,
}

enum Progress {
    /// Other connections are to have a turn.
    Yield,
    /// There is input to handle.
    Input,
    /// The server closes the connection.
    Closing(Close),
    /// The peer has closed the connection, or half of it.
    Lost,
}

impl<S: Stream> ConnectionTask<S> {
    /// Writes, then reads: a client that sends requests and then closes gets the replies to those before.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        loop {
            let Ok(Written { is_all, backlog, close }) = self.write(cx) else {
                return Poll::Ready(Progress::Lost);
            };
            if close != Close::No {
                self.waiters.clear();
                return Poll::Ready(Progress::Closing(close));
            }
            if std::mem::take(&mut self.yields) {
                return Poll::Ready(Progress::Yield);
            }
            let limit = self.guard.engine.limits.pause_reading();
            let reads = backlog < limit || self.may_be_http();
            if reads {
                if self.handled != Handled::All {
                    return Poll::Ready(Progress::Input);
                }
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => {
                        self.guard.engine.dropped(&self.guard);
                        return Poll::Ready(Progress::Lost);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Progress::Lost),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Progress::Input),
                    Poll::Pending => {}
                }
            }
            self.waiters.clear();
            if self.guard.outbox.wait(cx.waker(), !is_all, Close::No, (!reads).then_some(limit)) {
                return Poll::Pending;
            }
        }
    }

    /// Writes until nothing is queued, or the peer takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<Written> {
        loop {
            let Poll::Ready(written) = self.poll_write_batch(cx) else {
                self.guard.outbox.release_barriers();
                let (backlog, close) = self.guard.outbox.before_reading(&mut self.waiters);
                return Ok(Written { is_all: false, backlog, close });
            };
            written?;
            // This reports the batch as written.
            let (backlog, close) = self.guard.outbox.take(&mut self.output, &mut self.waiters);
            if self.output.is_empty() {
                return Ok(Written { is_all: true, backlog, close });
            }
            self.is_flushed = false;
        }
    }

    /// Writes the rest of a batch, and flushes it: a stream such as TLS may have a buffer of its own.
    fn poll_write_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output.has_remaining() {
            if ready!(pin!(self.stream.write_buf(&mut self.output)).poll(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.read_size);
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        if read.is_pending() && self.input.is_empty() && self.input.capacity() > KEPT_CAPACITY {
            self.input = BytesMut::new();
        } else if self.input.len() == self.input.capacity() {
            self.read_size = LARGEST_READ.min(2 * self.read_size);
        }
        read
    }

    /// Returns true if the first bytes are still missing, and may be HTTP's: these are read even if the connection is frozen,
    /// or to be closed.
    fn may_be_http(&self) -> bool {
        self.opening == Opening::Incomplete
            && self.input.len() < Opening::LEN
            && self.guard.engine.setup.http.is_some()
            && self.guard.security.takes_plain()
    }

    /// Handles the input, and returns the protocol. Only frames of ZooKeeper's protocol are handled here.
    fn handle_input(&mut self) -> Opening {
        self.waiter_turns = if self.waiters.is_empty() { 0 } else { self.waiter_turns + 1 };
        if self.waiter_turns > MAX_WAITER_TURNS {
            self.waiters.clear();
        }
        let brought = self.input.len();
        let setup = &self.guard.engine.setup;
        if self.opening == Opening::Incomplete {
            let security = self.guard.security;
            self.opening = Opening::recognise(&self.input, &setup.words, setup.http.is_some(), security);
            match self.opening {
                Opening::Incomplete | Opening::Http | Opening::Tls | Opening::NoTls => return self.opening,
                Opening::Frame | Opening::FourLetterWord(_) if self.guard.outbox.is_paused() => {
                    // A frozen connection goes on when it is thawed.
                    self.handled = Handled::UntilNextTurn;
                    self.waiters.clear();
                    return Opening::Incomplete;
                }
                Opening::Frame | Opening::FourLetterWord(_) => {}
            }
        }
        if self.opening != Opening::Frame {
            self.waiters.clear();
            return self.opening;
        }
        match self.guard.engine.handle_frames(&self.guard, &mut self.input) {
            Ok(handled) => {
                self.handled = handled;
                self.yields = handled == Handled::UntilNextTurn || brought >= LARGE_READ;
            }
            Err(error) => {
                self.guard.engine.refuse_input(&self.guard, error);
            }
        }
        self.opening
    }

    /// Performs the TLS handshake, and serves what is inside. The server counts it as the same connection.
    #[cfg(feature = "tls")]
    async fn secure(self) {
        let Self { stream, mut guard, input, .. } = self;
        let stream = HttpStream::new(input, stream);
        if let Some(stream) = crate::shell::tls::shake_hands(stream, &guard).await {
            guard.security = Security::Plain;
            spawn(stream, guard);
        }
    }

    /// Drops the connection: there is no TLS in this build, and no address takes it.
    #[cfg(not(feature = "tls"))]
    async fn secure(self) {}

    /// Hands the connection to the function that serves HTTP. The server forgets it first.
    fn hand_over(self) {
        let Self { stream, guard, input, .. } = self;
        let (engine, peer, listener) = (Arc::clone(&guard.engine), guard.remote, guard.listener);
        drop(guard);
        engine.hand_over(HttpConnection { stream: HttpStream::new(input, stream), peer, listener });
    }

    /// Closes a connection whose protocol is not known yet, unless it turns out to be HTTP. The server forgets it first.
    async fn turn_away(self) {
        let Self { stream, guard, input, .. } = self;
        let (engine, from) = (Arc::clone(&guard.engine), (guard.remote, guard.listener));
        drop(guard);
        if let Err(mut stream) = turned_away::serve_if_http(&engine, stream, input, from).await {
            let _ = stream.shutdown().await;
        }
    }

    /// Writes what is queued, if `close` says so, and closes.
    async fn finish(mut self, close: Close) {
        if close == Close::Flushed {
            let engine = Arc::clone(&self.guard.engine);
            let write = poll_fn(|cx| {
                let written = self.write(cx).map_or(true, |written| written.is_all);
                let cut_off = !written && !self.guard.outbox.wait(cx.waker(), true, close, None);
                if written || cut_off { Poll::Ready(()) } else { Poll::Pending }
            });
            // A peer that is too slow loses the rest.
            let _ = engine.runtime.timeout(LINGER, write).await;
        }
        // Once: TLS has a last message, and a peer that takes nothing is not waited for.
        poll_fn(|cx| {
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
        // Closing a socket with unread input resets it, and the peer might lose bytes that it has not read yet.
        poll_fn(|cx| {
            self.input.clear();
            while let Poll::Ready(Ok(1..)) = self.poll_read(cx) {
                self.input.clear();
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncWrite, BufStream};
    use zk_wire::{ConnectRequest, Encode, OpCode, RequestHeader, SessionId, Xid, Zxid};

    use super::*;
    use crate::ZkMini;
    use crate::shell::came::Came;

    #[tokio::test]
    async fn replies_leave_the_buffer_of_a_stream_that_has_one() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let (mut client, server) = tokio::io::duplex(1024);
        spawn(BufStream::new(server), zk.engine.admit(None, Came::Anywhere).unwrap());
        let handshake = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout: 10_000,
            session_id: SessionId::NONE,
            password: None,
            read_only: None,
        };
        assert_eq!(exchange(&mut client, &handshake).await.len(), 36);
        for _ in 0..3 {
            let ping = RequestHeader { xid: Xid::PING, op: OpCode::PING };
            let reply = exchange(&mut client, &ping).await;
            assert_eq!(reply.first_chunk(), Some(&Xid::PING.0.to_be_bytes()));
        }
        let close = RequestHeader { xid: Xid(1), op: OpCode::CLOSE_SESSION };
        assert_eq!(exchange(&mut client, &close).await.len(), 16);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the last reply comes before the end");
    }

    /// Sends a frame, and returns the next one.
    async fn exchange(client: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &impl Encode) -> Vec<u8> {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        client.write_u32(u32::try_from(body.len()).unwrap()).await.unwrap();
        client.write_all(&body).await.unwrap();
        let reply = async {
            let len = client.read_u32().await.unwrap();
            let mut reply = vec![0; usize::try_from(len).unwrap()];
            client.read_exact(&mut reply).await.unwrap();
            reply
        };
        tokio::time::timeout(Duration::from_secs(20), reply).await.expect("a reply in time")
    }
}
