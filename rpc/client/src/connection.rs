//! One connection: requests in, replies completed by id.
//!
//! A caller encodes its request into the connection's buffer itself; the connection's task writes whatever
//! has gathered there at once, and never stops reading while it writes.

use crate::{retry::Ended, stats::InstanceCounters};
use bytes::{Bytes, BytesMut};
use rpc_wire::{
    CallId, DecodeError, EncodeError, Format, Frame, GoAway, Reply, Request, Status, split_frame,
};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    time::{MissedTickBehavior, interval},
};

/// The result of an attempt: the payload of the reply, or how it ended without one.
pub(crate) type Attempt = Result<Bytes, Ended>;

/// A connection that has been greeted, shared by its callers and its task.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) instance: String,
    pub(crate) counters: Arc<InstanceCounters>,
    /// The largest frame body that the server takes.
    pub(crate) server_max: usize,
    state: Mutex<State>,
    /// There is something for the task to do.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    out: Vec<u8>,
    last: CallId,
    /// The last call whose request may have left this process.
    written: CallId,
    pending: HashMap<CallId, oneshot::Sender<Attempt>, BuildHasherDefault<IdHasher>>,
    /// Takes no more calls; ends when none is pending.
    leaving: bool,
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

/// Why a connection ended, for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("the server does not answer")]
    Silent,
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
}

impl Connection {
    pub(crate) fn new(instance: String, counters: Arc<InstanceCounters>, server_max: usize) -> Self {
        Self { instance, counters, server_max, state: Mutex::default(), wake: Notify::new() }
    }

    /// Sends a call; the attempt comes through the receiver. `Ok(None)`: the connection takes no more calls.
    pub(crate) fn start(
        &self,
        method: &str,
        payload: &[u8],
        time_left: Duration,
    ) -> Result<Option<(CallId, oneshot::Receiver<Attempt>)>, EncodeError> {
        let (complete, attempt) = oneshot::channel();
        let mut state = self.lock();
        if state.leaving {
            return Ok(None);
        }
        let id = CallId(state.last.0 + 1);
        let request = Request { id, method, time_left: Some(time_left), more: false, payload };
        Frame::Request(request).encode(&mut state.out, self.server_max)?;
        state.last = id;
        state.pending.insert(id, complete);
        drop(state);
        self.wake.notify_one();
        Ok(Some((id, attempt)))
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

    /// Completes every call that is pending, once the connection has ended.
    pub(crate) fn complete_all(&self) {
        let mut state = self.lock();
        state.leaving = true;
        let written = state.written;
        for (id, complete) in mem::take(&mut state.pending) {
            // A caller that has gone needs no answer.
            let _ = complete.send(Err(if id > written { Ended::NotSent } else { Ended::Lost }));
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
        let mut silent_ticks = 0;
        self.handle_input(&mut input, options.max_frame, &news)?;
        loop {
            if at == out.len() {
                at = 0;
                self.exchange(&mut out);
            }
            if out.is_empty() && self.is_done() {
                return Ok(());
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
                written = writer.write(&out[at..]), if at < out.len() => at += written?,
                () = self.wake.notified(), if at == out.len() => {}
                _ = ticks.tick() => {
                    match silent_ticks {
                        TICKS => self.ping(),
                        GIVE_UP => return Err(End::Silent),
                        _ => {}
                    }
                    silent_ticks += 1;
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
            Frame::Ping(number) => self.push(&mut self.lock(), &Frame::Pong(number)),
            Frame::Pong(_) => news(News::Alive),
            // What a later version may send is of no interest to this one.
            _ => {}
        }
        Ok(())
    }

    fn complete(&self, id: CallId, attempt: Attempt) {
        // One that has been cancelled is not there any more; nor is its caller, perhaps, a moment later.
        if let Some(complete) = self.lock().pending.remove(&id) {
            let _ = complete.send(attempt);
        }
    }

    fn handle_go_away(&self, go_away: &GoAway<'_>) {
        let mut state = self.lock();
        state.leaving = true;
        let status = Status::new(go_away.code, go_away.message);
        for (_, complete) in state.pending.extract_if(|id, _| *id > go_away.last) {
            let _ = complete.send(Err(Ended::NotRun(status.clone())));
        }
    }

    /// Exchanges what has been written for what there is to write; from here on that may have been sent.
    fn exchange(&self, out: &mut Vec<u8>) {
        out.clear();
        out.shrink_to(KEPT_CAPACITY);
        let mut state = self.lock();
        state.written = state.last;
        mem::swap(&mut state.out, out);
    }

    fn is_done(&self) -> bool {
        let state = self.lock();
        state.leaving && state.pending.is_empty() && state.out.is_empty()
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
