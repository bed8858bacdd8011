//! The task of a link: it moves bytes between transport and session, hands the ends of calls to their callers, and wakes the
//! owners of streams.
//!
//! [`LinkTask`] writes everything that callers have encoded at once, and never stops reading while it writes. It has one
//! timer for everything.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use common::{Millis, TokioClock};
use rpc_wire::Code;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::yield_now;

use crate::link::{ClientSession, LinkOutput, SharedSession};
use crate::session::{Ending, Input, Output, Signal, Transmission, next_input};

/// Number of bytes asked of the transport at a time.
const READ_CHUNK: usize = 16 << 10;

/// Length of input after which its buffer is freed, so that one long frame does not hold memory for ever.
const KEPT_CAPACITY: usize = 64 << 10;

/// Maximum number of inputs to handle under one lock, for which callers on other threads may wait.
const INPUTS_PER_LOCK: usize = 16;

/// Number of bytes from which on what has arrived is handled in two halves: the callers of the first send their next requests
/// before the second is looked at, so that the server does not wait for work.
const HALVED: usize = 2 << 10;

/// Time that a caller has at least to take the room that is kept for it. One whose future nobody polls does not come.
const TURN: Millis = Millis(20);

/// News of a link, for the pool.
#[derive(Debug)]
pub(crate) enum News {
    /// The server has said hello.
    Greeted { instance: String },
    /// The server takes no more calls, for a reason with this code.
    GoingAway(Code),
    /// The server has answered a ping.
    Alive,
    /// The session has ended.
    Closed(Ending),
}

/// The task that pumps bytes between a session and a transport. Dropped early, it ends the session.
pub(crate) struct LinkTask<F: FnMut(News)> {
    session: Arc<SharedSession>,
    clock: TokioClock,
    max_frame: usize,
    tell: F,
    /// Outputs that are being performed; kept for their memory.
    outputs: VecDeque<LinkOutput>,
    is_closed: bool,
    /// The second half of what has arrived is to be handled.
    has_rest: bool,
    /// Those for whom much has arrived come before what follows.
    gives_way: bool,
    /// Time at which the next turns of callers end.
    turns_end: Option<Millis>,
}

impl<F: FnMut(News)> LinkTask<F> {
    pub(crate) fn new(session: Arc<SharedSession>, clock: TokioClock, max_frame: usize, tell: F) -> Self {
        Self {
            session,
            clock,
            max_frame,
            tell,
            outputs: VecDeque::new(),
            is_closed: false,
            has_rest: false,
            gives_way: false,
            turns_end: None,
        }
    }

    /// Serves the session until it ends.
    pub(crate) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut pump = Pump::new(stream);
        let mut due = pin!(self.clock.sleep_until(None));
        let mut armed = None;
        loop {
            let deadline = self.transmit(&mut pump.output);
            if self.is_closed {
                return;
            }
            let has_rest = self.has_rest;
            // Most deadlines are later than those before, so one timer, seldom set, is enough.
            if let Some(deadline) = deadline.filter(|deadline| armed.is_none_or(|armed| *deadline < armed)) {
                due.set(self.clock.sleep_until(Some(deadline)));
                armed = Some(deadline);
            }
            tokio::select! {
                // In one order, so that a run in simulated time can be repeated. Bytes that have arrived come before the clock:
                // a busy task must not count the server as silent. What callers have queued is transmitted in every turn.
                biased;
                moved = poll_fn(|cx| pump.poll(cx, has_rest)) => match moved {
                    Ok(Moved { read }) if read || has_rest => {
                        let now = self.receive(&mut pump.input);
                        // A server that never stops sending must not hold up the timer. What has arrived is in time.
                        if armed.is_some_and(|armed| armed <= now && !self.has_rest) {
                            armed = None;
                            self.timeout();
                        }
                    }
                    Ok(_) => {}
                    // Once more, after the rest.
                    Err(_) if has_rest => drop(self.receive(&mut pump.input)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.handle(Input::Eof),
                    Err(error) => self.handle(Input::Failed(error.to_string().into())),
                },
                () = self.session.woken() => {}
                () = &mut due, if armed.is_some() => {
                    armed = None;
                    self.timeout();
                }
            }
            if mem::take(&mut self.gives_way) {
                yield_now().await;
            }
        }
    }

    /// Hands complete frames over, a few under each lock because callers on other threads need the session, too. Returns the
    /// time of their arrival.
    fn receive(&mut self, input: &mut BytesMut) -> Millis {
        let (now, len) = (self.clock.now(), input.len());
        let half = if len < HALVED || self.has_rest { 0 } else { len / 2 };
        let mut more = true;
        while more && input.len() > half {
            let mut session = self.session.lock();
            more = handle_frames(&mut session, now, input, self.max_frame);
            session.poll_outputs(&mut self.outputs);
            drop(session);
            self.perform();
        }
        self.has_rest = more && !input.is_empty();
        // Also if the first half was a run of messages that has taken all: their reader comes before they pile up.
        self.gives_way = half > 0 && input.len() < len;
        if input.len() == len {
            self.handle(Input::Heard);
        }
        now
    }

    fn timeout(&mut self) {
        if self.turns_end.is_some_and(|at| at <= self.clock.now()) {
            self.turns_end = None;
            self.session.end_turns();
        }
        self.handle(Input::Timeout);
    }

    fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        let mut session = self.session.lock();
        session.handle(now, input);
        session.poll_outputs(&mut self.outputs);
        drop(session);
        self.perform();
    }

    /// Replaces a transmission that is done by the next one. Returns the time of the next timeout.
    fn transmit(&mut self, output: &mut Transmission) -> Option<Millis> {
        let mut session = self.session.look();
        session.transmit(output);
        session.poll_outputs(&mut self.outputs);
        let deadline = session.poll_deadline();
        let has_promised = session.has_promised();
        drop(session);
        self.perform();
        if has_promised && self.turns_end.is_none() {
            self.turns_end = Some(self.clock.now() + TURN);
        }
        deadline.into_iter().chain(self.turns_end).min()
    }

    /// Performs the outputs without the lock, in their order.
    fn perform(&mut self) {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Complete { call, attempt } => {
                    // A caller that has gone needs no answer.
                    let _ = call.send(attempt);
                }
                Output::Room => self.session.give_room(),
                Output::Signal(Signal::Readable(owner)) => owner.reader.wake(),
                Output::Signal(Signal::Writable(owner)) => owner.sender.wake(),
                Output::Greeted { instance } => (self.tell)(News::Greeted { instance }),
                Output::GoingAway(code) => (self.tell)(News::GoingAway(code)),
                Output::Alive => (self.tell)(News::Alive),
                Output::Closed(ending) => {
                    self.is_closed = true;
                    (self.tell)(News::Closed(ending));
                }
            }
        }
    }
}

impl<F: FnMut(News)> Drop for LinkTask<F> {
    fn drop(&mut self) {
        // Its callers may be on another runtime. Nothing happens if the session has ended.
        self.handle(Input::Failed("its runtime has ended".into()));
    }
}

/// Hands up to [`INPUTS_PER_LOCK`] frames, or runs of messages, over. Returns false if no more are complete.
fn handle_frames(session: &mut ClientSession, now: Millis, input: &mut BytesMut, max_frame: usize) -> bool {
    for _ in 0..INPUTS_PER_LOCK {
        match next_input(input, max_frame) {
            Ok(Some(next)) => session.handle(now, next),
            Ok(None) => return false,
            Err(error) => {
                session.handle(now, Input::Garbage(error));
                return false;
            }
        }
    }
    true
}

/// A transport, and the bytes in both directions.
struct Pump<S> {
    stream: S,
    input: BytesMut,
    /// Maximum length of `input` since it was empty. Its capacity does not tell: frames are taken off its front.
    longest: usize,
    output: Transmission,
    /// Bytes were written and not flushed.
    is_dirty: bool,
}

/// Progress of a [`Pump`].
struct Moved {
    read: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), longest: 0, output: Transmission::default(), is_dirty: false }
    }

    /// Writes and reads as much as is possible now. Waits if nothing is.
    /// With a rest of the input it does not wait, and reads no more.
    fn poll(&mut self, cx: &mut Context<'_>, has_rest: bool) -> Poll<io::Result<Moved>> {
        let wrote = self.poll_write(cx)?.is_ready();
        if has_rest {
            return Poll::Ready(Ok(Moved { read: false }));
        }
        if self.input.is_empty() && mem::take(&mut self.longest) > KEPT_CAPACITY {
            self.input = BytesMut::new();
        }
        // Grows with the bytes that come, whatever length a frame announces.
        self.input.reserve(READ_CHUNK);
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx)?;
        self.longest = self.longest.max(self.input.len());
        match read {
            Poll::Ready(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(_) => Poll::Ready(Ok(Moved { read: true })),
            Poll::Pending if wrote => Poll::Ready(Ok(Moved { read: false })),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes as much as is possible now. Ready if something was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wrote = false;
        while !self.output.is_done() {
            match Pin::new(&mut self.stream).poll_write(cx, self.output.rest())? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(n) => self.output.advance(n),
                Poll::Pending => break,
            }
            (wrote, self.is_dirty) = (true, true);
        }
        if self.is_dirty && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.is_dirty = false;
        }
        if wrote { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use rpc_wire::{Frame, Hello, MetadataRef, Reply, VERSION};
    use tokio::io::{AsyncWriteExt, BufWriter, DuplexStream, duplex};
    use tokio::sync::oneshot;

    use super::*;
    use crate::link::Started;
    use crate::session::{Attempt, Config, NewCall, Session, next_frame};

    const MAX_FRAME: usize = 1 << 20;

    /// Answers the hello and then `calls` calls, with what they sent.
    async fn serve(stream: &mut DuplexStream, calls: usize) {
        let mut input = BytesMut::new();
        let mut answered = 0;
        while answered <= calls {
            let Some(body) = next_frame(&mut input, MAX_FRAME).unwrap() else {
                stream.read_buf(&mut input).await.unwrap();
                continue;
            };
            let mut out = Vec::new();
            let answer = match Frame::decode(&body).unwrap() {
                Frame::Hello(hello) => Frame::Hello(Hello { version: VERSION, instance: "a", ..hello }),
                Frame::Request(call) => Frame::Reply(Reply::ok(call.id, call.payload)),
                frame => panic!("{frame:?}"),
            };
            answer.encode(&mut out, MAX_FRAME).unwrap();
            stream.write_all(&out).await.unwrap();
            answered += 1;
        }
    }

    /// Answers so many calls, once all have come, with what they sent and in one write.
    async fn answer_at_once(stream: &mut DuplexStream, calls: usize) {
        let (mut input, mut out, mut answered) = (BytesMut::new(), Vec::new(), 0);
        while answered < calls {
            stream.read_buf(&mut input).await.unwrap();
            while let Some(body) = next_frame(&mut input, MAX_FRAME).unwrap() {
                let Frame::Request(call) = Frame::decode(&body).unwrap() else { continue };
                Frame::Reply(Reply::ok(call.id, call.payload)).encode(&mut out, MAX_FRAME).unwrap();
                answered += 1;
            }
        }
        stream.write_all(&out).await.unwrap();
    }

    #[tokio::test]
    async fn a_long_frame_holds_no_memory_when_it_is_handled() {
        let (ours, mut theirs) = duplex(1024);
        let mut pump = Pump::new(ours);
        let long = vec![7; 4 * KEPT_CAPACITY];
        let send = async {
            theirs.write_all(&long).await.unwrap();
            theirs
        };
        let receive = async {
            while pump.input.len() < long.len() {
                poll_fn(|cx| pump.poll(cx, false)).await.unwrap();
            }
            pump.input.clear();
        };
        let (mut theirs, ()) = tokio::join!(send, receive);
        theirs.write_all(&[7]).await.unwrap();
        assert!(poll_fn(|cx| pump.poll(cx, false)).await.unwrap().read);
        assert!(pump.input.capacity() <= KEPT_CAPACITY);
    }

    #[tokio::test]
    async fn a_link_runs_over_a_stream_that_takes_seven_bytes_at_a_time() {
        let (ours, theirs) = duplex(7);
        call_and_leave(ours, theirs).await;
    }

    #[tokio::test]
    async fn a_link_flushes_a_stream_that_buffers() {
        for pipe in [7, MAX_FRAME] {
            let (ours, theirs) = duplex(pipe);
            call_and_leave(BufWriter::new(ours), theirs).await;
        }
    }

    const DEADLINE: Millis = Millis(60_000);

    fn new_session() -> Arc<SharedSession> {
        Arc::new(SharedSession::new(Session::new(Arc::new(Config::for_tests()), DEADLINE)))
    }

    /// Sends a call.
    fn call(session: &Arc<SharedSession>, clock: TokioClock, payload: &[u8]) -> oneshot::Receiver<Attempt> {
        let new = NewCall { method: "echo", metadata: MetadataRef::default(), payload, deadline: DEADLINE };
        match session.start(clock.now(), new, None) {
            Started::Sent((_, attempt)) => attempt,
            refused => panic!("{refused:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_callers_send_on_before_the_answers_of_the_last_are_looked_at() {
        const CALLS: usize = 64;
        let (ours, mut theirs) = duplex(MAX_FRAME);
        let (session, clock) = (new_session(), TokioClock::start());
        let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
        let task = LinkTask::new(Arc::clone(&session), clock, MAX_FRAME, |news| tell.send(news).unwrap());
        let calls = async {
            assert!(matches!(news.recv().await, Some(News::Greeted { .. })));
            for _ in 0..CALLS {
                let session = Arc::clone(&session);
                tokio::spawn(async move {
                    for _ in 0..2 {
                        let _ = call(&session, clock, &[7; 100]).await;
                    }
                });
            }
        };
        let server = async move {
            serve(&mut theirs, 0).await;
            answer_at_once(&mut theirs, CALLS).await;
            let mut input = BytesMut::with_capacity(MAX_FRAME);
            theirs.read_buf(&mut input).await.unwrap();
            let mut second = 0;
            while next_frame(&mut input, MAX_FRAME).unwrap().is_some() {
                second += 1;
            }
            assert!((1..CALLS).contains(&second), "{second} requests came at once");
        };
        // A task of its own, which runs as soon as it has something to read.
        let server = tokio::spawn(server);
        tokio::select! {
            biased;
            ((), served) = async { tokio::join!(calls, server) } => served.unwrap(),
            () = task.run(ours) => panic!("the link has ended"),
        }
    }

    #[tokio::test]
    async fn all_answers_before_the_end_of_the_transport_count() {
        const CALLS: usize = 64;
        let (ours, mut theirs) = duplex(MAX_FRAME);
        let (session, clock) = (new_session(), TokioClock::start());
        let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
        let task = LinkTask::new(Arc::clone(&session), clock, MAX_FRAME, |news| tell.send(news).unwrap());
        let calls = async {
            assert!(matches!(news.recv().await, Some(News::Greeted { .. })));
            let attempts: Vec<_> = (0..CALLS).map(|_| call(&session, clock, &[7; 100])).collect();
            for attempt in attempts {
                assert_eq!(attempt.await.unwrap().unwrap().payload, [7; 100][..]);
            }
        };
        let server = async {
            serve(&mut theirs, 0).await;
            answer_at_once(&mut theirs, CALLS).await;
            drop(theirs);
        };
        tokio::join!(calls, server, task.run(ours));
    }

    async fn call_and_leave(ours: impl AsyncRead + AsyncWrite + Unpin, mut theirs: DuplexStream) {
        let (session, clock) = (new_session(), TokioClock::start());
        let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
        let task = LinkTask::new(Arc::clone(&session), clock, MAX_FRAME, |news| tell.send(news).unwrap());
        let calls = async {
            assert!(matches!(news.recv().await, Some(News::Greeted { instance }) if instance == "a"));
            let mut attempts = Vec::new();
            for payload in [&b"one"[..], &b"two".repeat(1_000)] {
                attempts.push((call(&session, clock, payload), payload.to_vec()));
            }
            session.handle(clock.now(), Input::Leave);
            for (attempt, payload) in attempts {
                assert_eq!(attempt.await.unwrap().unwrap().payload, payload);
            }
            assert!(matches!(news.recv().await, Some(News::Closed(Ending::Left))));
        };
        tokio::join!(task.run(ours), serve(&mut theirs, 2), calls);
    }
}
