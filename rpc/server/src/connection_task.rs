//! The task of one connection: moves bytes between the transport and the session, and runs what the session starts.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use common::Millis;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::call_task::{CallStarter, CallTask};
use crate::clock;
use crate::log::say;
use crate::outbox::Outbox;
use crate::peers::Seat;
use crate::session::{End, Input, Output, Session, Turn};
use crate::shared::Shared;

/// Maximum number of bytes that are asked of the transport at a time.
const READ_CHUNK: usize = 16 << 10;

/// Time budget for the calls of one read; after it the task yields to other connections, timers and the registry.
const TURN: Duration = Duration::from_millis(1);

/// A timer that is so late tells of a runtime, or a machine, that stood still.
const STALL: Millis = Millis(100);

/// A connection and the calls that run for it.
pub(crate) struct ConnectionTask<S> {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    peer: SocketAddr,
    starter: CallStarter,
    stream: S,
    session: Session<CallTask>,
    outbox: Arc<Outbox>,
    /// Bytes that are being written, and how many of them have been.
    writing: Vec<u8>,
    written: usize,
    /// The transport is to be closed for writing.
    is_shutting_down: bool,
    /// The last reading of the clock, for the runtime and for the session.
    now: Instant,
    time: Millis,
    /// Begin of the turn in which calls run.
    turn_began: Instant,
    /// The calls of the last turn took long: the next ones wait for their turn among those of others.
    is_slow: bool,
    end: Option<End>,
}

/// Events that the transport and the session do not show themselves.
#[derive(Default)]
struct Woken {
    /// It is this connection's turn to run calls.
    turn: Option<TurnPermit>,
    /// The server drains.
    drain: bool,
    /// The timer that was set to this time has rung.
    rang: Option<Millis>,
}

type TurnPermit = Option<OwnedSemaphorePermit>;
type TurnFuture = Pin<Box<dyn Future<Output = TurnPermit> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin> ConnectionTask<S> {
    pub(crate) fn new(shared: Arc<Shared>, seat: Seat, stream: S, peer: SocketAddr) -> Self {
        let seat = Arc::new(seat);
        let outbox = Arc::new(Outbox::new(Arc::clone(&seat), shared.session.limits.reply_bytes));
        let now = clock::now();
        let time = shared.clock.at(now);
        Self {
            session: Session::new(Arc::clone(&shared.session), time),
            starter: CallStarter {
                shared: Arc::clone(&shared),
                seat: Arc::clone(&seat),
                outbox: Arc::clone(&outbox),
                peer,
            },
            shared,
            seat,
            peer,
            stream,
            outbox,
            writing: Vec::new(),
            written: 0,
            is_shutting_down: false,
            now,
            time,
            turn_began: now,
            is_slow: false,
            end: None,
        }
    }

    /// Serves until the session ends.
    pub(crate) async fn run(mut self, mut drain: watch::Receiver<bool>) -> End {
        let seat = Arc::clone(&self.seat);
        let mut timer = pin!(sleep_until(self.now));
        let mut armed: Option<Millis> = None;
        let mut turn: Option<TurnFuture> = None;
        let mut woken = Woken::default();
        loop {
            poll_fn(|cx| {
                self.work(cx, &woken);
                Poll::Ready(())
            })
            .await;
            woken = Woken::default();
            if let Some(end) = self.end.take() {
                return end;
            }
            if turn.is_none() && self.session.wants_turn() {
                turn = Some(Box::pin(take_turn(Arc::clone(&self.shared.turns))));
            }
            // Most of what is due is due later than what was: one timer, seldom set, does for all.
            let due = self.session.poll_deadline().filter(|due| armed.is_none_or(|armed| *due < armed));
            if let Some((due, at)) = due.and_then(|due| Some((due, self.shared.clock.instant(due)?))) {
                timer.as_mut().reset(at);
                armed = Some(due);
            }
            let is_draining = self.session.is_draining();
            tokio::select! {
                () = poll_fn(|cx| self.poll_io(cx)) => {}
                () = seat.woken() => {}
                permit = poll_fn(|cx| poll_turn(&mut turn, cx)) => (woken.turn, turn) = (Some(permit), None),
                // A server that is gone drains too.
                _ = drain.wait_for(|&drain| drain), if !is_draining => woken.drain = true,
                () = &mut timer, if armed.is_some() => woken.rang = armed.take(),
            }
        }
    }

    /// Does everything that can be done now.
    fn work(&mut self, cx: &mut Context<'_>, woken: &Woken) {
        if woken.turn.is_some() || woken.rang.is_some() {
            // What has come is to be known before a call starts or patience ends.
            while self.session.wants_bytes() && self.poll_read(cx).is_ready() {}
        }
        if woken.turn.is_some() {
            self.run_calls(cx);
        }
        if woken.drain {
            self.handle(cx, Input::Drain);
        }
        if let Some(armed) = woken.rang {
            self.flush(cx);
            self.read_clock();
            let late = self.time.since(armed);
            if late > STALL {
                self.handle(cx, Input::Stalled(late));
            }
            self.handle(cx, Input::Timeout);
        }
        // Before the first read too: requests may come right behind the hello.
        if !self.is_slow || self.session.is_draining() {
            self.run_calls(cx);
        }
        self.flush(cx);
        if self.seat.evicted() {
            self.handle(cx, Input::Evicted);
            self.flush(cx);
        }
    }

    /// Runs the calls that have arrived, or as many as there is time for.
    fn run_calls(&mut self, cx: &mut Context<'_>) {
        if self.session.wants_turn() {
            self.read_clock();
            self.turn_began = self.now;
            self.handle(cx, Input::Turn(self.turn()));
            self.is_slow = self.now.duration_since(self.turn_began) > TURN;
        }
    }

    fn turn(&self) -> Turn {
        Turn { full: self.seat.full() }
    }

    /// Gives the session an input and performs what comes of it.
    fn handle(&mut self, cx: &mut Context<'_>, input: Input<CallTask>) {
        self.session.handle(self.time, input);
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Start(start) => {
                    let method = start.method;
                    let task = self.starter.start(start, cx);
                    let before = self.now;
                    self.read_clock();
                    self.shared.session.methods.took(method, self.now.duration_since(before));
                    let in_time = self.now.duration_since(self.turn_began) <= TURN;
                    let turn = in_time.then(|| self.turn());
                    self.session.handle(self.time, Input::Returned { task, turn });
                }
                Output::Abort(task) => drop(task),
                Output::Retire => {
                    if let Some(quota) = &self.shared.quota {
                        quota.use_up();
                    }
                }
                Output::ShutDown => self.is_shutting_down = true,
                Output::Close(end) => self.end = Some(end),
            }
        }
    }

    fn read_clock(&mut self) {
        self.now = clock::now();
        self.time = self.shared.clock.at(self.now);
    }

    /// Waits until something has been read or written, as far as either is wanted.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut done = self.session.wants_bytes() && self.poll_read(cx).is_ready();
        if !self.writing.is_empty() {
            let before = self.written;
            done |= self.write(cx) || self.written != before || self.end.is_some();
        }
        done |= self.is_shutting_down && self.poll_shutdown(cx).is_ready();
        if done { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for bytes and gives them to the session.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(poll_read_some(&mut self.stream, self.session.read_buffer(), cx)) {
            Ok(0) => self.lose(cx, &io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                self.read_clock();
                self.handle(cx, Input::Received);
            }
            Err(error) => self.lose(cx, &error),
        }
        Poll::Ready(())
    }

    /// Writes what there is, as much as the transport takes now.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let replies = self.outbox.take();
        if !replies.is_empty() {
            self.read_clock();
            self.handle(cx, Input::Replies(replies));
        }
        loop {
            if self.writing.is_empty() {
                let Some(batch) = self.session.transmit() else { break };
                self.writing = batch;
            }
            if !self.write(cx) {
                break;
            }
        }
        if self.is_shutting_down {
            let _ = self.poll_shutdown(cx);
        }
        let waiting = self.outbox.note_unsent(self.session.unsent());
        self.seat.holds(self.session.held() + self.writing.capacity() + waiting);
        self.seat.idle_since(self.session.idle_since());
    }

    /// Writes the rest of a batch; false if the transport does not take all of it now.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.written;
        while self.written < self.writing.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]) {
                Poll::Ready(Ok(0)) => {
                    self.lose(cx, &io::ErrorKind::WriteZero.into());
                    return false;
                }
                Poll::Ready(Ok(written)) => self.written += written,
                Poll::Ready(Err(error)) => {
                    self.lose(cx, &error);
                    return false;
                }
                Poll::Pending => break,
            }
        }
        let wrote = self.written - before;
        let is_done = self.written == self.writing.len();
        if is_done {
            (self.writing, self.written) = (Vec::new(), 0);
        } else {
            self.read_clock();
        }
        self.handle(cx, Input::Wrote(wrote));
        is_done
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.is_shutting_down = false;
        if let Err(error) = result {
            self.lose(cx, &error);
        }
        Poll::Ready(())
    }

    /// Ends the session of a transport that has failed, or that the client has closed.
    fn lose(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        (self.writing, self.written) = (Vec::new(), 0);
        self.handle(cx, Input::Closed);
        if self.end == Some(End::Lost) {
            say(|| tracing::debug!(peer = %self.peer, %error, "connection ended"));
        }
    }
}

/// Waits for bytes and appends them to the buffer, which grows with what has come, whatever length a frame has announced:
/// an idle connection has none.
fn poll_read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.capacity() - buffer.len() >= READ_CHUNK {
        return pin!(stream.read_buf(buffer)).poll(cx);
    }
    let mut chunk = [MaybeUninit::uninit(); READ_CHUNK];
    let mut chunk = ReadBuf::uninit(&mut chunk);
    ready!(Pin::new(stream).poll_read(cx, &mut chunk))?;
    buffer.extend_from_slice(chunk.filled());
    Poll::Ready(Ok(chunk.filled().len()))
}

fn poll_turn(turn: &mut Option<TurnFuture>, cx: &mut Context<'_>) -> Poll<TurnPermit> {
    turn.as_mut().map_or(Poll::Pending, |turn| turn.as_mut().poll(cx))
}

/// Waits for a turn to handle more calls after some that took long, so that between any two of them all connections read
/// what has come, and know when.
async fn take_turn(turns: Arc<Semaphore>) -> TurnPermit {
    // Nobody closes it.
    let permit = turns.acquire_owned().await.ok();
    // The runtime looks at its sockets when everybody has yielded.
    yield_now().await;
    permit
}
