//! Task of one connection: moves bytes between transport and session, and runs the calls that the session starts.

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
use common::Millis;
use common::log::quietly;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::call_task::{CallStarter, CallTask};
use crate::clock;
use crate::peers::Seat;
use crate::session::{End, Input, Output, Session, Turn};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;

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
    /// Batch that is being written, and the length of its written part.
    writing: Vec<u8>,
    written: usize,
    /// The transport may hold written bytes back, because it buffers.
    is_dirty: bool,
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
    pub(crate) fn new(shared: Arc<Shared>, seat: Seat, stream: S, peer: SocketAddr) -> Self {
        let seat = Arc::new(seat);
        let reply_queue =
            Arc::new(SharedReplyQueue::new(Arc::clone(&seat), shared.session.limits.reply_bytes));
        let now = clock::now();
        let time = shared.clock.at(now);
        Self {
            session: Session::new(Arc::clone(&shared.session), time),
            starter: CallStarter {
                shared: Arc::clone(&shared),
                seat: Arc::clone(&seat),
                reply_queue: Arc::clone(&reply_queue),
                peer,
            },
            shared,
            seat,
            peer,
            stream,
            reply_queue,
            writing: Vec::new(),
            written: 0,
            is_dirty: false,
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
                    let task = self.starter.start(start, cx);
                    let before = self.now;
                    self.read_clock();
                    let took = self.now.duration_since(before);
                    self.shared.session.methods.took(method, took);
                    self.turn_took += took;
                    let turn = (self.turn_took <= TURN).then(|| self.turn());
                    self.session.handle(self.time, Input::Returned { task, turn });
                }
                Output::Abort(task) => {
                    let id = task.id;
                    drop(task);
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
        self.flush_transport(cx);
        done |= self.end.is_some();
        done |= self.is_shutting_down && self.poll_shutdown(cx).is_ready();
        if done { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads bytes and passes them to the session.
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
        self.flush_transport(cx);
        if self.is_shutting_down {
            let _ = self.poll_shutdown(cx);
        }
        let waiting = self.reply_queue.note_unsent(self.session.unsent());
        self.seat.holds(self.session.held() + self.writing.capacity() + waiting);
        self.seat.idle_since(self.session.idle_since());
    }

    /// Writes the rest of a batch. Returns false if the transport does not take all of it now.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.written;
        while self.written < self.writing.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]) {
                Poll::Ready(Ok(0)) => {
                    self.lose(cx, &io::ErrorKind::WriteZero.into());
                    return false;
                }
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    self.is_dirty = true;
                }
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

    /// Sends the bytes that the transport buffers, once a whole batch is written. Costs nothing with TCP.
    fn flush_transport(&mut self, cx: &mut Context<'_>) {
        if self.is_dirty
            && self.writing.is_empty()
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            self.is_dirty = false;
            if let Err(error) = flushed {
                self.lose(cx, &error);
            }
        }
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
        (self.writing, self.written, self.is_dirty) = (Vec::new(), 0, false);
        self.handle(cx, Input::Closed);
        if self.end == Some(End::Lost) {
            quietly(|| tracing::debug!(peer = %self.peer, %error, "connection ended"));
        }
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};

    use common::Clock;
    use rpc_wire::{CallId, Format, Frame, Hello, Reply, Request, VERSION, split_frame};
    use tokio::io::{AsyncWriteExt, BufWriter, DuplexStream, ReadBuf, duplex};
    use tokio::task::coop::poll_proceed;
    use tokio::time::timeout;

    use super::*;
    use crate::context::Context as CallContext;
    use crate::limits::Limits;
    use crate::peers::Peers;
    use crate::service::Service;
    use crate::session::SessionConfig;

    const MAX: usize = 4096;

    fn shared() -> Arc<Shared> {
        let echo = |text: String, _: CallContext| async move {
            yield_now().await;
            Ok::<_, rpc_wire::Status>(text)
        };
        let stuck = |(): (), _: CallContext| pending::<Result<(), rpc_wire::Status>>();
        let service = Service::builder("echo").method("echo", echo).method("stuck", stuck).build();
        let (service, methods, handlers) = service.into_parts();
        let limits = Limits::default();
        let session =
            Arc::new(SessionConfig { service, instance: String::new(), limits, methods, quota: None });
        let (turns, clock) = (Arc::new(Semaphore::new(1)), Clock::start());
        Arc::new(Shared { session, handlers, retirement: None, turns, clock })
    }

    #[tokio::test]
    async fn a_transport_in_memory_that_takes_seven_bytes_at_a_time_is_served() {
        let (client, transport) = duplex(7);
        call_and_drain(client, transport).await;
    }

    #[tokio::test]
    async fn a_transport_that_buffers_is_flushed() {
        for pipe in [7, MAX] {
            let (client, transport) = duplex(pipe);
            call_and_drain(client, BufWriter::new(transport)).await;
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_without_a_pause_does_not_hold_up_a_deadline() {
        let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
        let request = hello_and_request("stuck", Some(Duration::from_millis(20)), b"null");
        let mut task = connection(&peers, Flood { first: request, is_answered: false });
        assert_eq!(timeout(Duration::from_secs(30), task.run()).await, Ok(End::Lost));
    }

    /// Client that sends pings until its call is answered with a failure, and then closes.
    struct Flood {
        first: Vec<u8>,
        is_answered: bool,
    }

    impl AsyncRead for Flood {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            // A socket lets other tasks run, too.
            ready!(poll_proceed(cx)).made_progress();
            if !self.is_answered {
                Frame::Ping(1).encode(&mut self.first, MAX).unwrap();
                buf.put_slice(&mem::take(&mut self.first));
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len();
            while let Some((body, rest)) = split_frame(bytes, MAX).unwrap() {
                let frame = Frame::decode(body).unwrap();
                self.is_answered |= matches!(frame, Frame::Reply(Reply::Failed { .. }));
                bytes = rest;
            }
            Poll::Ready(Ok(len))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn connection<S: AsyncRead + AsyncWrite + Unpin>(peers: &Arc<Peers>, stream: S) -> ConnectionTask<S> {
        let seat = peers.seat(IpAddr::V4(Ipv4Addr::LOCALHOST), Millis(0)).unwrap();
        ConnectionTask::new(shared(), seat, stream, SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    fn hello_and_request(method: &str, time_left: Option<Duration>, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let hello =
            Hello { version: VERSION, format: Format::JSON, max_frame: 4096, service: "", instance: "" };
        Frame::Hello(hello).encode(&mut out, MAX).unwrap();
        let request = Request { id: CallId(1), method, time_left, more: false, payload };
        Frame::Request(request).encode(&mut out, MAX).unwrap();
        out
    }

    async fn call_and_drain(
        mut client: DuplexStream,
        transport: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) {
        let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
        let mut task = connection(&peers, transport);
        let task = tokio::spawn(async move { task.run().await });
        client.write_all(&hello_and_request("echo", None, b"\"hi\"")).await.unwrap();

        let mut input = Vec::new();
        let mut answers = Vec::new();
        while answers.len() < 2 {
            client.read_buf(&mut input).await.unwrap();
            while let Some((body, rest)) = split_frame(&input, MAX).unwrap() {
                if let Frame::Reply(reply) = Frame::decode(body).unwrap() {
                    assert_eq!(reply, Reply::Ok { id: CallId(1), payload: b"\"hi\"" });
                }
                answers.push(body.len());
                input = rest.to_vec();
            }
        }
        peers.drain();
        // The goodbye, and then the end of the stream.
        while client.read_buf(&mut input).await.unwrap() > 0 {}
        drop(client);
        assert_eq!(task.await.unwrap(), End::Drained);
    }
}
