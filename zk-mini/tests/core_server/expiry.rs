//! Sessions end on time with all their nodes, whatever clients do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zk_mini::core::{Change, Config, ConnId};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

#[derive(Clone, Debug)]
enum Step {
    Connect { timeout: i32, ephemerals: usize },
    Ping(usize),
    Lose(usize),
    Resume { session: usize, timeout: i32 },
    Close(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8_usize;
    let timeout = 0..12_000_i32;
    prop_oneof![
        2 => (timeout.clone(), 0..3_usize).prop_map(|(timeout, ephemerals)| Step::Connect { timeout, ephemerals }),
        4 => index.clone().prop_map(Step::Ping),
        2 => index.clone().prop_map(Step::Lose),
        2 => (index.clone(), timeout).prop_map(|(session, timeout)| Step::Resume { session, timeout }),
        1 => index.prop_map(Step::Close),
        5 => (0..5_000_u64).prop_map(Step::Advance),
    ]
}

/// Expected state of a session.
struct Expected {
    credentials: Credentials,
    conn: ConnId,
    connected: bool,
    timeout: u64,
    last_heard: u64,
    ephemerals: Vec<String>,
    alive: bool,
}

struct World {
    t: Driver,
    tick: u64,
    watchers: [ConnId; 2],
    sessions: Vec<Expected>,
    /// Number of transactions that were checked.
    seen: usize,
}

impl World {
    fn new(tick: u64) -> Self {
        let (min, max) = (Some(Millis(tick)), Some(Millis(1_000_000)));
        let config = Config {
            tick: Millis(tick),
            min_session_timeout: min,
            max_session_timeout: max,
            ..Config::default()
        };
        let mut t = Driver::with(config);
        let watchers = [t.connect(1_000_000), t.connect(1_000_000)];
        Self { t, tick, watchers, sessions: Vec::new(), seen: 2 }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Connect { timeout, ephemerals } => self.connect(timeout, ephemerals),
            Step::Ping(i) => {
                if let Some(i) = self.pick(i).filter(|&i| self.sessions[i].connected) {
                    self.t.ping(self.sessions[i].conn);
                    self.sessions[i].last_heard = self.t.now.mono.0;
                }
            }
            Step::Lose(i) => {
                if let Some(i) = self.pick(i) {
                    self.t.lose(self.sessions[i].conn);
                    self.sessions[i].connected = false;
                }
            }
            Step::Resume { session, timeout } => {
                if let Some(i) = self.pick(session) {
                    self.resume(i, timeout);
                }
            }
            Step::Close(i) => {
                if let Some(i) = self.pick(i).filter(|&i| self.sessions[i].connected) {
                    self.t.call(self.sessions[i].conn, &CloseSession {}).unwrap();
                    self.sessions[i].alive = false;
                    self.take_end(i);
                }
            }
            Step::Advance(span) => self.t.advance(span),
        }
        self.check();
    }

    fn pick(&self, i: usize) -> Option<usize> {
        let alive: Vec<_> = (0..self.sessions.len()).filter(|&i| self.sessions[i].alive).collect();
        alive.get(i.checked_rem(alive.len())?).copied()
    }

    fn connect(&mut self, timeout: i32, ephemerals: usize) {
        let conn = self.t.connect(timeout);
        let n = self.sessions.len();
        let ephemerals: Vec<_> = (0..ephemerals).map(|i| format!("/s{n}-{i}")).collect();
        for path in &ephemerals {
            self.t.call(conn, &create(path, CreateMode::Ephemeral)).unwrap();
            for watcher in self.watchers {
                self.t.call(watcher, &exists(path, true)).unwrap();
            }
        }
        self.sessions.push(Expected {
            credentials: self.t.credentials(conn),
            conn,
            connected: true,
            timeout: u64::try_from(timeout).unwrap().max(self.tick),
            last_heard: self.t.now.mono.0,
            ephemerals,
            alive: true,
        });
    }

    fn resume(&mut self, i: usize, timeout: i32) {
        let (conn, response) = self.t.resume(&self.sessions[i].credentials, timeout);
        let session = &mut self.sessions[i];
        assert_eq!(response.session_id, session.credentials.id);
        session.conn = conn;
        session.connected = true;
        session.timeout = u64::try_from(timeout).unwrap().max(self.tick);
        session.last_heard = self.t.now.mono.0;
    }

    /// Checks that every watcher got an event for each ephemeral node of a session, exactly once.
    fn take_end(&mut self, i: usize) {
        for watcher in self.watchers {
            let deleted = self.t.events(watcher);
            for path in &self.sessions[i].ephemerals {
                let heard = deleted.iter().filter(|(_, heard)| heard == path).count();
                assert_eq!(heard, 1, "{path}");
            }
            assert!(deleted.iter().all(|(kind, _)| *kind == EventType::NODE_DELETED));
            assert_eq!(deleted.len(), self.sessions[i].ephemerals.len());
        }
    }

    fn check(&mut self) {
        let wall_at_start = self.t.now.wall.0 - i64::try_from(self.t.now.mono.0).unwrap();
        let mut heard: BTreeMap<String, usize> = BTreeMap::new();
        for watcher in self.watchers {
            for (kind, path) in self.t.events(watcher) {
                assert_eq!(kind, EventType::NODE_DELETED);
                *heard.entry(path).or_default() += 1;
            }
        }
        for txn in &self.t.txns[self.seen..] {
            let Change::CloseSession { ephemerals } = &txn.change else { continue };
            let session = self.sessions.iter_mut().find(|session| session.credentials.id == txn.session);
            let session = session.expect("only known sessions end");
            if !session.alive {
                continue;
            }
            session.alive = false;
            let at = u64::try_from(txn.time.0 - wall_at_start).unwrap();
            let due = session.last_heard + session.timeout;
            assert!(at > due, "never early: {at} {due}");
            assert!(at <= due + self.tick, "at most one tick late: {at} {due}");
            assert_eq!(
                ephemerals.as_ref().unwrap().len(),
                session.ephemerals.len(),
                "all in one transaction"
            );
            for path in &session.ephemerals {
                assert_eq!(heard.remove(path), Some(self.watchers.len()), "{path}");
            }
            assert_eq!(self.t.is_closed(session.conn), session.connected);
        }
        assert!(heard.is_empty(), "{heard:?}");
        self.seen = self.t.txns.len();
        for session in self.sessions.iter().filter(|session| session.alive) {
            assert!(self.t.now.mono.0 <= session.last_heard + session.timeout + self.tick, "overdue");
        }
        invariants::check(&self.t.core);
    }
}

proptest! {
    #[test]
    fn sessions_end_neither_early_nor_more_than_a_tick_late(
        tick in prop_oneof![Just(2_000_u64), Just(100), Just(7), Just(1)],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(tick);
        for step in &steps {
            world.run(step);
        }
    }
}
