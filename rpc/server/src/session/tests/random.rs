//! Property tests of streams: random plans of frames, credit, cancels and turns.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_wire::{Credit, HEADER_LEN, Message, MessageWriter};

use super::*;

/// First windows of the client.
const STREAM: i64 = 300;
const CONNECTION: i64 = 700;

/// Windows of the server, the defaults of its limits.
const TO_SERVER: (i64, i64) = (256 << 10, 4 << 20);

#[derive(Clone, Debug)]
enum Step {
    Open(&'static str),
    /// The client sends a message to one of its calls, if it has credit.
    Send(usize, usize),
    End(usize),
    Cancel(usize),
    /// The client gives back what it owes to a stream, and to the connection.
    GiveCredit(usize),
    /// A handler produces messages of this length, as far as there is room.
    Produce(usize, usize),
    Finish(usize),
    /// A handler takes the messages that have been delivered.
    Take(usize),
    Block(bool),
    /// Frames that the client sends from now on arrive in one read, when this ends.
    Hold(bool),
    Collect,
}

fn any_step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![6 => 0..40_usize, 2 => 0..900_usize, 1 => Just(100_000)];
    let to_send = prop_oneof![6 => 0..40_usize, 1 => Just(60_000)];
    let method = prop_oneof![Just("watch"), Just("upload"), Just("talk")];
    prop_oneof![
        3 => method.prop_map(Step::Open),
        6 => (any::<usize>(), to_send).prop_map(|(which, len)| Step::Send(which, len)),
        1 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Cancel),
        5 => any::<usize>().prop_map(Step::GiveCredit),
        8 => (any::<usize>(), len).prop_map(|(which, len)| Step::Produce(which, len)),
        2 => any::<usize>().prop_map(Step::Finish),
        4 => any::<usize>().prop_map(Step::Take),
        1 => any::<bool>().prop_map(Step::Block),
        3 => any::<bool>().prop_map(Step::Hold),
        4 => Just(Step::Collect),
    ]
}

/// A call as client and handler know it.
#[derive(Debug)]
struct Stream {
    client_streams: bool,
    server_streams: bool,
    /// Credit of the client, and of the server, by the frames that have been exchanged.
    to_server: i64,
    to_client: i64,
    /// Bytes of messages that the client has not given back.
    owed: i64,
    is_ended: bool,
    /// The handler has begun, and has ended.
    is_started: bool,
    is_finished: bool,
    /// Numbers of the next message in each direction: to send, and to receive.
    sent: u8,
    delivered: u8,
    produced: u8,
    received: u8,
    /// Cost of messages that have been delivered and not been taken.
    untaken: usize,
    is_over: bool,
}

struct World {
    driver: Driver,
    queue: ReplyQueue,
    streams: BTreeMap<u64, Stream>,
    cancelled: BTreeSet<u64>,
    to_server: i64,
    to_client: i64,
    owed: i64,
    /// Frames that the client holds back, if it does.
    held: Option<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let mut driver = Driver::new(|_| ());
        let Frame::Hello(hello) = hello() else { unreachable!() };
        let budget = Budget { stream: STREAM as u32, connection: CONNECTION as u32, calls: 8 << 20 };
        driver.send(&[Frame::Hello(Hello { budget: Some(budget), ..hello })]);
        driver.answers();
        Self {
            driver,
            queue: ReplyQueue::new(8 << 20, Budget::default()),
            streams: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            to_server: TO_SERVER.1,
            to_client: CONNECTION,
            owed: 0,
            held: None,
        }
    }

    /// Sends frames of the client, or holds them back.
    fn send_frames(&mut self, frames: &[Frame<'_>]) {
        match &mut self.held {
            Some(held) => frames.iter().for_each(|frame| frame.encode(held, usize::MAX).unwrap()),
            None => self.driver.send(frames),
        }
    }

    fn pick(&self, which: usize, allow: impl Fn(&Stream) -> bool) -> Option<u64> {
        let running: Vec<_> =
            self.streams.iter().filter(|(_, stream)| !stream.is_over && allow(stream)).collect();
        running.get(which.checked_rem(running.len())?).map(|(id, _)| **id)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Open(method) => {
                let id = self.streams.len() as u64 + 1;
                let (client_streams, server_streams) = (method != "watch", method != "upload");
                let request = Request {
                    method,
                    more: client_streams,
                    stream: server_streams,
                    ..Request::new(CallId(id))
                };
                self.streams.insert(id, Stream::new(client_streams, server_streams));
                self.send_frames(&[Frame::Request(request)]);
            }
            Step::Send(which, len) => self.send(which, len),
            Step::End(which) => {
                if let Some(id) = self.pick(which, |stream| stream.client_streams && !stream.is_ended) {
                    self.stream(id).is_ended = true;
                    self.send_frames(&[Frame::End(CallId(id))]);
                }
            }
            Step::Cancel(which) => {
                if let Some(id) = self.pick(which, |_| true) {
                    self.cancelled.insert(id);
                    self.stream(id).is_over = true;
                    self.send_frames(&[Frame::Cancel(CallId(id))]);
                    self.queue.forget(CallId(id));
                }
            }
            Step::GiveCredit(which) => self.give_credit(which),
            Step::Produce(which, len) => self.produce(which, len),
            Step::Finish(which) => {
                if let Some(id) = self.pick(which, |stream| stream.is_started && !stream.is_finished) {
                    let stream = self.stream(id);
                    stream.is_finished = true;
                    let is_stream = stream.server_streams;
                    let mut frame = Vec::new();
                    Frame::Reply(Reply::ok(CallId(id), b"")).encode(&mut frame, MAX).unwrap();
                    if is_stream {
                        self.queue.push_messages(CallId(id), &mut frame, true);
                    } else {
                        self.queue.push(CallId(id), &frame, |_| panic!("there is room"));
                    }
                }
            }
            Step::Take(which) => {
                if let Some(id) = self.pick(which, |stream| stream.untaken > 0) {
                    let bytes = mem::take(&mut self.stream(id).untaken);
                    self.queue.note_taken(CallId(id), bytes);
                }
            }
            Step::Block(is_blocked) => {
                self.driver.is_blocked = is_blocked;
                self.driver.run();
            }
            Step::Hold(true) => {
                self.held.get_or_insert_default();
            }
            Step::Hold(false) => {
                if let Some(held) = self.held.take() {
                    self.driver.receive(&held);
                }
            }
            Step::Collect => {
                let replies = self.queue.take();
                self.driver.tell(Input::Replies(replies));
            }
        }
        self.check();
    }

    fn send(&mut self, which: usize, len: usize) {
        let connection = self.to_server;
        let may = |stream: &Stream| stream.client_streams && !stream.is_ended && stream.to_server > 0;
        if let Some(id) = self.pick(which, may).filter(|_| connection > 0) {
            let stream = self.stream(id);
            stream.to_server -= cost(len);
            let payload = vec![stream.sent; len];
            stream.sent = stream.sent.wrapping_add(1);
            self.to_server -= cost(len);
            self.send_frames(&[Frame::Message(Message { id: CallId(id), payload: &payload })]);
        }
    }

    fn give_credit(&mut self, which: usize) {
        let owed = mem::take(&mut self.owed);
        self.to_client += owed;
        let mut frames = vec![Frame::Credit(Credit { id: CallId(0), bytes: owed as u32 })];
        if let Some(id) = self.pick(which, |stream| stream.server_streams) {
            let stream = self.stream(id);
            let bytes = mem::take(&mut stream.owed);
            stream.to_client += bytes;
            frames.push(Frame::Credit(Credit { id: CallId(id), bytes: bytes as u32 }));
        }
        self.send_frames(&frames);
    }

    fn produce(&mut self, which: usize, len: usize) {
        let may = |stream: &Stream| stream.server_streams && stream.is_started && !stream.is_finished;
        let Some(id) = self.pick(which, may) else { return };
        let room = self.queue.stream_room(CallId(id));
        let mut frames = Vec::new();
        while frames.len() < room.min(2_000) {
            let number = self.stream(id).produced;
            self.stream(id).produced = number.wrapping_add(1);
            let mut message = MessageWriter::new(&mut frames, CallId(id));
            message.payload().extend_from_slice(&vec![number; len + 1]);
            message.finish(MAX).unwrap();
        }
        if !frames.is_empty() {
            self.queue.push_messages(CallId(id), &mut frames, false);
        }
    }

    /// Looks at what the session has said since the last step.
    fn check(&mut self) {
        assert_eq!(self.driver.end, None);
        for (id, bytes) in mem::take(&mut self.driver.sent) {
            self.queue.note_sent(CallId(id), bytes);
        }
        for call in mem::take(&mut self.driver.started) {
            self.stream(call.id.0).is_started = true;
        }
        for (id, payload) in mem::take(&mut self.driver.delivered) {
            let stream = self.stream(id);
            assert!(!stream.is_over, "a message for {id}, which is over");
            if let Some(payload) = payload {
                assert!(payload.iter().all(|byte| *byte == stream.delivered), "in order, and none lost");
                stream.delivered = stream.delivered.wrapping_add(1);
                stream.untaken += HEADER_LEN + payload.len();
            } else {
                assert!(stream.is_ended && stream.delivered == stream.sent);
            }
        }
        for answer in self.driver.answers() {
            match answer {
                Answer::Message(id, payload) => {
                    let (connection, cost) = (self.to_client, cost(payload.len()));
                    let stream = self.stream(id);
                    assert!(connection > 0 && stream.to_client > 0, "a message of {id} without credit");
                    assert!(payload.iter().all(|byte| *byte == stream.received), "in order, and none lost");
                    stream.received = stream.received.wrapping_add(1);
                    stream.to_client -= cost;
                    stream.owed += cost;
                    (self.to_client, self.owed) = (connection - cost, self.owed + cost);
                }
                Answer::Credit(0, bytes) => self.to_server += i64::from(bytes),
                Answer::Credit(id, bytes) => self.stream(id).to_server += i64::from(bytes),
                Answer::Ok(id) => {
                    let is_cancelled = self.cancelled.contains(&id);
                    let stream = self.stream(id);
                    assert!(!stream.is_over || is_cancelled, "{id} ends twice");
                    assert!(stream.is_finished && stream.received == stream.produced || is_cancelled);
                    stream.is_over = true;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(self.to_server <= TO_SERVER.1, "more credit than the client has spent");
        for stream in self.streams.values() {
            assert!(stream.to_server <= TO_SERVER.0);
        }
        // What waits in streams is bounded by the rooms of handlers and the windows of the client.
        assert!(self.driver.session.held() < 12 << 20, "{} bytes", self.driver.session.held());
    }

    fn stream(&mut self, id: u64) -> &mut Stream {
        self.streams.get_mut(&id).unwrap_or_else(|| panic!("no stream {id}"))
    }

    /// Lets both sides read and take until all calls have ended.
    fn settle(&mut self) {
        self.take(&Step::Hold(false));
        self.take(&Step::Block(false));
        while let Some(id) = self.pick(0, |stream| !stream.is_finished) {
            let which = self.streams.range(..id).filter(|(_, s)| !s.is_over && !s.is_finished).count();
            self.take(&Step::Finish(which));
        }
        for _ in 0..10_000 {
            let running = self.streams.values().filter(|stream| !stream.is_over).count();
            if running == 0 {
                break;
            }
            self.take(&Step::Collect);
            for which in 0..running {
                self.take(&Step::GiveCredit(which));
                self.take(&Step::Take(which));
            }
        }
        assert!(self.streams.values().all(|stream| stream.is_over), "a deadlock: {:?}", self.streams);
        self.take(&Step::Collect);
        self.take(&Step::Collect);
        assert!(self.driver.session.idle_since().is_some());
        // The other half may come later.
        assert!(self.to_server > TO_SERVER.1 / 2, "the window of the connection is lost");
        assert_eq!(self.driver.session.held(), 0);
    }
}

impl Stream {
    fn new(client_streams: bool, server_streams: bool) -> Self {
        Self {
            client_streams,
            server_streams,
            to_server: TO_SERVER.0,
            to_client: STREAM,
            owed: 0,
            is_ended: false,
            is_started: false,
            is_finished: false,
            sent: 0,
            delivered: 0,
            produced: 0,
            received: 0,
            untaken: 0,
            is_over: false,
        }
    }
}

fn cost(len: usize) -> i64 {
    (HEADER_LEN + len) as i64
}

proptest! {
    #[test]
    fn streams_keep_their_order_and_their_windows_and_all_calls_end(steps in vec(any_step(), 0..150)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.settle();
    }

    #[test]
    fn no_bytes_of_a_client_panic_or_grow_the_session(
        frames in vec((0..=0x16_u8, any::<u8>(), 0..4_u64, vec(any::<u8>(), 0..30)), 0..60),
    ) {
        let mut driver = Driver::greeted(|_| ());
        for (kind, flags, id, fields) in frames {
            let mut frame = ((10 + fields.len()) as u32).to_be_bytes().to_vec();
            frame.extend([kind, flags]);
            frame.extend(id.to_be_bytes());
            frame.extend(fields);
            if driver.end.is_none() && driver.session.wants_bytes() {
                driver.receive(&frame);
            }
        }
        prop_assert!(driver.session.held() < 64 << 10);
    }
}
