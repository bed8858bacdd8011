//! Task of one connection: moves bytes between transport and session, and runs the calls that the session starts.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use common::log::quietly;
use common::{Identity, Millis};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::call_task::{CallStarter, CallTask, Started};
use crate::clock;
use crate::context::ConnectionInfo;
use crate::peers::Seat;
use crate::session::{Delivery, End, Input, Output, Progress, Session, Turn};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;
use crate::spare;

/// Number of bytes to ask of the transport at a time.
const READ_CHUNK: usize = 16 << 10;

/// Maximum number of bytes to copy from the spare buffer; with more, the connection gets the buffer itself.
const MOST_COPIED: usize = 2 << 10;

thread_local! {
    /// Buffer for the next read of a connection without one.
    static SPARE: Cell<BytesMut> = Cell::default();
}

/// Time budget of a turn of calls; after it the task yields to other connections, timers and the registry.
const TURN: Duration = Duration::from_millis(1);

/// Delay of a timer that tells of a runtime, or a machine, that did not run.
const STALL: Millis = Millis(100);

/// Connection with its session.
pub(crate) struct ConnectionTask<S> {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    peer: SocketAddr,
    starter: CallStarter,
    stream: S,
    session: Session<CallTask>,
    reply_queue: Arc<SharedReplyQueue>,
    /// Batch that is being written, and the length of the part that the transport has taken.
    writing: Vec<u8>,
    written: usize,
    /// The transport has to be closed for writing.
    is_shutting_down: bool,
    /// Last reading of the clock, in the units of the runtime and of the session.
    now: Instant,
    time: Millis,
    /// Time that the calls of the current turn took.
    turn_took: Duration,
    /// The last turn exceeded its budget: the next one waits until other connections had theirs.
    is_slow: bool,
    end: Option<End>,
}

/// Client whose connection was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) identity: Option<Box<Identity>>,
    /// Time at which it was accepted.
    pub(crate) at: Instant,
}

/// Events that neither the transport nor the session shows.
#[derive(Default)]
struct Woken {
    /// The connection may take a turn.
    turn: Option<TurnPermit>,
    /// This time, to which the timer was set, has come.
    rang: Option<Millis>,
}

type TurnPermit = Option<OwnedSemaphorePermit>;
type TurnFuture = Pin<Box<dyn Future<Output = TurnPermit> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin> ConnectionTask<S> {
    /// Begins to serve a client that was accepted at `now`.
    pub(crate) fn new(shared: Arc<Shared>, seat: Seat, stream: S, client: Accepted) -> Self {
        let seat = Arc::new(seat);
        let reply_queue = Arc::new(SharedReplyQueue::new(Arc::clone(&seat), &shared.session.limits));
        shared.session.metrics.opened.increment();
        let Accepted { peer, identity, at: now } = client;
        let time = shared.clock.at(now);
        let config = Arc::clone(&shared.session);
        Self {
            session: Session::new(Arc::clone(&shared.session), time).aging(|| seat.chance()),
            starter: CallStarter {
                shared: Arc::clone(&shared),
                seat: Arc::clone(&seat),
                reply_queue: Arc::clone(&reply_queue),
                connection: Arc::new(ConnectionInfo {
                    config,
                    peer,
                    identity,
                    expose_internal_errors: shared.expose_internal_errors,
                }),
                spare: None,
            },
            shared,
            seat,
            peer,
            stream,
            reply_queue,
            writing: Vec::new(),
            written: 0,
            is_shutting_down: false,
            now,
            time,
            turn_took: Duration::ZERO,
            is_slow: false,
            end: None,
        }
    }

    /// Serves until the session ends.
    pub(crate) async fn run(&mut self) -> End {
        let seat = Arc::clone(&self.seat);
        let mut seat_woken = pin!(seat.woken());
        let mut timer = pin!(sleep_until(self.now));
        let mut armed: Option<Millis> = None;
        let mut turn: Option<TurnFuture> = None;
        let mut permit = None;
        loop {
            // The clock decides: a client that never pauses keeps the timer, which is polled last, from firing.
            let woken = Woken { turn: permit.take(), rang: armed.take_if(|armed| *armed <= self.time) };
            poll_fn(|cx| {
                self.work(cx, &woken);
                Poll::Ready(())
            })
            .await;
            drop(woken);
            if let Some(end) = self.end.take() {
                return end;
            }
            if turn.is_none() && self.session.wants_turn() {
                turn = Some(Box::pin(take_turn(Arc::clone(&self.shared.turns))));
            }
            // Deadlines mostly move on: the timer is set only if the next one is earlier.
            let due = self.session.poll_deadline().filter(|due| armed.is_none_or(|armed| *due < armed));
            if let Some((due, at)) = due.and_then(|due| Some((due, self.shared.clock.instant(due)?))) {
                timer.as_mut().reset(at);
                armed = Some(due);
            }
            tokio::select! {
                // Bytes are the most common event, and the branches behind them are not polled when they arrive.
                biased;
                got = poll_fn(|cx| poll_turn(&mut turn, cx)) => (permit, turn) = (Some(got), None),
                () = poll_fn(|cx| self.poll_io(cx)) => {}
                () = &mut seat_woken => seat_woken.set(seat.woken()),
                () = &mut timer, if armed.is_some() => self.read_clock(),
            }
        }
    }

    /// Handles events, runs calls and writes.
    fn work(&mut self, cx: &mut Context<'_>, woken: &Woken) {
        if woken.turn.is_some() || woken.rang.is_some() {
            // Received bytes may cancel a call, or be the ones that a timeout waits for.
            while self.session.wants_bytes() && self.poll_read(cx).is_ready() {}
        }
        if woken.turn.is_some() {
            self.run_calls(cx);
        }
        if self.seat.is_draining() && !self.session.is_draining() {
            // Last reports of health are in the queue, and come before the GOAWAY.
            self.write_replies(cx);
            self.handle(cx, Input::Drain);
        }
        if let Some(armed) = woken.rang {
            self.write_replies(cx);
            self.read_clock();
            let late = self.time.since(armed);
            if late > STALL {
                self.handle(cx, Input::Stalled(late));
            }
            self.handle(cx, Input::Timeout);
        }
        // Requests may arrive together with the hello.
        if !self.is_slow || self.session.is_draining() {
            self.run_calls(cx);
        }
        self.write_replies(cx);
        if self.seat.evicted() {
            self.handle(cx, Input::Evicted);
            self.write_replies(cx);
        }
    }

    /// Runs the waiting calls, within the time budget of a turn.
    fn run_calls(&mut self, cx: &mut Context<'_>) {
        if self.session.wants_turn() {
            self.read_clock();
            self.turn_took = Duration::ZERO;
            self.handle(cx, Input::Turn(self.turn()));
            self.is_slow = self.turn_took > TURN;
        }
    }

    fn turn(&self) -> Turn {
        Turn { full: self.seat.full() }
    }

    /// Passes an input to the session and performs the outputs.
    fn handle(&mut self, cx: &mut Context<'_>, input: Input<CallTask>) {
        self.session.handle(self.time, input);
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Start(start) => {
                    let method = start.method;
                    self.shared.session.metrics.method(method.index()).start();
                    let before = self.now;
                    let kind = self.shared.session.methods.kind(method);
                    let has_to_wait = self.seat.has_to_wait(kind);
                    let started = if has_to_wait {
                        self.starter.start_later(start, before)
                    } else {
                        self.starter.start(start, before, cx)
                    };
                    self.read_clock();
                    let took = self.now.duration_since(before);
                    if !has_to_wait {
                        self.shared.session.methods.took(method, took);
                    }
                    let task = match started {
                        Started::Continues(task) => Some(task),
                        Started::Ended(code) => {
                            self.shared.session.metrics.method(method.index()).end(code.0, took);
                            None
                        }
                    };
                    self.turn_took += took;
                    let turn = (self.turn_took <= TURN).then(|| self.turn());
                    self.session.handle(self.time, Input::Returned { task, turn });
                }
                Output::Messages(Delivery { task, messages }) => {
                    if let Some(run) = messages {
                        let series = self.shared.session.metrics.method(task.method().index());
                        series.received.add(run.count as u64);
                    }
                    task.deliver(messages);
                    let turn = (self.turn_took <= TURN).then(|| self.turn());
                    self.session.handle(self.time, Input::Delivered { turn });
                }
                Output::Sent { id, bytes } => self.reply_queue.note_sent(id, bytes),
                Output::Abort { task, code } => {
                    let id = task.id;
                    task.abort(code);
                    self.reply_queue.forget(id);
                }
                Output::Retire => {
                    if let Some(retirement) = &self.shared.retirement {
                        retirement.fall_due();
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

    /// Completes when bytes have been read or written.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut done = self.session.wants_bytes() && self.poll_read(cx).is_ready();
        if !self.writing.is_empty() {
            let before = self.written;
            done |= self.write(cx) || self.written != before;
        }
        done |= self.end.is_some();
        done |= self.is_shutting_down && self.poll_shutdown(cx).is_ready();
        if done { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads bytes and passes them to the session.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(poll_read_some(&mut self.stream, self.session.read_buffer(), cx)) {
            Ok(0) => self.lose(cx, &io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.shared.session.metrics.received.add(read as u64);
                self.read_clock();
                self.handle(cx, Input::Received);
            }
            Err(error) => self.lose(cx, &error),
        }
        Poll::Ready(())
    }

    /// Writes waiting replies, as many as the transport takes now.
    fn write_replies(&mut self, cx: &mut Context<'_>) {
        let replies = self.reply_queue.take();
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
        let waiting = self.reply_queue.note_progress(Progress {
            unsent: self.session.unsent_replies(),
            limit: self.session.reply_bytes(),
            written: self.session.written(),
        });
        self.seat.holds(self.session.held() + self.writing.capacity() + waiting);
        self.seat.idle_since(self.session.idle_since());
    }

    /// Writes the rest of a batch. Returns false if the transport does not take, or does not send, all of it now.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let reported = self.reported();
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
        let is_done = match self.poll_sent(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.lose(cx, &error);
                return false;
            }
            Poll::Pending => false,
        };
        let wrote = if is_done { self.writing.len() } else { self.reported() } - reported;
        self.shared.session.metrics.sent.add(wrote as u64);
        if is_done {
            spare::give_back(mem::take(&mut self.writing));
            self.written = 0;
        } else {
            self.read_clock();
        }
        self.handle(cx, Input::Wrote(wrote));
        is_done
    }

    /// Returns the number of bytes of a batch that the session takes for written before the batch is sent. The last one is not
    /// among them: a transport that buffers, such as TLS, has taken what its client may never read.
    fn reported(&self) -> usize {
        self.written.min(self.writing.len().saturating_sub(1))
    }

    /// Completes when the transport has taken the whole batch and sent what it buffers. Costs nothing with TCP.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.written < self.writing.len() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.is_shutting_down = false;
        if let Err(error) = result {
            self.lose(cx, &error);
        }
        Poll::Ready(())
    }

    /// Ends the session after a failure of the transport, or its end.
    fn lose(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        (self.writing, self.written) = (Vec::new(), 0);
        self.handle(cx, Input::Closed);
        if self.end == Some(End::Lost) {
            quietly(|| tracing::debug!(peer = %self.peer, %error, "connection ended"));
        }
    }
}

impl<S> Drop for ConnectionTask<S> {
    fn drop(&mut self) {
        self.shared.session.metrics.closed.increment();
    }
}

/// Reads bytes and appends them to the buffer. The buffer grows with the received bytes, not with the announced length of a
/// frame, and an idle connection has none.
fn poll_read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // A large buffer stays in use until it is empty.
    if buffer.len() >= READ_CHUNK || (buffer.capacity() > 0 && buffer.try_reclaim(READ_CHUNK / 2)) {
        buffer.reserve(READ_CHUNK);
        return pin!(stream.read_buf(buffer)).poll(cx);
    }
    let mut spare = SPARE.take();
    spare.reserve(READ_CHUNK);
    let read = pin!(stream.read_buf(&mut spare)).poll(cx);
    if buffer.is_empty() && spare.len() > MOST_COPIED {
        mem::swap(buffer, &mut spare);
    } else {
        buffer.extend_from_slice(&spare);
        spare.clear();
    }
    SPARE.set(spare);
    read
}

fn poll_turn(turn: &mut Option<TurnFuture>, cx: &mut Context<'_>) -> Poll<TurnPermit> {
    turn.as_mut().map_or(Poll::Pending, |turn| turn.as_mut().poll(cx))
}

/// Waits for a turn after one that exceeded its budget. Between two such turns all connections read, so that they know the
/// times of arrival.
async fn take_turn(turns: Arc<Semaphore>) -> TurnPermit {
    // The semaphore is never closed.
    let permit = turns.acquire_owned().await.ok();
    // The runtime polls its sockets when all tasks have yielded.
    yield_now().await;
    permit
}
