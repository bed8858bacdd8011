//! Reconnects to servers with any history: within a bound the client is connected again, or knows that its session is over;
//! and it leaves no session behind that it has renewed and does not use.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use zk_wire::{ErrorCode, OpCode, SessionId};

use super::rig::{Rig, RigLink, TIMEOUT, config};
use crate::session_state::SessionState;

/// Data of a server.
#[derive(Clone, Debug, Default)]
struct Data {
    zxid: i64,
    /// Sessions, with the times at which they expire.
    sessions: BTreeMap<SessionId, u64>,
}

/// Event at the server.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Other clients write.
    Write(i64),
    Advance(u64),
    /// A copy of the data is kept for a later restart.
    Keep,
    /// The server restarts: with its data, a kept copy, the data of another cluster, or without data.
    Restart(Start),
    /// The connection is cut.
    Cut,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    AsItWas,
    Kept(prop::sample::Index),
    Other(i64),
    Empty,
}

fn any_step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![
        1 => Just(Start::AsItWas),
        3 => any::<prop::sample::Index>().prop_map(Start::Kept),
        1 => (0..1_000_i64).prop_map(Start::Other),
        1 => Just(Start::Empty),
    ];
    prop_oneof![
        2 => (1..50_i64).prop_map(Step::Write),
        2 => (0..TIMEOUT * 2).prop_map(Step::Advance),
        2 => Just(Step::Keep),
        3 => start.prop_map(Step::Restart),
        1 => Just(Step::Cut),
    ]
}

/// Client with a server that follows ZooKeeper's rules; all other servers of its list are silent.
struct World {
    rig: Rig,
    data: Data,
    kept: Vec<Data>,
    /// The server gives sessions that it alone knows, which take no transactions.
    is_local: bool,
    session: i64,
    /// Highest zxid that the client has seen in its session.
    seen: i64,
}

impl World {
    fn new(servers: usize, is_local: bool) -> Self {
        let mut world = Self {
            rig: Rig::new(config(servers)),
            data: Data::default(),
            kept: Vec::new(),
            is_local,
            session: 0x51,
            seen: 0,
        };
        world.serve();
        world
    }

    /// Lets the server answer all requests.
    fn serve(&mut self) {
        loop {
            let now = self.rig.now;
            self.data.sessions.retain(|_, expires| *expires > now);
            match self.rig.link {
                RigLink::None => return,
                _ if self.rig.connects.last().is_some_and(|(server, _)| *server > 0) => return,
                RigLink::Opening => self.rig.accept(),
                RigLink::Open => self.handshake(),
                RigLink::Live => {
                    let Some((header, _)) = self.rig.received.front() else { return };
                    let op = header.op;
                    self.answer(op);
                }
            }
        }
    }

    fn handshake(&mut self) {
        let asked = self.rig.handshake.clone().unwrap();
        let now = self.rig.now;
        if asked.session_id != SessionId::NONE {
            assert_eq!(asked.last_zxid_seen.0, self.seen, "a handshake with a session has the last zxid");
        }
        if asked.last_zxid_seen.0 > self.data.zxid {
            return self.rig.lose();
        }
        let id = if asked.session_id == SessionId::NONE {
            self.session += 1;
            self.data.zxid += i64::from(!self.is_local);
            SessionId(self.session)
        } else if self.data.sessions.contains_key(&asked.session_id) {
            asked.session_id
        } else {
            SessionId::NONE
        };
        if id != SessionId::NONE {
            self.data.sessions.insert(id, now + TIMEOUT);
        }
        self.rig.give_session(id);
        self.note_state();
    }

    fn answer(&mut self, op: OpCode) {
        if op == OpCode::CLOSE_SESSION {
            self.data.zxid += i64::from(!self.is_local);
            let own = self.current();
            self.data.sessions.retain(|id, _| id.0 != self.session || Some(*id) == own);
        } else if let Some(expires) = self.current().and_then(|id| self.data.sessions.get_mut(&id)) {
            *expires = self.rig.now + TIMEOUT;
        }
        let zxid = self.data.zxid;
        self.rig.answer(op, zxid, ErrorCode::OK);
        self.note_state();
        if matches!(op, OpCode::SYNC | OpCode::GET_DATA) && self.is_live() {
            self.seen = zxid;
        }
    }

    /// Resets the highest zxid for a new session.
    fn note_state(&mut self) {
        if self.rig.states.last() == Some(&SessionState::Connecting) || self.rig.states.is_empty() {
            self.seen = 0;
        }
    }

    fn is_live(&self) -> bool {
        self.current().is_some()
    }

    /// Returns the session that the client uses now.
    fn current(&self) -> Option<SessionId> {
        match self.rig.states.last() {
            Some(SessionState::Connected(id)) => Some(*id),
            _ => None,
        }
    }

    fn advance(&mut self, millis: u64) {
        let target = self.rig.now + millis;
        while self.rig.now < target {
            self.rig.advance(50.min(target - self.rig.now));
            self.serve();
        }
    }

    fn start(&mut self, data: Data) {
        let now = self.rig.now;
        self.data = data;
        // After a restart every session has its full timeout.
        self.data.sessions.values_mut().for_each(|expires| *expires = now + TIMEOUT);
        self.cut();
    }

    fn cut(&mut self) {
        if self.rig.link != RigLink::None {
            self.rig.lose();
        }
        self.serve();
    }

    fn step(&mut self, step: Step, call: u64) {
        match step {
            Step::Write(count) => {
                self.data.zxid += count;
                if self.is_live() {
                    self.rig.call(call, OpCode::GET_DATA);
                    self.serve();
                }
            }
            Step::Advance(millis) => self.advance(millis),
            Step::Keep => self.kept.push(self.data.clone()),
            Step::Cut => self.cut(),
            Step::Restart(Start::AsItWas) => self.start(self.data.clone()),
            Step::Restart(Start::Kept(which)) if !self.kept.is_empty() => {
                self.start(which.get(&self.kept).clone());
            }
            Step::Restart(Start::Other(zxid)) => self.start(Data { zxid, sessions: BTreeMap::new() }),
            Step::Restart(Start::Kept(_) | Start::Empty) => self.start(Data::default()),
        }
    }
}

proptest! {
    #[test]
    fn a_client_is_connected_again_after_any_history(
        servers in 1..4_usize,
        is_local: bool,
        steps in vec(any_step(), 1..40),
    ) {
        let mut world = World::new(servers, is_local);
        for (step, call) in steps.into_iter().zip(1..) {
            world.step(step, call);
        }
        // A silent server takes the time of an attempt, which grows to a session timeout.
        world.advance(TIMEOUT * if servers == 1 { 1 } else { 3 * servers as u64 });
        let current = world.current();
        prop_assert!(current.is_some(), "{:?}", world.rig.states);
        prop_assert!(world.data.sessions.contains_key(&current.unwrap()));
        prop_assert!(world.seen <= world.data.zxid);
        // The client stays connected, and renews no other session of the server.
        let states = world.rig.states.len();
        world.advance(TIMEOUT);
        prop_assert_eq!(world.rig.states.len(), states);
        prop_assert_eq!(world.data.sessions.keys().copied().collect::<Vec<_>>(), [current.unwrap()]);
    }
}

#[test]
fn older_data_that_has_the_session_ends_it_within_a_second() {
    for lost in [1, 2, 10] {
        let mut world = World::new(1, false);
        let old = world.current().unwrap();
        world.step(Step::Keep, 0);
        world.step(Step::Write(lost), 1);
        world.start(world.kept[0].clone());
        world.advance(1_000);
        assert!(matches!(world.current(), Some(new) if new != old), "{lost}: {:?}", world.rig.states);
        let expires = world.data.sessions[&old];
        world.advance(TIMEOUT);
        assert!(
            expires < world.rig.now && !world.data.sessions.contains_key(&old),
            "the client has not renewed it"
        );
    }
}
