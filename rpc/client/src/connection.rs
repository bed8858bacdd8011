//! One connection: requests in, replies completed by id.
//!
//! A caller encodes its request into the connection's buffer itself; the connection's task writes whatever
//! has gathered there at once, and never stops reading while it writes. It has one timer for all its calls.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use bytes::{Bytes, BytesMut};
use rpc_wire::{
    CallId, DecodeError, EncodeError, Format, Frame, GoAway, Reply, Request, Status, split_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::clock;
use crate::retry::Ended;
use crate::stats::InstanceCounters;

/// The result of an attempt: the payload of the reply, or how it ended without one.
pub(crate) type Attempt = Result<Bytes, Ended>;

/// A connection that has been greeted, shared by its callers and its task.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) instance: String,
    pub(crate) counters: Arc<InstanceCounters>,
    /// The largest frame body that the server takes.
    pub(crate) server_max: usize,
    max_queued: usize,
    state: Mutex<State>,
    /// There is something for the task to do.
    wake: Notify,
    /// There may be room for a call again.
    room: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    out: Vec<u8>,
    last: CallId,
    /// The last call whose request may have left this process.
    written: CallId,
    pending: HashMap<CallId, Pending, BuildHasherDefault<IdHasher>>,
    /// No pending call has an earlier deadline.
    earliest: Option<Instant>,
    /// The answer to the last ping. Only one is ever kept, so pings that come faster than pongs leave cost no memory.
    pong: Option<u64>,
    /// A caller may wait for room.
    crowded: bool,
    /// Takes no more calls; ends when none is pending.
    leaving: bool,
}

/// A call without its reply.
#[derive(Debug)]
struct Pending {
    complete: oneshot::Sender<Attempt>,
    deadline: Instant,
}

/// The outcome of [`Connection::start`].
#[derive(Debug)]
pub(crate) enum Started {
    /// The call is on its way; its end comes through the receiver, by the deadline.
    Sent(CallId, oneshot::Receiver<Attempt>),
    /// The server does not read fast enough; this completes when there may be room, or the connection has ended.
    Full(OwnedNotified),
    /// The connection takes no more calls.
    Leaving,
}

/// Our own ids need no defence against whoever chose them: each differs from the others in its low bits.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, n: u64) {
        // The table takes the top bits, too.
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What the task tells about its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// The server takes no more calls.
    GoingAway,
    /// It answered a ping.
    Alive,
}

/// The end of a connection: for the log, and for callers that lost an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("the server does not answer")]
    Silent,
    #[error("the server does not read")]
    Unread,
}

/// How a connection is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) format: Format,
    /// The largest frame body that we take.
    pub(crate) max_frame: usize,
    /// After so long without a word the server is asked whether it is alive, and given up after the same again;
    /// each up to [`TICKS`]th later.
    pub(crate) keepalive: Duration,
    /// Bytes that may wait for a server that does not read; one request alone may be longer.
    pub(crate) max_queued: usize,
}

impl Connection {
    pub(crate) fn new(
        instance: String,
        counters: Arc<InstanceCounters>,
        server_max: usize,
        max_queued: usize,
    ) -> Self {
        let (state, wake, room) = (Mutex::default(), Notify::new(), Arc::default());
        Self { instance, counters, server_max, max_queued, state, wake, room }
    }

    /// Sends a call, if there is room for it.
    pub(crate) fn start(
        &self,
        method: &str,
        payload: &[u8],
        now: Instant,
        deadline: Instant,
    ) -> Result<Started, EncodeError> {
        let (complete, attempt) = oneshot::channel();
        let mut state = self.lock();
        if state.leaving {
            return Ok(Started::Leaving);
        }
        if !state.out.is_empty() && state.out.len().saturating_add(payload.len()) > self.max_queued {
            state.crowded = true;
            return Ok(Started::Full(Arc::clone(&self.room).notified_owned()));
        }
        let id = CallId(state.last.0 + 1);
        let time_left = Some(deadline.saturating_duration_since(now));
        let request = Request { id, method, time_left, more: false, payload };
        Frame::Request(request).encode(&mut state.out, self.server_max)?;
        state.last = id;
        state.pending.insert(id, Pending { complete, deadline });
        state.earliest = Some(state.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        drop(state);
        self.wake.notify_one();
        Ok(Started::Sent(id, attempt))
    }

    /// Tells the server that nobody waits for the call any more; nothing if it has ended.
    pub(crate) fn cancel(&self, id: CallId) {
        let mut state = self.lock();
        if state.pending.remove(&id).is_some() {
            self.push(&mut state, &Frame::Cancel(id));
        }
    }

    /// Asks the server whether it is alive.
    pub(crate) fn ping(&self) {
        self.push(&mut self.lock(), &Frame::Ping(0));
    }

    /// Takes no more calls; the connection ends after the last reply.
    pub(crate) fn close(&self) {
        self.lock().leaving = true;
        self.wake.notify_one();
    }

    /// Completes every call that is pending, once the connection has ended for this reason.
    pub(crate) fn complete_all(&self, reason: &Arc<str>) {
        let mut state = self.lock();
        state.leaving = true;
        self.give_room(&mut state);
        let written = state.written;
        for (id, call) in mem::take(&mut state.pending) {
            let ended = if id > written { Ended::NotSent } else { Ended::Lost(Arc::clone(reason)) };
            // A caller that has gone needs no answer.
            let _ = call.complete.send(Err(ended));
        }
    }

    /// Serves the connection until it ends; [`Connection::complete_all`] is to follow.
    pub(crate) async fn run(
        &self,
        mut stream: TcpStream,
        mut input: BytesMut,
        options: &Options,
        news: impl Fn(News),
    ) -> Result<(), End> {
        let (mut reader, mut writer) = stream.split();
        let (mut out, mut at) = (Vec::new(), 0);
        let mut ticks = interval(options.keepalive / TICKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let (mut silent_ticks, mut unread_ticks) = (0, 0);
        let mut due = pin!(sleep_until(clock::now()));
        let mut armed = None;
        self.handle_input(&mut input, options.max_frame, &news)?;
        loop {
            let (earliest, is_done) = self.look(&mut out, &mut at);
            if is_done {
                return Ok(());
            }
            // Most deadlines are later than those before: one timer, seldom set, does for all.
            if let Some(earliest) = earliest.filter(|earliest| armed.is_none_or(|armed| *earliest < armed)) {
                due.as_mut().reset(earliest);
                armed = Some(earliest);
            }
            input.reserve(READ_CHUNK);
            tokio::select! {
                read = reader.read_buf(&mut input) => {
                    if read? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    silent_ticks = 0;
                    self.handle_input(&mut input, options.max_frame, &news)?;
                }
                written = writer.write(&out[at..]), if at < out.len() => {
                    at += written?;
                    unread_ticks = 0;
                }
                () = self.wake.notified() => {}
                () = &mut due, if armed.is_some() => {
                    armed = None;
                    self.end_late(clock::now());
                }
                _ = ticks.tick() => {
                    match silent_ticks {
                        TICKS => self.ping(),
                        GIVE_UP => return Err(End::Silent),
                        _ => {}
                    }
                    if unread_ticks == GIVE_UP {
                        return Err(End::Unread);
                    }
                    silent_ticks += 1;
                    unread_ticks = if at < out.len() { unread_ticks + 1 } else { 0 };
                }
            }
        }
    }

    fn handle_input(&self, input: &mut BytesMut, max: usize, news: &impl Fn(News)) -> Result<(), End> {
        while let Some((body, _)) = split_frame(input, max)? {
            let len = PREFIX + body.len();
            let frame = input.split_to(len).freeze();
            self.handle_frame(&frame, news)?;
        }
        Ok(())
    }

    fn handle_frame(&self, frame: &Bytes, news: &impl Fn(News)) -> Result<(), End> {
        match Frame::decode(&frame[PREFIX..])? {
            Frame::Reply(Reply::Ok { id, payload }) => self.complete(id, Ok(frame.slice_ref(payload))),
            Frame::Reply(Reply::Failed { id, code, message, not_run }) => {
                let status = Status::new(code, message);
                self.complete(id, Err(if not_run { Ended::NotRun(status) } else { Ended::Failed(status) }));
            }
            Frame::GoAway(go_away) => {
                // In this order: whoever tries again is not sent here again.
                news(News::GoingAway);
                self.handle_go_away(&go_away);
            }
            // The task that runs this writes it: nobody need be woken.
            Frame::Ping(number) => self.lock().pong = Some(number),
            Frame::Pong(_) => news(News::Alive),
            // What a later version may send is of no interest to this one.
            _ => {}
        }
        Ok(())
    }

    fn complete(&self, id: CallId, attempt: Attempt) {
        // One that has been cancelled is not there any more; nor is its caller, perhaps, a moment later.
        let call = self.lock().pending.remove(&id);
        if let Some(call) = call {
            let _ = call.complete.send(attempt);
        }
    }

    /// Ends the calls whose time is over, and tells the server.
    fn end_late(&self, now: Instant) {
        let mut state = self.lock();
        let late: Vec<_> = state.pending.extract_if(|_, call| call.deadline <= now).collect();
        state.earliest = state.pending.values().map(|call| call.deadline).min();
        for (id, call) in late {
            self.push(&mut state, &Frame::Cancel(id));
            let _ = call.complete.send(Err(Ended::Late));
        }
    }

    fn handle_go_away(&self, go_away: &GoAway<'_>) {
        let mut state = self.lock();
        state.leaving = true;
        let status = Status::new(go_away.code, go_away.message);
        for (_, call) in state.pending.extract_if(|id, _| *id > go_away.last) {
            let _ = call.complete.send(Err(Ended::NotRun(status.clone())));
        }
    }

    /// If all of `out` has been written, exchanges it for what there is to write: from here on that may have been sent.
    /// Returns the earliest deadline, and whether there is nothing more to do.
    fn look(&self, out: &mut Vec<u8>, at: &mut usize) -> (Option<Instant>, bool) {
        let mut state = self.lock();
        if *at == out.len() {
            *at = 0;
            out.clear();
            out.shrink_to(KEPT_CAPACITY);
            state.written = state.last;
            mem::swap(&mut state.out, out);
            self.give_room(&mut state);
            if let Some(number) = state.pong.take() {
                // Control frames are shorter than any limit that a server may name.
                let _ = Frame::Pong(number).encode(out, self.server_max);
            }
        }
        (state.earliest, state.leaving && state.pending.is_empty() && out.is_empty())
    }

    fn give_room(&self, state: &mut State) {
        if mem::take(&mut state.crowded) {
            self.room.notify_waiters();
        }
    }

    fn push(&self, state: &mut State, frame: &Frame<'_>) {
        // Control frames are shorter than any limit that a server may name.
        if frame.encode(&mut state.out, self.server_max).is_ok() {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often silence is looked at in one keepalive time; a timer for every word would cost more.
const TICKS: u32 = 4;

/// After how many ticks of silence a connection is given up.
const GIVE_UP: u32 = 2 * TICKS;

/// What is asked of the socket at a time.
const READ_CHUNK: usize = 16 << 10;

/// A buffer that has become larger is given back.
const KEPT_CAPACITY: usize = 64 << 10;

/// The length prefix of a frame.
const PREFIX: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::Counters;

    const MAX_QUEUED: usize = 1_000;

    fn connection() -> Connection {
        Connection::new("a".into(), Counters::default().instance("a", "a:1"), 1 << 20, MAX_QUEUED)
    }

    fn start(connection: &Connection, payload: usize) -> Started {
        let now = clock::now();
        connection.start("m", &vec![0; payload], now, now + Duration::from_secs(9)).unwrap()
    }

    #[test]
    fn pings_that_come_faster_than_pongs_leave_get_one_pong() {
        let connection = connection();
        let mut input = Vec::new();
        (1..=10_000).for_each(|number| Frame::Ping(number).encode(&mut input, 1 << 20).unwrap());
        connection.handle_input(&mut BytesMut::from(&*input), 1 << 20, &|_| ()).unwrap();
        let (mut out, mut at) = (Vec::new(), 0);
        connection.look(&mut out, &mut at);
        let mut pong = Vec::new();
        Frame::Pong(10_000).encode(&mut pong, 1 << 20).unwrap();
        assert_eq!(out, pong);
        connection.look(&mut out, &mut pong.len());
        assert!(out.is_empty(), "told once");
    }

    #[tokio::test]
    async fn requests_that_the_server_does_not_read_queue_up_to_a_limit() {
        let connection = connection();
        assert!(matches!(start(&connection, 10 * MAX_QUEUED), Started::Sent(..)), "one alone may be longer");
        let Started::Full(room) = start(&connection, 1) else { panic!("no limit") };
        let Started::Full(other) = start(&connection, 1) else { panic!("no limit") };
        let (mut out, mut at) = (Vec::new(), 0);
        connection.look(&mut out, &mut at);
        tokio::join!(room, other);
        let sent = (0..100).take_while(|_| matches!(start(&connection, 100), Started::Sent(..))).count();
        assert!((5..10).contains(&sent), "{sent}");
        let Started::Full(room) = start(&connection, 900) else { panic!("no limit") };
        connection.complete_all(&"the end".into());
        // The end of the connection wakes, too.
        room.await;
        assert!(matches!(start(&connection, 1), Started::Leaving));
    }
}
