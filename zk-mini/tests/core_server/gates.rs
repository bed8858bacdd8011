//! Any order of freezes, thaws, delays, closes and moves of the clock: a connection that lives misses nothing and hears
//! everything in order, and one that has ended has heard a beginning of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Input, On, Part, Rule, Then};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

const CONNS: u64 = 5;
const LISTENERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// The connection creates a node; those that watch the root get an event.
    Send(u64),
    /// Its next request, or else the reply, is delayed by some milliseconds.
    Delay(u64, u64),
    DelayReply(u64, u64),
    /// The next event for it is delayed.
    DelayEvent(u64, u64),
    Freeze(Frozen),
    Thaw(Frozen),
    /// Its peer closes the connection.
    Close(u64),
    /// The server closes it.
    Disconnect(u64),
    Expire(u64),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Frozen {
    Server,
    Listener(usize),
    Session(u64),
    Connection(u64),
}

fn frozen() -> impl Strategy<Value = Frozen> {
    prop_oneof![
        1 => Just(Frozen::Server),
        2 => (0..LISTENERS).prop_map(Frozen::Listener),
        3 => (0..CONNS).prop_map(Frozen::Session),
        3 => (0..CONNS).prop_map(Frozen::Connection),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..CONNS).prop_map(Step::Send),
        1 => (0..CONNS, 1..5_000_u64).prop_map(|(conn, by)| Step::Delay(conn, by)),
        1 => (0..CONNS, 1..5_000_u64).prop_map(|(conn, by)| Step::DelayReply(conn, by)),
        1 => (0..CONNS, 1..5_000_u64).prop_map(|(conn, by)| Step::DelayEvent(conn, by)),
        4 => frozen().prop_map(Step::Freeze),
        4 => frozen().prop_map(Step::Thaw),
        1 => (0..CONNS).prop_map(Step::Close),
        1 => (0..CONNS).prop_map(Step::Disconnect),
        1 => (0..CONNS).prop_map(Step::Expire),
        3 => (0..3_000_u64).prop_map(Step::Pass),
    ]
}

/// Connections that take part, each with its session and the number of requests that it has sent.
struct World {
    t: Driver,
    conns: Vec<(ConnId, SessionId)>,
    sent: BTreeMap<ConnId, i32>,
    /// Connections that their peers have closed.
    left: BTreeSet<ConnId>,
    /// Connections that the server was asked to close.
    closed: BTreeSet<ConnId>,
}

impl World {
    fn new() -> Self {
        let mut t = Driver::with(Config { max_session_timeout: Some(Millis(1 << 40)), ..Config::default() });
        let conns = (0..CONNS).map(|n| {
            let conn = t.accept_at(usize::try_from(n).ok().map(|n| n % LISTENERS));
            let granted = t.handshake(conn, &connect_request(i32::MAX));
            let watch = AddWatch { path: "/".into(), mode: 1 };
            assert_eq!(t.raw(conn, OpCode::ADD_WATCH, &encode(&watch)).1, ErrorCode::OK);
            (conn, granted.session_id)
        });
        let conns = conns.collect();
        Self { t, conns, sent: BTreeMap::new(), left: BTreeSet::new(), closed: BTreeSet::new() }
    }

    fn part(&self, frozen: Frozen) -> Part {
        let of = |n: u64| self.conns[usize::try_from(n).expect("few")];
        match frozen {
            Frozen::Server => Part::Server,
            Frozen::Listener(listener) => Part::Listener(listener),
            Frozen::Session(n) => Part::Session(of(n).1),
            Frozen::Connection(n) => Part::Connection(of(n).0),
        }
    }

    fn take(&mut self, step: &Step) {
        let of = |n: &u64| self.conns[usize::try_from(*n).expect("few")];
        match step {
            Step::Send(n) => {
                let (conn, _) = of(n);
                if self.left.contains(&conn) || self.t.is_closed(conn) {
                    return;
                }
                let xid = self.sent.entry(conn).or_default();
                *xid += 1;
                let record = create(&format!("/{}-{xid}", conn.0), CreateMode::Persistent);
                let frame =
                    [&xid.to_be_bytes()[..], &OpCode::CREATE.0.to_be_bytes(), &encode(&record)].concat();
                self.t.frame(conn, frame.into());
            }
            Step::Delay(n, by) => self.rule(On::create("/**").connection(of(n).0), Then::delay, *by),
            Step::DelayReply(n, by) => {
                self.rule(On::create("/**").connection(of(n).0), Then::apply_and_delay_reply, *by);
            }
            Step::DelayEvent(n, by) => {
                self.rule(On::any_event("/**").connection(of(n).0), Then::delay, *by);
            }
            Step::Freeze(frozen) => self.t.input(Input::Freeze { part: self.part(*frozen) }),
            Step::Thaw(frozen) => self.t.input(Input::Thaw { part: self.part(*frozen) }),
            Step::Close(n) => {
                let (conn, _) = of(n);
                // The owner of a core says so once, and not after it has closed the connection.
                if !self.t.is_closed(conn) && self.left.insert(conn) {
                    self.t.lose(conn);
                }
            }
            Step::Disconnect(n) => {
                self.closed.insert(of(n).0);
                self.t.input(Input::Disconnect { conn: of(n).0 });
            }
            Step::Expire(n) => {
                self.closed.insert(of(n).0);
                self.t.input(Input::Expire { session: of(n).1 });
            }
            Step::Pass(span) => {
                self.t.stall(*span);
                self.t.input(Input::Timeout);
            }
        }
        invariants::check(&self.t.core);
    }

    fn rule(&mut self, on: On, then: fn(Duration) -> Then, millis: u64) {
        let rule = Rule::new(on.times(1), then(Duration::from_millis(millis))).expect("a rule");
        self.t.core.add_fault(rule, None).expect("room for it");
    }

    /// Thaws everything, and waits until all delays are over.
    fn thaw_all(&mut self) {
        let mut parts = vec![Part::Server];
        parts.extend((0..LISTENERS).map(Part::Listener));
        for (conn, session) in &self.conns {
            parts.extend([Part::Connection(*conn), Part::Session(*session)]);
        }
        for part in parts {
            self.t.input(Input::Thaw { part });
        }
        self.t.catch_up();
        self.t.advance(1_000_000);
    }

    fn check(&self) {
        for (conn, _) in &self.conns {
            let heard = self.t.heard(*conn);
            let mut zxids = Vec::new();
            // The first reply is that to the watch.
            let xids = heard.iter().filter_map(|heard| match heard {
                Heard::Reply { xid, zxid, .. } => {
                    zxids.push(*zxid);
                    Some(xid.0)
                }
                Heard::Event { zxid, .. } => {
                    zxids.push(*zxid);
                    None
                }
                _ => None,
            });
            let xids: Vec<_> = xids.skip(1).collect();
            zxids.retain(|zxid| *zxid != -1);
            assert!(zxids.is_sorted(), "{conn:?} never sees the past after the present");
            let in_order: Vec<_> = (1..=i32::try_from(xids.len()).expect("few")).collect();
            assert_eq!(xids, in_order, "{conn:?} hears everything in order");
            let (sent, handled) = (self.sent.get(conn).copied().unwrap_or_default(), in_order.len());
            let names = self.t.core.children("/").expect("the root");
            let prefix = format!("{}-", conn.0);
            let created = names.iter().filter(|name| name.starts_with(&prefix)).count();
            assert!(created >= handled);
            if self.closed.contains(conn) {
                assert!(self.t.is_closed(*conn) || self.left.contains(conn));
            } else if self.left.contains(conn) {
                assert_eq!(i32::try_from(created), Ok(sent), "what {conn:?} sent before its end counts");
            } else {
                assert_eq!(xids.last().copied().unwrap_or_default(), sent, "{conn:?} hears everything");
                let events = heard.iter().filter(|heard| matches!(heard, Heard::Event { .. })).count();
                // The event of a create at this path, and that of the change of its parent.
                assert_eq!(events, names.len() - 1, "and of everything: {heard:?}");
                assert!(!self.t.is_closed(*conn) && !self.t.core.is_frozen(*conn));
            }
        }
        // Only those that are closed while they are frozen stay paused.
        assert!(self.t.paused.iter().all(|conn| self.t.is_closed(*conn) || self.left.contains(conn)));
    }
}

proptest! {
    #[test]
    fn a_connection_that_lives_misses_nothing_and_hears_it_in_order(
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.thaw_all();
        world.check();
    }
}
