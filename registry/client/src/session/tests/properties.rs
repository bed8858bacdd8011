//! Properties of every list of inputs. The rig checks those of every step: at most one connection, each call completed and
//! each one-shot watch told once, pings often enough.

use std::collections::{BTreeMap, BTreeSet};

use common::Millis;
use proptest::collection::vec;
use proptest::prelude::*;
use zk_wire::{ErrorCode, EventType, OpCode, ReplyHeader, SessionId, Xid, Zxid};

use super::rig::{Rig, RigLink, SESSION, config};
use crate::session::{Input, WatchKey, WatchKind};
use crate::session_state::SessionState;

const NODES: u8 = 4;
const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/c"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(OpCode),
    Watch(WatchKind, usize),
    /// The nth call so far.
    Forget(usize),
    Advance(u64),
    /// The server takes its next step: accepts, gives the session, answers the oldest request.
    Serve(ErrorCode),
    Event(EventType, usize),
    Lose,
    Expire,
    /// A frame that makes no sense at this moment.
    Nonsense(Xid),
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        2 => Just(WatchKind::Data),
        2 => Just(WatchKind::Exist),
        2 => Just(WatchKind::Child),
        1 => Just(WatchKind::Persistent),
        1 => Just(WatchKind::Recursive),
    ];
    let op = prop_oneof![Just(OpCode::CREATE), Just(OpCode::DELETE), Just(OpCode::AUTH)];
    let err =
        prop_oneof![4 => Just(ErrorCode::OK), 1 => Just(ErrorCode::NO_NODE), 1 => Just(ErrorCode::NO_AUTH)];
    let event = (1..=4_i32).prop_map(EventType);
    let xid =
        prop_oneof![Just(Xid(0)), Just(Xid(1)), Just(Xid::AUTH), Just(Xid::SET_WATCHES), Just(Xid::PING)];
    prop_oneof![
        4 => op.prop_map(Step::Call),
        5 => (kind, 0..NODES).prop_map(|(kind, node)| Step::Watch(kind, usize::from(node))),
        1 => any::<usize>().prop_map(Step::Forget),
        3 => (0..7_000_u64).prop_map(Step::Advance),
        12 => err.prop_map(Step::Serve),
        3 => (event, 0..NODES).prop_map(|(event, node)| Step::Event(event, usize::from(node))),
        2 => Just(Step::Lose),
        1 => Just(Step::Expire),
        1 => xid.prop_map(Step::Nonsense),
    ]
}

/// Rig with a simple server.
struct World {
    rig: Rig,
    calls: u64,
    forgotten: BTreeSet<u64>,
    zxid: i64,
    session: i64,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Call(op) => {
                self.calls += 1;
                self.rig.call(self.calls, op);
            }
            Step::Watch(kind, node) => {
                self.calls += 1;
                self.rig.watch(self.calls, kind, PATHS[node]);
            }
            Step::Forget(nth) if self.calls > 0 => {
                let id = nth as u64 % self.calls + 1;
                if !self.rig.completed.contains_key(&id) || self.rig.watching.contains_key(&id) {
                    self.forgotten.insert(id);
                    self.rig.forget(id);
                }
            }
            Step::Forget(_) => {}
            Step::Advance(millis) => self.rig.advance(millis),
            Step::Serve(err) => self.serve(err),
            Step::Event(event, node) if self.rig.link == RigLink::Live => {
                self.zxid += 1;
                let before = self.rig.updates.len();
                let expected = self.lasting_told(event, PATHS[node]);
                self.rig.event(event, PATHS[node]);
                let told: BTreeSet<u64> = self.rig.updates[before..].iter().map(|(id, _)| *id).collect();
                assert_eq!(told, expected, "{event} {}", PATHS[node]);
            }
            Step::Lose if self.rig.link != RigLink::None => self.rig.lose(),
            Step::Expire if self.rig.link == RigLink::Open => {
                self.session += 1;
                let lasting = self.lasting();
                self.rig.give_session(SessionId::NONE);
                if self.rig.states.last() == Some(&SessionState::Connecting) {
                    assert_eq!(self.set(), lasting, "one-shot watches end with the session, all others stay");
                }
            }
            Step::Nonsense(xid) if self.rig.link == RigLink::Live && !self.is_awaited(xid) => {
                self.rig.frame(&ReplyHeader { xid, zxid: Zxid(self.zxid), err: ErrorCode::OK });
            }
            Step::Event(..) | Step::Lose | Step::Expire | Step::Nonsense(_) => {}
        }
    }

    /// Returns true if an answer of this number makes sense now: to the oldest call, or to a request of the session itself,
    /// which may come between.
    fn is_awaited(&self, xid: Xid) -> bool {
        let mut sent = self.rig.received.iter().map(|(header, _)| header.xid);
        if xid.0 < 0 { sent.any(|sent| sent == xid) } else { sent.find(|sent| sent.0 >= 0) == Some(xid) }
    }

    fn serve(&mut self, err: ErrorCode) {
        let before = self.rig.states.len();
        self.serve_next(err);
        if let [.., SessionState::Connected(_)] = self.rig.states[before..] {
            self.check_watches();
        }
    }

    fn serve_next(&mut self, err: ErrorCode) {
        match self.rig.link {
            RigLink::None => {}
            RigLink::Opening => self.rig.accept(),
            RigLink::Open => {
                let asked = self.rig.handshake.clone().unwrap().session_id;
                let fresh = SessionId(SESSION.0 + self.session);
                self.rig.give_session(if asked == SessionId::NONE { fresh } else { asked });
            }
            RigLink::Live => {
                let Some((header, _)) = self.rig.received.front() else { return };
                self.zxid += 1;
                let kept = [OpCode::PING, OpCode::SET_WATCHES, OpCode::SET_WATCHES2].contains(&header.op);
                self.rig.answer(header.op, self.zxid, if kept { ErrorCode::OK } else { err });
            }
        }
    }

    /// Checks that a new connection has exactly the watches that handles wait for.
    fn check_watches(&self) {
        let mut on_server = BTreeSet::new();
        for request in self.rig.set_watches() {
            on_server.extend(request.data_watches.into_iter().map(|path| (WatchKind::Data, path)));
            on_server.extend(request.exist_watches.into_iter().map(|path| (WatchKind::Exist, path)));
            on_server.extend(request.child_watches.into_iter().map(|path| (WatchKind::Child, path)));
            on_server
                .extend(request.persistent_watches.into_iter().map(|path| (WatchKind::Persistent, path)));
            let recursive = request.persistent_recursive_watches.into_iter();
            on_server.extend(recursive.map(|path| (WatchKind::Recursive, path)));
        }
        let wanted: BTreeSet<WatchKey> = self.set().into_values().collect();
        let covered = |(kind, path): &WatchKey| match kind {
            // An exists of an existing node sets a data watch.
            WatchKind::Exist => {
                on_server.contains(&(WatchKind::Exist, path.clone()))
                    || on_server.contains(&(WatchKind::Data, path.clone()))
            }
            kind => on_server.contains(&(*kind, path.clone())),
        };
        assert!(wanted.iter().all(covered), "{wanted:?} are waited for, {on_server:?} are set");
        assert!(on_server.len() <= wanted.len() + 4, "{on_server:?}");
    }

    /// Returns the lasting watches that are set.
    fn lasting(&self) -> BTreeMap<u64, WatchKey> {
        self.set().into_iter().filter(|(_, (kind, _))| kind.is_lasting()).collect()
    }

    /// Returns the lasting watches that an event concerns.
    fn lasting_told(&self, event: EventType, path: &str) -> BTreeSet<u64> {
        if !matches!(self.rig.states.last(), Some(SessionState::Connected(_))) {
            // The frame belongs to a probe session.
            return BTreeSet::new();
        }
        let set = self.set();
        let is_at = |kind, path: &str| set.values().any(|(set, at)| *set == kind && at == path);
        let parent = zk_wire::path::split(path).map(|(parent, _)| parent);
        let hears = |(kind, at): &WatchKey| match kind {
            WatchKind::Persistent if at == path => true,
            // The event implies a change of the parent's list of children.
            WatchKind::Persistent => {
                Some(&**at) == parent
                    && matches!(event, EventType::NODE_CREATED | EventType::NODE_DELETED)
                    && is_at(WatchKind::Recursive, at)
            }
            WatchKind::Recursive => {
                let below = path
                    .strip_prefix(at.trim_end_matches('/'))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                below && event != EventType::NODE_CHILDREN_CHANGED
            }
            WatchKind::Data | WatchKind::Exist | WatchKind::Child => false,
        };
        set.iter().filter(|(_, key)| hears(key)).map(|(&id, _)| id).collect()
    }

    /// Returns the watches that are set.
    fn set(&self) -> BTreeMap<u64, WatchKey> {
        let done = self.rig.watching.iter().filter(|(id, _)| self.rig.completed.contains_key(id));
        done.map(|(&id, key)| (id, key.clone())).collect()
    }
}

proptest! {
    #[test]
    fn every_call_ends_and_every_watch_is_told(
        servers in 1..4_usize,
        steps in vec(any_step(), 1..120),
    ) {
        let rig = Rig::new(config(servers));
        let mut world = World { rig, calls: 0, forgotten: BTreeSet::new(), zxid: 1, session: 0 };
        for step in steps {
            world.step(step);
        }
        let lasting: Vec<u64> = world.lasting().into_keys().collect();
        let World { mut rig, calls, forgotten, .. } = world;
        rig.input(Input::Close { deadline: Millis(rig.now + 5_000) });
        rig.advance(5_000);
        prop_assert!(rig.closed.is_some());
        let left: Vec<u64> = rig.watching.keys().copied().collect();
        prop_assert_eq!(left, lasting, "one-shot watches that were not told");
        for id in (1..=calls).filter(|id| !forgotten.contains(id)) {
            prop_assert!(rig.completed.contains_key(&id), "call {} has no end", id);
        }
    }
}
