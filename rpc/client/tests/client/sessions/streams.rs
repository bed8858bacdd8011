//! Streams of the client's session against the server's, whose handlers send each message back when they get round to it.
//!
//! Both keep the credit that the other gives, each message comes back in its order, and nothing is left at the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use common::Millis;
use proptest::collection::vec;
use proptest::prelude::*;
use rpc_client::session as client;
use rpc_client::session::{Batch, NewStream, Received, Transmission, next_input};
use rpc_server::Limits;
use rpc_server::session as server;
use rpc_server::session::{MethodKind, MethodTable, Replies, Segment, Taken, Turn};
use rpc_wire::{Budget, CallId, Format, Frame, Message, MetadataRef, Reply, SendWindow, next_message};

const MAX_FRAME: usize = 1 << 20;
const NOW: Millis = Millis(1);

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Send(usize, usize),
    Finish(usize),
    Read(usize),
    Release(usize),
    /// A handler takes a message and sends it back.
    Echo(usize),
    Pass,
}

fn any_step() -> impl Strategy<Value = Step> {
    let stream = || 0..4_usize;
    prop_oneof![
        2 => Just(Step::Open),
        12 => (stream(), prop_oneof![0..100_usize, 0..90_000_usize]).prop_map(|(n, len)| Step::Send(n, len)),
        2 => stream().prop_map(Step::Finish),
        6 => stream().prop_map(Step::Read),
        1 => stream().prop_map(Step::Release),
        12 => stream().prop_map(Step::Echo),
        8 => Just(Step::Pass),
    ]
}

#[derive(Debug, Default)]
struct Sent {
    /// Lengths of messages that have not come back.
    out: VecDeque<usize>,
    is_ended: bool,
}

struct Pair {
    client: client::Session<(), u32>,
    server: server::Session<CallId>,
    transmission: Transmission,
    input: BytesMut,
    /// Streams that were not released.
    held: BTreeMap<CallId, Sent>,
    /// Lengths of the messages that wait for each handler; `None` is the end.
    handlers: BTreeMap<CallId, VecDeque<Option<usize>>>,
}

impl Pair {
    fn new() -> Self {
        let config = client::Config {
            service: "test".into(),
            format: Format::JSON,
            max_frame: MAX_FRAME,
            keepalive: Millis(3_000),
            max_queued: 1 << 20,
            budget: Budget { stream: 30_000, connection: 80_000, calls: 1 << 20 },
        };
        let shared = server::SessionConfig {
            instance: "a".into(),
            limits: Limits::default(),
            methods: MethodTable::new([("test".into(), [("echo".to_owned(), MethodKind::BidiStream)])]),
            quota: None,
            metrics: Arc::default(),
        };
        let mut pair = Self {
            client: client::Session::new(Arc::new(config), Millis(1_000)),
            server: server::Session::new(Arc::new(shared), NOW),
            transmission: Transmission::default(),
            input: BytesMut::new(),
            held: BTreeMap::new(),
            handlers: BTreeMap::new(),
        };
        pair.pass();
        pair
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open => {
                let metadata = MetadataRef::default();
                let new = NewStream {
                    method: "echo",
                    payload: b"",
                    metadata,
                    deadline: None,
                    sends: true,
                    receives: true,
                };
                let id = self.client.open(NOW, new, 0).unwrap();
                self.held.insert(id, Sent::default());
            }
            Step::Send(n, len) => {
                if let Some((id, sent)) = self.held.iter_mut().nth(n)
                    && self.client.send(*id, &vec![b'x'; len]).is_ok()
                {
                    sent.out.push_back(len);
                }
            }
            Step::Finish(n) => {
                if let Some(id) = self.held.keys().nth(n) {
                    self.client.finish(*id);
                }
            }
            Step::Read(n) => self.read(n),
            Step::Release(n) => {
                if let Some(id) = self.held.keys().nth(n).copied() {
                    self.held.remove(&id);
                    self.client.release(id);
                }
            }
            Step::Echo(n) => drop(self.echo(n)),
            Step::Pass => self.pass(),
        }
    }

    fn read(&mut self, n: usize) {
        let Some((id, sent)) = self.held.iter_mut().nth(n) else { return };
        let mut batch = Batch::default();
        loop {
            match self.client.receive(*id, &mut batch) {
                Received::Messages => {
                    while let Some(message) = batch.next_message() {
                        assert_eq!(sent.out.pop_front(), Some(message.len()), "in their order");
                    }
                }
                Received::Nothing => return,
                Received::End(end) => {
                    end.unwrap();
                    assert!(sent.out.is_empty(), "the end comes last");
                    sent.is_ended = true;
                    return;
                }
            }
        }
    }

    /// Returns true if there was something to do.
    fn echo(&mut self, n: usize) -> bool {
        let Some((id, waiting)) = self.handlers.iter_mut().nth(n) else { return false };
        let (id, Some(next)) = (*id, waiting.pop_front()) else { return false };
        let (mut replies, is_end) = (Replies::default(), next.is_none());
        let payload = &vec![b'y'; next.unwrap_or_default()];
        let frame = match next {
            Some(_) => Frame::Message(Message { id, payload }),
            None => Frame::Reply(Reply::ok(id, b"")),
        };
        frame.encode(&mut replies.frames, MAX_FRAME).unwrap();
        replies.segments.push(Segment { id, len: replies.frames.len(), is_end });
        replies.taken.extend(next.map(|len| Taken { id, bytes: SendWindow::cost(len) }));
        if is_end {
            self.handlers.remove(&id);
        }
        self.tell(server::Input::Replies(replies));
        true
    }

    /// Moves all bytes both ways, as far as they go without a reader.
    fn pass(&mut self) {
        for _ in 0..20 {
            self.client.transmit(&mut self.transmission);
            let rest = self.transmission.rest().to_vec();
            self.transmission.advance(rest.len());
            if !rest.is_empty() && self.server.wants_bytes() {
                self.server.read_buffer().extend_from_slice(&rest);
                self.tell(server::Input::Received);
            }
            while self.server.wants_turn() {
                self.tell(server::Input::Turn(Turn::default()));
            }
            if let Some(bytes) = self.server.transmit() {
                self.input.extend_from_slice(&bytes);
                self.tell(server::Input::Wrote(bytes.len()));
            }
            while let Some(input) = next_input(&mut self.input, MAX_FRAME).unwrap() {
                self.client.handle(NOW, input);
            }
            while let Some(output) = self.client.poll_output() {
                assert!(!matches!(output, client::Output::Closed(_)), "{output:?}");
            }
        }
    }

    fn tell(&mut self, input: server::Input<CallId>) {
        self.server.handle(NOW, input);
        loop {
            let next = match self.server.poll_output() {
                Some(server::Output::Start(start)) => {
                    let id = start.call.id;
                    self.handlers.insert(id, VecDeque::new());
                    server::Input::Returned { task: Some(id), turn: None }
                }
                Some(server::Output::Messages(delivery)) => {
                    let waiting = self.handlers.get_mut(delivery.task).unwrap();
                    let mut rest = delivery.messages.map_or(&[][..], |run| run.frames);
                    while let Some((payload, behind)) = next_message(rest) {
                        waiting.push_back(Some(payload.len()));
                        rest = behind;
                    }
                    if delivery.messages.is_none() {
                        waiting.push_back(None);
                    }
                    server::Input::Delivered { turn: None }
                }
                Some(server::Output::Abort { task: id, .. }) => {
                    self.handlers.remove(&id);
                    continue;
                }
                Some(server::Output::Close(end)) => panic!("{end:?}"),
                Some(_) => continue,
                None => return,
            };
            self.server.handle(NOW, next);
        }
    }
}

proptest! {
    #[test]
    fn each_message_comes_back_once_and_credit_does_not_run_dry(steps in vec(any_step(), 0..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
        }
        (0..pair.held.len()).for_each(|n| pair.take(Step::Finish(n)));
        for _ in 0..200 {
            pair.pass();
            (0..pair.held.len()).for_each(|n| pair.read(n));
            (0..pair.handlers.len()).for_each(|n| while pair.echo(n) {});
        }
        for (id, sent) in &pair.held {
            prop_assert!(sent.is_ended, "{id}: {sent:?}");
        }
        for id in std::mem::take(&mut pair.held).into_keys() {
            pair.client.release(id);
        }
        pair.pass();
        prop_assert_eq!(pair.client.in_flight(), 0);
        prop_assert!(pair.handlers.is_empty());
    }
}
