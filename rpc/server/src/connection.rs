//! One connection: hello, then every complete frame of a read handled, all replies written at once.

use crate::{Limits, Service, calls::Calls, clock, input::Input, peers::Seat, quota::Quota};
use rpc_wire::{Code, DecodeError, Frame, Status};
use std::{
    future::poll_fn,
    io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: Service,
    pub(crate) instance: String,
    pub(crate) limits: Limits,
    pub(crate) quota: Option<Arc<Quota>>,
    /// For connections whose calls take long.
    pub(crate) turns: Arc<Semaphore>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client closed it, or the network did.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The client broke the protocol or asked for what there is not; it is told with a GOAWAY.
    #[error("refused: {0}")]
    Refused(Status),
    /// Others need what it takes.
    #[error("closed to make room for others")]
    Evicted,
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::refused(Code::INVALID_ARGUMENT, &error)
    }
}

impl End {
    pub(crate) fn refused(code: Code, why: &(impl ToString + ?Sized)) -> Self {
        Self::Refused(Status::new(code, why.to_string()))
    }
}

/// A connection and the calls that run for it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    stream: TcpStream,
    input: Input,
    calls: Calls,
    /// Bytes that are being written, and how many of them have been.
    writing: Vec<u8>,
    written: usize,
    /// Since when the socket has not taken all of it.
    blocked: Option<Instant>,
    /// Since when nothing is read, because there is enough to do.
    deaf: Option<Instant>,
    /// Time at which something last came, or a call ended.
    active: Instant,
    /// The last calls took long: the next ones wait for their turn among those of others.
    slow: bool,
    /// Bytes of replies that have not been taken from the outbox.
    replies: usize,
}

/// Something that a connection has waited for in vain.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    Frame,
    Write,
    Word,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, seat: Seat, stream: TcpStream, peer: SocketAddr) -> Self {
        let seat = Arc::new(seat);
        Self {
            calls: Calls::new(shared.clone(), seat.clone(), peer),
            input: Input::new(shared.limits.max_frame),
            shared,
            seat,
            stream,
            writing: Vec::new(),
            written: 0,
            blocked: None,
            deaf: None,
            active: clock::now(),
            slow: false,
            replies: 0,
        }
    }

    /// Serves until the client leaves, breaks the protocol, has to make room, or the drain has ended.
    pub(crate) async fn run(mut self, mut drain: watch::Receiver<bool>) -> Result<(), End> {
        let ended = match timeout(self.shared.limits.hello_timeout, self.greet()).await {
            Ok(Ok(())) => self.serve(&mut drain).await,
            Ok(Err(end)) => Err(end),
            Err(_) => Err(End::refused(Code::DEADLINE_EXCEEDED, "no hello in time")),
        };
        match &ended {
            Err(End::Refused(status)) => {
                self.calls.cancel_all();
                self.calls.go_away(status);
                self.flush().await?;
                self.linger().await;
            }
            Err(End::Evicted) if self.writing.is_empty() => {
                self.calls.go_away(&Status::unavailable("closed to make room for others; connect again"));
                self.write()?;
            }
            _ => {}
        }
        ended
    }

    /// Reads the client's hello and answers it.
    async fn greet(&mut self) -> Result<(), End> {
        let (hello_len, agreed) = loop {
            if let Some(heard) = self.shared.hear(self.input.bytes())? {
                break heard;
            }
            poll_fn(|cx| self.poll_read(cx)).await?;
        };
        self.input.skip(hello_len, self.active);
        self.calls.greeted(&self.shared.answer(agreed), agreed.client_max)?;
        self.flush().await
    }

    async fn serve(&mut self, drain: &mut watch::Receiver<bool>) -> Result<(), End> {
        let seat = self.seat.clone();
        let mut timer = pin!(sleep_until(self.active));
        let mut armed: Option<Instant> = None;
        let mut turn: Option<Turn> = None;
        loop {
            // Before the first read too: requests may come right behind the hello.
            if self.may_handle() && (!self.slow || self.calls.draining()) {
                self.handle_frames().await?;
            }
            self.write()?;
            if seat.evicted() {
                return Err(End::Evicted);
            }
            if self.calls.drained() && self.writing.is_empty() && !self.input.is_waiting() {
                self.linger().await;
                return Ok(());
            }
            if turn.is_none() && self.may_handle() {
                turn = Some(Box::pin(take_turn(self.shared.turns.clone())));
            }
            // Most of what is due is due later than what was: one timer, seldom set, does for all.
            if let Some((due, _)) = self.due().filter(|(due, _)| armed.is_none_or(|armed| *due < armed)) {
                timer.as_mut().reset(due);
                armed = Some(due);
            }
            let draining = self.calls.draining();
            let (mut granted, mut rang) = (None, false);
            tokio::select! {
                io = poll_fn(|cx| self.poll_io(cx)) => io?,
                () = seat.woken() => {}
                permit = poll_fn(|cx| poll_turn(&mut turn, cx)) => granted = Some(permit),
                // A server that is gone drains too.
                _ = drain.wait_for(|&drain| drain), if !draining => self.calls.drain(),
                () = &mut timer, if armed.is_some() => rang = true,
            }
            if granted.is_some() || rang {
                self.read_ahead().await?;
            }
            if granted.is_some() {
                turn = None;
                if self.may_handle() {
                    self.handle_frames().await?;
                }
            }
            if rang && let Some(armed) = armed.take() {
                self.write()?;
                self.look_at_the_time(armed, clock::now())?;
            }
        }
    }

    /// Returns true if frames wait and may be handled now: not while many replies wait.
    fn may_handle(&self) -> bool {
        self.input.is_waiting() && !self.is_clogged()
    }

    fn is_clogged(&self) -> bool {
        self.unsent() + self.replies > OUT_HIGH_WATER
    }

    fn unsent(&self) -> usize {
        self.writing.len() - self.written + self.calls.out.len()
    }

    fn wants_to_read(&self) -> bool {
        self.input.wants_more() && !self.is_clogged()
    }

    /// Handles the frames that have arrived, or as many as there is time for.
    async fn handle_frames(&mut self) -> Result<(), End> {
        let Self { input, calls, slow, .. } = self;
        // Replies are often as long as their requests.
        calls.out.reserve(input.bytes().len().min(OUT_HIGH_WATER));
        let began = clock::now();
        let mut now = began;
        // The first poll of a handler wants a waker; this task's is as good as any.
        let handled = poll_fn(|cx| {
            while calls.out.len() <= OUT_HIGH_WATER && now.duration_since(began) <= BREATH {
                let Some(frame) = input.next()? else { break };
                calls.handle(Frame::decode(frame.body)?, frame.arrival, &mut now, cx)?;
            }
            Poll::Ready(Ok::<_, End>(()))
        })
        .await;
        *slow = now.duration_since(began) > BREATH;
        input.release();
        handled
    }

    /// Reads what has come, without waiting for more.
    async fn read_ahead(&mut self) -> Result<(), End> {
        poll_fn(|cx| {
            while self.wants_to_read() {
                match self.poll_read(cx) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Waits for bytes and appends them to the input.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let Self { stream, input, calls, .. } = self;
        ready!(stream.poll_read_ready(cx))?;
        // It grows with what has come, whatever length the frame has announced.
        input.buffer().reserve(READ_CHUNK);
        match pin!(stream.read_buf(input.buffer())).poll(cx)? {
            Poll::Ready(0) => Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            Poll::Ready(_) => {
                self.active = clock::now();
                input.arrived(self.active, |id| calls.cancel(id));
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                input.release();
                Poll::Pending
            }
        }
    }

    /// Waits until something has been read or written, as far as either is wanted.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut done = Poll::Pending;
        if self.wants_to_read() {
            if let Some(since) = self.deaf.take() {
                self.input.excuse(clock::now().saturating_duration_since(since));
            }
            if let Poll::Ready(read) = self.poll_read(cx) {
                read?;
                done = Poll::Ready(Ok(()));
            }
        } else {
            self.deaf.get_or_insert_with(clock::now);
        }
        if !self.writing.is_empty()
            && let Poll::Ready(ready) = self.stream.poll_write_ready(cx)
        {
            ready?;
            self.write()?;
            done = Poll::Ready(Ok(()));
        }
        done
    }

    /// Writes what has been encoded, as much as the socket takes now.
    fn write(&mut self) -> Result<(), End> {
        loop {
            if self.writing.is_empty() {
                if self.calls.take_replies() {
                    self.active = clock::now();
                }
                (self.writing, self.written) = (mem::take(&mut self.calls.out), 0);
            }
            self.write_batch()?;
            self.replies = self.calls.unsent(self.unsent());
            if self.replies == 0 || !self.writing.is_empty() {
                break;
            }
        }
        let out = self.writing.capacity() + self.calls.out.capacity() + self.replies;
        self.seat.holds(self.input.held() + self.calls.argument_bytes() + out);
        self.seat.idle_since(self.is_idle().then_some(self.active));
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), End> {
        while self.written < self.writing.len() {
            match self.stream.try_write(&self.writing[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(clock::now);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        (self.writing, self.written, self.blocked) = (Vec::new(), 0, None);
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.calls.is_idle() && self.writing.is_empty() && self.input.is_empty()
    }

    /// Writes everything; a client that does not read it is given up.
    async fn flush(&mut self) -> Result<(), End> {
        self.write()?;
        let patience = self.shared.limits.write_timeout;
        let flushed = async {
            while !self.writing.is_empty() && !self.seat.evicted() {
                tokio::select! {
                    ready = self.stream.writable() => ready?,
                    () = self.seat.woken() => {}
                }
                self.write()?;
            }
            Ok(())
        };
        timeout(patience, flushed).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// The next time at which patience ends, and with what.
    fn due(&self) -> Option<(Instant, Due)> {
        let limits = &self.shared.limits;
        let begun = self.input.begun().filter(|_| self.wants_to_read());
        let idle = self.is_idle().then_some(self.active);
        [
            (begun, limits.frame_timeout, Due::Frame),
            (self.blocked, limits.write_timeout, Due::Write),
            (idle, limits.idle_timeout, Due::Word),
        ]
        .into_iter()
        // A time beyond what a clock can say never comes.
        .filter_map(|(since, patience, due)| Some((since?.checked_add(patience)?, due)))
        .min()
    }

    /// Ends the connection if patience is over, which should have been looked at when `armed`.
    fn look_at_the_time(&mut self, armed: Instant, now: Instant) -> Result<(), End> {
        let late = now.saturating_duration_since(armed);
        if late > STALL {
            // While this runtime stood still nobody could read what the client sent, or wrote.
            self.input.excuse(late);
            self.blocked = self.blocked.and_then(|since| since.checked_add(late));
            self.active = self.active.checked_add(late).unwrap_or(self.active).min(now);
        }
        match self.due() {
            Some((due, _)) if due > now => Ok(()),
            None => Ok(()),
            Some((_, Due::Frame)) => {
                Err(End::refused(Code::DEADLINE_EXCEEDED, "a frame was begun and not completed in time"))
            }
            Some((_, Due::Write)) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            Some((_, Due::Word)) => {
                Err(End::refused(Code::UNAVAILABLE, "the connection has been idle for too long"))
            }
        }
    }

    /// Lets the client close first, for a bounded time: to close with its bytes unread would take back
    /// replies that are on their way.
    async fn linger(&mut self) {
        let patience = self.shared.limits.linger;
        let buffer = self.input.buffer();
        let deaf = async {
            self.stream.shutdown().await?;
            loop {
                buffer.clear();
                buffer.reserve(READ_CHUNK);
                if self.stream.read_buf(buffer).await? == 0 {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        // It has been told what there is to tell.
        let _ = timeout(patience, deaf).await;
    }
}

type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

fn poll_turn(turn: &mut Option<Turn>, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
    turn.as_mut().map_or(Poll::Pending, |turn| turn.as_mut().poll(cx))
}

/// Waits for a turn to handle more calls after some that took long, so that between any two of them all connections read
/// what has come, and know when.
async fn take_turn(turns: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Nobody closes it.
    let permit = turns.acquire_owned().await.ok();
    // The runtime looks at its sockets when everybody has yielded.
    yield_now().await;
    permit
}

/// What is asked of the socket at a time.
const READ_CHUNK: usize = 16 << 10;

/// No more calls are handled, nor bytes read, while so many bytes of replies wait.
const OUT_HIGH_WATER: usize = 1 << 20;

/// So long may the calls of one read take before other connections, timers and the registry get a turn.
const BREATH: Duration = Duration::from_millis(1);

/// A timer that is so late tells of a runtime, or a machine, that stood still.
pub(crate) const STALL: Duration = Duration::from_millis(100);
