//! Any plan of streams against a model of a server that keeps the rules.

use std::collections::{BTreeMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_wire::{ReceiveWindow, SendWindow};

use super::*;

const BUDGET: Budget = Budget { stream: 400, connection: 1_000, calls: 1 << 20 };

#[derive(Clone, Debug)]
enum Step {
    Open,
    Send(usize, usize),
    Finish(usize),
    Read(usize),
    Cancel(usize),
    Release(usize),
    /// Messages of these lengths that arrive together.
    ServerSends(usize, Vec<usize>),
    ServerTakes(usize),
    ServerReplies(usize),
    Deaf(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let stream = || 0..6_usize;
    prop_oneof![
        4 => Just(Step::Open),
        12 => (stream(), 0..300_usize).prop_map(|(n, len)| Step::Send(n, len)),
        2 => stream().prop_map(Step::Finish),
        10 => stream().prop_map(Step::Read),
        1 => stream().prop_map(Step::Cancel),
        2 => stream().prop_map(Step::Release),
        16 => (stream(), vec(0..300_usize, 1..4)).prop_map(|(n, lens)| Step::ServerSends(n, lens)),
        10 => stream().prop_map(Step::ServerTakes),
        2 => stream().prop_map(Step::ServerReplies),
        3 => any::<bool>().prop_map(Step::Deaf),
    ]
}

/// The server: what it may send, what it takes, and what it has sent and not been asked for.
struct Server {
    sending: SendWindow,
    receiving: ReceiveWindow,
    streams: BTreeMap<CallId, ServerStream>,
}

struct ServerStream {
    sending: SendWindow,
    receiving: ReceiveWindow,
    /// Costs of messages that were not taken.
    waiting: VecDeque<usize>,
    is_finished: bool,
    /// Lengths of messages that the client's reader has not seen.
    unread: VecDeque<usize>,
}

struct Plan {
    t: Driver,
    server: Server,
    /// Streams of the client that were not released, the latest last.
    held: Vec<CallId>,
}

impl Plan {
    fn new() -> Self {
        let mut t = Driver::new();
        let config = Config { budget: BUDGET, ..(*t.session.config).clone() };
        t.session = Session::new(Arc::new(config), HELLO_DEADLINE);
        t.drain();
        t.taken.clear();
        let Frame::Hello(hello) = hello("test") else { panic!("a hello") };
        t.frame(&Frame::Hello(Hello { budget: Some(BUDGET), ..hello }));
        let (sending, receiving) =
            (SendWindow::new(BUDGET.connection), ReceiveWindow::new(BUDGET.connection));
        Self { t, server: Server { sending, receiving, streams: BTreeMap::new() }, held: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open => {
                if let Ok(id) = self.t.session.open(self.t.now, new_stream(), 0) {
                    self.held.push(id);
                }
                self.t.drain();
            }
            Step::Send(n, len) => drop(self.held(n).map(|id| self.t.send(id, len))),
            Step::Finish(n) => {
                if let Some(id) = self.held(n) {
                    self.t.session.finish(id);
                    self.t.drain();
                }
            }
            Step::Read(n) => drop(self.held(n).map(|id| self.read(id))),
            Step::Cancel(n) => {
                if let Some(id) = self.held(n) {
                    self.t.input(Input::Cancel(id));
                    self.server.streams.entry(id).and_modify(|stream| stream.unread.clear());
                }
            }
            Step::Release(n) => {
                if let Some(id) = self.held(n) {
                    self.held.retain(|held| *held != id);
                    self.t.session.release(id);
                    self.t.drain();
                }
            }
            Step::ServerSends(n, lens) => self.server_sends(n, &lens),
            Step::ServerTakes(n) => self.server_takes(n),
            Step::ServerReplies(n) => {
                if let Some(id) = self.running(n) {
                    self.server.streams.remove(&id).into_iter().for_each(|stream| self.give_back(&stream));
                    self.t.reply(id);
                }
            }
            Step::Deaf(is_deaf) => {
                self.t.is_deaf = is_deaf;
                self.t.drain();
            }
        }
        self.serve();
    }

    fn held(&self, n: usize) -> Option<CallId> {
        self.held.get(self.held.len().checked_sub(1 + n)?).copied()
    }

    fn running(&self, n: usize) -> Option<CallId> {
        self.server.streams.keys().nth(n).copied()
    }

    fn read(&mut self, id: CallId) {
        let (lens, _) = self.t.read(id);
        if let Some(stream) = self.server.streams.get_mut(&id) {
            for len in lens {
                assert_eq!(stream.unread.pop_front(), Some(len), "in their order");
            }
        }
    }

    fn server_sends(&mut self, n: usize, lens: &[usize]) {
        let Some(id) = self.running(n) else { return };
        let Some(stream) = self.server.streams.get_mut(&id) else { return };
        let mut bytes = Vec::new();
        for &len in lens {
            if stream.sending.is_open() && self.server.sending.is_open() {
                stream.sending.spend(SendWindow::cost(len));
                self.server.sending.spend(SendWindow::cost(len));
                stream.unread.push_back(len);
                let message = Message { id, payload: &vec![b'y'; len] };
                Frame::Message(message).encode(&mut bytes, MAX_FRAME).unwrap();
            }
        }
        self.t.bytes(&bytes);
    }

    fn server_takes(&mut self, n: usize) {
        let Some(id) = self.running(n) else { return };
        let Some(stream) = self.server.streams.get_mut(&id) else { return };
        let Some(cost) = stream.waiting.pop_front() else { return };
        if let Some(bytes) = stream.receiving.take(cost) {
            self.t.credit(id, bytes);
        }
        self.credit_connection(cost);
    }

    fn give_back(&mut self, stream: &ServerStream) {
        stream.waiting.iter().for_each(|cost| self.credit_connection(*cost));
    }

    fn credit_connection(&mut self, cost: usize) {
        if let Some(bytes) = self.server.receiving.take(cost) {
            self.t.credit(CallId(0), bytes);
        }
    }

    /// The server handles the frames that it has taken.
    fn serve(&mut self) {
        let mut bytes = BytesMut::from(&*mem::take(&mut self.t.taken));
        while let Some(body) = next_frame(&mut bytes, MAX_FRAME).unwrap() {
            match Frame::decode(&body).unwrap() {
                Frame::Request(request) => {
                    let (sending, receiving) =
                        (SendWindow::new(BUDGET.stream), ReceiveWindow::new(BUDGET.stream));
                    let (waiting, unread) = (VecDeque::new(), VecDeque::new());
                    let stream = ServerStream { sending, receiving, waiting, is_finished: false, unread };
                    assert!(self.server.streams.insert(request.id, stream).is_none());
                }
                Frame::Message(Message { id, payload }) => {
                    let cost = SendWindow::cost(payload.len());
                    assert!(self.server.receiving.receive(cost), "no credit of the connection");
                    match self.server.streams.get_mut(&id) {
                        Some(stream) => {
                            assert!(!stream.is_finished && stream.receiving.receive(cost), "no credit");
                            stream.waiting.push_back(cost);
                        }
                        None => self.credit_connection(cost),
                    }
                }
                Frame::End(id) => {
                    if let Some(stream) = self.server.streams.get_mut(&id) {
                        assert!(!mem::replace(&mut stream.is_finished, true));
                    }
                }
                Frame::Credit(Credit { id: CallId(0), bytes }) => assert!(self.server.sending.grant(bytes)),
                Frame::Credit(Credit { id, bytes }) => {
                    let stream = self.server.streams.get_mut(&id);
                    assert!(stream.is_none_or(|stream| stream.sending.grant(bytes)));
                }
                Frame::Cancel(id) => {
                    let stream = self.server.streams.remove(&id);
                    stream.iter().for_each(|stream| self.give_back(stream));
                }
                frame => panic!("{frame:?}"),
            }
        }
    }
}

proptest! {
    /// The client never sends without credit and never sees one in a server that keeps the rules; messages arrive in their
    /// order; and when all is read, the server may send again.
    #[test]
    fn credit_is_kept_by_both_and_comes_back(steps in vec(any_step(), 0..200)) {
        let mut plan = Plan::new();
        for step in steps {
            plan.take(step);
            let is_closed = plan.t.told().iter().any(|output| matches!(output, Output::Closed(_)));
            prop_assert!(!is_closed, "it is left");
        }
        plan.take(Step::Deaf(false));
        // Twice, because what is read lets the server send more.
        for _ in 0..2 {
            for id in plan.held.clone() {
                plan.read(id);
            }
            plan.serve();
        }
        prop_assert!(plan.server.sending.is_open());
        for (id, stream) in &plan.server.streams {
            prop_assert!(!plan.held.contains(id) || stream.sending.is_open() && stream.unread.is_empty());
        }
        for id in plan.held.clone() {
            plan.t.session.release(id);
        }
        plan.t.drain();
        plan.serve();
        prop_assert_eq!(plan.t.session.in_flight(), 0);
        prop_assert!(plan.server.streams.is_empty(), "each one that goes on was cancelled");
    }
}
