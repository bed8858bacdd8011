//! Random rules against random clients: the same run is the same byte for byte, and nothing is left when the rules are gone.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use zk_mini::core::{Config, ConnId, Core, FaultId, Input, Output, Peer};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

#[derive(Clone, Debug)]
enum Step {
    Rule(On, Then),
    Remove(usize),
    Connect { timeout: i32 },
    Resume(usize),
    Ask(usize, Ask),
    Lose(usize),
    Expire(usize),
    Restart,
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Create(&'static str, CreateMode),
    Delete(&'static str),
    Exists(&'static str),
    Children,
    Multi(&'static str),
    SetWatches(&'static str),
    Ping,
    CloseSession,
}

const PATHS: [&str; 4] = ["/a", "/b", "/a/c", "/d"];

fn on() -> impl Strategy<Value = On> {
    let kind = prop_oneof![
        Just(On::any()),
        Just(On::any().path("/**")),
        Just(On::create("/*")),
        Just(On::exists("/a")),
        Just(On::multi()),
        Just(On::op(OpCode::CLOSE_SESSION)),
        Just(On::op(OpCode::CREATE_SESSION)),
        Just(On::op(OpCode::PING)),
        Just(On::any_event("/**")),
        Just(On::event(EventType::NODE_DELETED, "/*")),
        Just(On::connect()),
        Just(On::reattach()),
        Just(On::expiry()),
    ];
    (kind, 0..5_u64, any::<u64>()).prop_map(|(on, choice, seed)| match choice {
        0 => on.probability(0.4, seed),
        1 => on.nth(1 + seed % 3).every(2),
        2 => on.probability(0.7, seed).times(3),
        3 => on.nth(1 + seed % 5),
        _ => on,
    })
}

fn then() -> impl Strategy<Value = Then> {
    let span = (0..9_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        Just(Then::fail(ErrorCode::API_ERROR)),
        Just(Then::disconnect()),
        Just(Then::apply_and_lose_reply()),
        Just(Then::be_silent()),
        Just(Then::apply_and_be_silent()),
        Just(Then::refuse()),
        Just(Then::drop_event()),
        span.clone().prop_map(Then::delay),
        span.clone().prop_map(Then::apply_and_delay_reply),
        span.clone().prop_map(Then::hold_ephemerals),
        (span, 1..5_000_u64).prop_map(|(latency, rate)| Then::slow(latency, rate)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let path = || select(&PATHS[..]);
    prop_oneof![
        4 => path().prop_map(|path| Ask::Create(path, CreateMode::Ephemeral)),
        2 => path().prop_map(|path| Ask::Create(path, CreateMode::Persistent)),
        1 => path().prop_map(|path| Ask::Create(path, CreateMode::EphemeralSequential)),
        2 => path().prop_map(Ask::Delete),
        4 => path().prop_map(Ask::Exists),
        2 => Just(Ask::Children),
        1 => path().prop_map(Ask::Multi),
        1 => path().prop_map(Ask::SetWatches),
        3 => Just(Ask::Ping),
        1 => Just(Ask::CloseSession),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..6_usize;
    prop_oneof![
        3 => (on(), then()).prop_map(|(on, then)| Step::Rule(on, then)),
        1 => index.clone().prop_map(Step::Remove),
        2 => (0..12_000_i32).prop_map(|timeout| Step::Connect { timeout }),
        2 => index.clone().prop_map(Step::Resume),
        12 => (index.clone(), ask()).prop_map(|(conn, ask)| Step::Ask(conn, ask)),
        1 => index.clone().prop_map(Step::Lose),
        1 => index.prop_map(Step::Expire),
        1 => Just(Step::Restart),
        4 => (0..6_000_u64).prop_map(Step::Advance),
    ]
}

/// A core and its clients. Each client knows the last session that it was given.
struct World {
    t: Driver,
    conns: Vec<(ConnId, bool)>,
    sessions: Vec<Credentials>,
    rules: Vec<FaultId>,
    /// Everything that has left the core.
    outputs: Vec<Output>,
}

impl World {
    fn new() -> Self {
        let t = Driver::with(Config { seed: 7, ..Config::default() });
        Self { t, conns: Vec::new(), sessions: Vec::new(), rules: Vec::new(), outputs: Vec::new() }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Rule(on, then) => {
                if let Ok(rule) = Rule::new(on.clone(), *then) {
                    self.rules.push(self.t.core.add_fault(rule, None).unwrap());
                }
            }
            Step::Remove(n) => {
                if let Some(at) = n.checked_rem(self.rules.len()) {
                    self.t.core.remove_fault(self.t.now, self.rules.remove(at));
                }
            }
            Step::Connect { timeout } => self.connect(&connect_request(*timeout)),
            Step::Resume(n) => {
                if let Some(at) = n.checked_rem(self.sessions.len()) {
                    let Credentials { id, password } = self.sessions[at].clone();
                    self.connect(&ConnectRequest { session_id: id, password, ..connect_request(8_000) });
                }
            }
            Step::Ask(n, ask) => {
                if let Some(conn) = self.open(*n) {
                    self.input(Input::Frame { conn, frame: frame(*ask) });
                }
            }
            Step::Lose(n) => {
                if let Some(conn) = self.open(*n) {
                    self.input(Input::Closed { conn });
                    self.end(conn);
                }
            }
            Step::Expire(n) => {
                if let Some(at) = n.checked_rem(self.sessions.len()) {
                    self.input(Input::Expire { session: self.sessions[at].id });
                }
            }
            Step::Restart => self.t.core.restart(self.t.now),
            Step::Advance(span) => self.advance(*span),
        }
        self.drain();
    }

    fn open(&self, n: usize) -> Option<ConnId> {
        let open: Vec<_> = self.conns.iter().filter(|(_, open)| *open).collect();
        Some(open[n.checked_rem(open.len())?].0)
    }

    fn end(&mut self, conn: ConnId) {
        self.conns.iter_mut().filter(|(id, _)| *id == conn).for_each(|(_, open)| *open = false);
    }

    fn connect(&mut self, request: &ConnectRequest) {
        let conn = ConnId(u64::try_from(self.conns.len()).unwrap() + 1);
        self.conns.push((conn, true));
        self.input(Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
        self.input(Input::Frame { conn, frame: encode(request) });
    }

    fn advance(&mut self, span: u64) {
        let end = self.t.now.mono + Millis(span);
        while let Some(at) = self.t.core.poll_deadline().filter(|at| *at <= end) {
            self.t.now.mono = self.t.now.mono.max(at);
            self.input(Input::Timeout);
        }
        self.t.now.mono = end;
    }

    fn input(&mut self, input: Input) {
        self.t.core.handle(self.t.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.t.core.poll_output() {
            match &output {
                Output::Close { conn } => {
                    assert!(
                        self.conns.contains(&(*conn, true)),
                        "{conn:?} is closed once, and not after its loss"
                    );
                    self.end(*conn);
                }
                Output::Send { conn, frame } => {
                    assert!(
                        self.conns.contains(&(*conn, true)),
                        "nothing is sent to {conn:?}, which has ended"
                    );
                    if let Ok(answer) = decode_all::<ConnectResponse>(frame.slice(4..))
                        && answer.session_id != SessionId::NONE
                        && answer.password.as_ref().is_some_and(|password| password.len() == 16)
                    {
                        let (id, password) = (answer.session_id, answer.password);
                        self.sessions.push(Credentials { id, password });
                    }
                }
                _ => {}
            }
            self.outputs.push(output);
        }
    }

    /// Removes the rules, lets all time pass, and checks that nothing is left.
    fn finish(&mut self) {
        for id in std::mem::take(&mut self.rules) {
            self.t.core.remove_fault(self.t.now, id);
        }
        self.drain();
        self.advance(1_000_000);
        invariants::check(&self.t.core);
        assert_eq!((self.t.core.session_count(), self.t.core.ephemeral_count()), (0, 0));
        let core = &self.t.core;
        assert_eq!(core.poll_deadline(), None, "nothing is held");
    }
}

fn frame(ask: Ask) -> bytes::Bytes {
    fn request<R: Request>(record: &R) -> bytes::Bytes {
        [encode(&RequestHeader { xid: Xid(1), op: R::OP }), encode(record)].concat().into()
    }
    match ask {
        Ask::Create(path, mode) => request(&create(path, mode)),
        Ask::Delete(path) => request(&delete(path)),
        Ask::Exists(path) => request(&exists(path, true)),
        Ask::Children => request(&get_children("/", true)),
        Ask::Multi(path) => request(&Multi {
            ops: vec![
                MultiOp::Create(create(path, CreateMode::Ephemeral)),
                MultiOp::Create(create("/m-", CreateMode::EphemeralSequential)),
            ],
        }),
        Ask::SetWatches(path) => request(&SetWatches {
            relative_zxid: Zxid(1),
            data_watches: vec![path.into()],
            exist_watches: vec!["/a".into()],
            child_watches: vec!["/".into()],
        }),
        Ask::Ping => encode(&RequestHeader { xid: Xid::PING, op: OpCode::PING }),
        Ask::CloseSession => request(&CloseSession {}),
    }
}

/// The state without its history, as a log would give it again.
fn replayed(outputs: &[Output], end: zk_mini::core::Now) -> Core {
    let mut core = Core::new(Config { seed: 7, ..Config::default() });
    for output in outputs {
        if let Output::Persist(txn) = output {
            core.replay(end, txn.clone());
        }
    }
    core
}

proptest! {
    #[test]
    fn the_same_run_with_rules_is_the_same_and_leaves_nothing(steps in proptest::collection::vec(step(), 1..80)) {
        let run = || {
            let mut world = World::new();
            for step in &steps {
                world.run(step);
            }
            let (log, image) = (replayed(&world.outputs, world.t.now).image(), world.t.core.image());
            assert_eq!(log, image, "the log is the state, also while nodes are held");
            world.finish();
            world
        };
        let (once, again) = (run(), run());
        prop_assert_eq!(once.outputs, again.outputs);
        prop_assert_eq!(once.t.core.faults(), again.t.core.faults());
    }
}
