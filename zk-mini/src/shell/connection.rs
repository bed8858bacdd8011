//! A connection's task: bytes in, bytes out, whether over TCP or in memory. The only rules here are those of
//! framing; everything else is the core's.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::report::four_letter::Question;
use crate::shell::chunks::{Chunks, KEPT_CAPACITY};
use crate::shell::engine::{Handled, Seat};
use crate::shell::opening::Opening;
use crate::shell::outbox::{Asked, Close};

/// Bytes that are read at once: little at first, so that an idle connection costs little; twice as much each time
/// that a read has filled it.
const FIRST_READ: usize = 512;
const LARGEST_READ: usize = 64 * 1024;

/// Maximum number of turns that others wait for, if they wait until what the peer has sent is handled: each is of what one
/// read has brought, or of the time that a connection has.
const MOST_TAKES: u32 = 16;

/// After a read that has brought this much others have their turn, however fast it was handled: there may be more at once.
const LARGE_READ: usize = 8 * 1024;

/// Time that a connection that is closing waits for its peer to take what is queued.
const LINGER: Duration = Duration::from_secs(5);

/// Serves a connection until either side ends it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, seat: Seat) {
    let mut task = ConnectionTask {
        stream,
        seat,
        input: BytesMut::new(),
        read_size: FIRST_READ,
        handled: Handled::All,
        asked: Vec::new(),
        takes: 0,
        others_first: false,
        greeted: false,
        output: Chunks::default(),
    };
    loop {
        match poll_fn(|cx| task.poll_progress(cx)).await {
            Progress::Input => {
                if let Some(question) = task.handle_input() {
                    task.seat.engine.answer(&task.seat, question).await;
                }
            }
            Progress::OthersFirst => tokio::task::yield_now().await,
            Progress::Closing(close) => return task.finish(close).await,
            Progress::Lost => return,
        }
    }
}

/// The stream comes before the seat: it is closed when the place is given up.
struct ConnectionTask<S> {
    stream: S,
    seat: Seat,
    /// What has been read and not handled.
    input: BytesMut,
    read_size: usize,
    handled: Handled,
    /// Those who wait until what the peer has sent is handled, and how often something was since somebody waits.
    asked: Vec<Asked>,
    takes: u32,
    /// Others have their turn before more is handled.
    others_first: bool,
    /// The first four bytes have been looked at.
    greeted: bool,
    /// What is being written.
    output: Chunks,
}

enum Progress {
    /// The connection has had its turn.
    OthersFirst,
    /// There is input to handle.
    Input,
    /// The server ends the connection.
    Closing(Close),
    /// The peer has ended it, or half of it.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ConnectionTask<S> {
    /// Writes what is queued, then reads: whoever sends requests and then closes gets what was answered before.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        loop {
            let peer_takes_nothing = match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(_)) => return Poll::Ready(Progress::Lost),
                Poll::Pending => true,
            };
            let (backlog, close) = self.seat.outbox.before_reading(&mut self.asked);
            if close != Close::No {
                self.asked.clear();
                return Poll::Ready(Progress::Closing(close));
            }
            if std::mem::take(&mut self.others_first) {
                return Poll::Ready(Progress::OthersFirst);
            }
            if backlog < self.seat.engine.limits.pause_reading() {
                if self.handled != Handled::All {
                    return Poll::Ready(Progress::Input);
                }
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => {
                        self.seat.engine.dropped();
                        return Poll::Ready(Progress::Lost);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Progress::Lost),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Progress::Input),
                    Poll::Pending => {}
                }
            }
            self.asked.clear();
            if self.seat.outbox.wait(cx.waker(), peer_takes_nothing, Close::No) {
                return Poll::Pending;
            }
        }
    }

    /// Writes until nothing is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.output.has_remaining() {
                self.seat.outbox.take(&mut self.output);
                if self.output.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            match pin!(self.stream.write_buf(&mut self.output)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.seat.outbox.release_barriers();
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

    /// Handles what has arrived; or returns the four-letter word that the connection begins with, after which nothing more
    /// is handled.
    fn handle_input(&mut self) -> Option<Question> {
        self.takes = if self.asked.is_empty() { 0 } else { self.takes + 1 };
        if self.takes > MOST_TAKES {
            self.asked.clear();
        }
        let brought = self.input.len();
        if !self.greeted {
            match Opening::recognise(&self.input, &self.seat.engine.setup.words) {
                Opening::Incomplete => return None,
                Opening::Frame => self.greeted = true,
                Opening::Word(question) => {
                    self.asked.clear();
                    return Some(question);
                }
            }
        }
        match self.seat.engine.handle_frames(&self.seat, &mut self.input) {
            Ok(handled) => {
                self.handled = handled;
                self.others_first = handled == Handled::UntilNextTurn || brought >= LARGE_READ;
            }
            Err(error) => {
                self.seat.engine.refuse_input(&self.seat, error);
            }
        }
        None
    }

    /// Writes what is queued, as far as the way of closing says, and closes.
    async fn finish(mut self, close: Close) {
        if close == Close::Flushed {
            let engine = Arc::clone(&self.seat.engine);
            let flush = poll_fn(|cx| {
                let flushed = self.poll_flush(cx).is_ready();
                let cut_off = !flushed && !self.seat.outbox.wait(cx.waker(), true, close);
                if flushed || cut_off { Poll::Ready(()) } else { Poll::Pending }
            });
            // A peer that does not take it in time loses it.
            let _ = engine.runtime.timeout(LINGER, flush).await;
        }
        let _ = self.stream.shutdown().await;
        // Closing a socket with unread input resets it, and the peer might lose what it has not read yet.
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
