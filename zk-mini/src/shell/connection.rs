//! The task of a connection: bytes in, bytes out, over TCP or in memory. Its only rules are those of framing; all
//! others are the core's.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::report::four_letter::WordRequest;
use crate::shell::chunks::{Chunks, KEPT_CAPACITY};
use crate::shell::engine::{ConnectionGuard, Handled};
use crate::shell::opening::Opening;
use crate::shell::outbox::{Close, InputWaiter};

/// Bytes to read at once: few at first, so that an idle connection costs little; twice as many each time that a read
/// has filled them.
const FIRST_READ: usize = 512;
const LARGEST_READ: usize = 64 * 1024;

/// Maximum number of turns that a waiter waits for the input that has arrived. In each turn one read or one time
/// slice is handled.
const MAX_WAITER_TURNS: u32 = 16;

/// Number of bytes of one read after which other connections have a turn, however fast they were handled: there may
/// be more.
const LARGE_READ: usize = 8 * 1024;

/// Time that a connection that is closing waits for its peer to take the queued bytes.
const LINGER: Duration = Duration::from_secs(5);

/// A stream of bytes to a peer: TCP, or a pipe in this process. A TLS stream would be one more.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

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
        recognised: false,
        output: Chunks::default(),
    };
    loop {
        match poll_fn(|cx| task.poll_progress(cx)).await {
            Progress::Input => {
                if let Some(request) = task.handle_input() {
                    task.guard.engine.answer(&task.guard, request).await;
                }
            }
            Progress::Yield => tokio::task::yield_now().await,
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
    /// True once the protocol is known to be ZooKeeper's.
    recognised: bool,
    /// Bytes that are being written.
    output: Chunks,
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
            let peer_takes_nothing = match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(_)) => return Poll::Ready(Progress::Lost),
                Poll::Pending => true,
            };
            let (backlog, close) = self.guard.outbox.before_reading(&mut self.waiters);
            if close != Close::No {
                self.waiters.clear();
                return Poll::Ready(Progress::Closing(close));
            }
            if std::mem::take(&mut self.yields) {
                return Poll::Ready(Progress::Yield);
            }
            if backlog < self.guard.engine.limits.pause_reading() {
                if self.handled != Handled::All {
                    return Poll::Ready(Progress::Input);
                }
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => {
                        self.guard.engine.dropped();
                        return Poll::Ready(Progress::Lost);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Progress::Lost),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Progress::Input),
                    Poll::Pending => {}
                }
            }
            self.waiters.clear();
            if self.guard.outbox.wait(cx.waker(), peer_takes_nothing, Close::No) {
                return Poll::Pending;
            }
        }
    }

    /// Writes until nothing is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.output.has_remaining() {
                self.guard.outbox.take(&mut self.output);
                if self.output.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            match pin!(self.stream.write_buf(&mut self.output)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.guard.outbox.release_barriers();
                    return Poll::Pending;
                }
            }
        }
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

    /// Handles the input. Returns the four-letter word that the connection begins with, if it does; nothing more is
    /// handled then.
    fn handle_input(&mut self) -> Option<WordRequest> {
        self.waiter_turns = if self.waiters.is_empty() { 0 } else { self.waiter_turns + 1 };
        if self.waiter_turns > MAX_WAITER_TURNS {
            self.waiters.clear();
        }
        let brought = self.input.len();
        if !self.recognised {
            match Opening::recognise(&self.input, &self.guard.engine.setup.words) {
                Opening::Incomplete => return None,
                Opening::Frame => self.recognised = true,
                Opening::FourLetterWord(request) => {
                    self.waiters.clear();
                    return Some(request);
                }
            }
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
        None
    }

    /// Writes what is queued, if `close` says so, and closes.
    async fn finish(mut self, close: Close) {
        if close == Close::Flushed {
            let engine = Arc::clone(&self.guard.engine);
            let flush = poll_fn(|cx| {
                let flushed = self.poll_flush(cx).is_ready();
                let cut_off = !flushed && !self.guard.outbox.wait(cx.waker(), true, close);
                if flushed || cut_off { Poll::Ready(()) } else { Poll::Pending }
            });
            // A peer that does not take it in time loses it.
            let _ = engine.runtime.timeout(LINGER, flush).await;
        }
        let _ = self.stream.shutdown().await;
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
