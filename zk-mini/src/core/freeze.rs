//! Freezing of parts of the server, and everything that passes a gate later than it came.

use bytes::Bytes;
use zk_wire::{ConnectRequest, Decode};

use crate::core::Core;
use crate::core::gates::{Effect, HeldFrame, Passed};
use crate::core::message::{ConnId, Now, Output, Part};
use crate::core::peers::PeerState;

impl Core {
    /// Returns `true` if nothing that a connection sends is handled before a thaw.
    #[must_use]
    pub fn is_frozen(&self, conn: ConnId) -> bool {
        self.outputs.gates.is_conn_frozen(conn)
    }

    /// Returns `true` if a part itself is frozen.
    #[must_use]
    pub fn is_part_frozen(&self, part: Part) -> bool {
        self.outputs.gates.is_frozen(part)
    }

    /// Returns the parts that are frozen themselves: a session may have ended since.
    pub(crate) fn frozen_parts(&self) -> impl Iterator<Item = Part> {
        self.outputs.gates.frozen_parts()
    }

    /// Returns `true` if the whole server is frozen, or down: nothing is due before the thaw.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_down || self.is_part_frozen(Part::Server)
    }

    /// Freezes a part.
    pub(crate) fn freeze(&mut self, part: Part) {
        if !self.is_part_frozen(part) {
            self.history.part(self.last_zxid, part, "frozen");
        }
        self.outputs.gates.freeze(part);
        let one = match part {
            Part::Server | Part::Listener(_) => None,
            Part::Session(session) => Some(self.conn_of(session)),
            Part::Connection(conn) => Some(Some(conn)),
        };
        let gates = &mut self.outputs.gates;
        if let Some(conn) = one {
            if let Some((conn, peer)) = conn.and_then(|conn| Some((conn, self.peers.get(conn)?))) {
                gates.assign(conn, peer.listener, peer.session());
            }
            return;
        }
        for (conn, peer) in self.peers.iter() {
            if part == Part::Server || peer.listener.map(Part::Listener) == Some(part) {
                gates.assign(conn, peer.listener, peer.session());
            }
        }
    }

    /// Thaws a part, and lets pass what waited.
    pub(crate) fn thaw(&mut self, now: Now, part: Part) {
        if self.is_part_frozen(part) {
            self.history.part(self.last_zxid, part, "thawed");
        }
        self.outputs.gates.thaw(part);
        let mut room = usize::MAX;
        self.let_pass(now, &mut room);
        self.outputs.gates.read_on();
    }

    /// Gives a new connection a gate if it comes to a frozen part.
    pub(crate) fn accepted_frozen(&mut self, conn: ConnId, listener: Option<usize>) {
        let gates = &mut self.outputs.gates;
        if gates.has_frozen_parts() {
            gates.assign(conn, listener, None);
        }
    }

    /// Holds a handshake that names a frozen session. Returns `false` if it may be handled.
    pub(crate) fn names_frozen_session(&mut self, conn: ConnId, frame: &Bytes, is_delayed: bool) -> bool {
        if !self.outputs.gates.has_frozen_parts() {
            return false;
        }
        let Ok(request) = ConnectRequest::decode(&mut frame.clone(), "ConnectRequest") else { return false };
        let is_frozen = self.outputs.gates.is_frozen(Part::Session(request.session_id));
        if is_frozen {
            let listener = self.peers.get(conn).and_then(|peer| peer.listener);
            self.outputs.gates.hold_handshake(conn, frame, is_delayed, listener, request.session_id);
        }
        is_frozen
    }

    /// Lets everything pass that is due, at most `room` frames.
    pub(crate) fn let_pass(&mut self, now: Now, room: &mut usize) {
        while *room > 0
            && let Some((conn, passed)) = self.outputs.gates.pop()
        {
            *room -= 1;
            match passed {
                Passed::Frame(held) => self.passed(now, conn, &held),
                Passed::LateFrame(held, peer) => self.apply_late(now, conn, &held, peer),
                Passed::Lost => self.lost(conn),
                Passed::Output(output) => self.outputs.emit(output),
            }
        }
    }

    /// Handles a frame that has waited at a gate.
    #[inline(never)]
    fn passed(&mut self, now: Now, conn: ConnId, held: &HeldFrame) {
        self.arrived(now, conn, &held.frame, held.is_delayed);
    }

    /// Applies a request whose connection has ended since, like one in the queue of a real server. A session that has
    /// ended, too, has no requests, and one that has come back [has given them up](crate::core::gates::Gates::give_up_departed).
    fn apply_late(&mut self, now: Now, conn: ConnId, held: &HeldFrame, peer: PeerState) {
        if peer.session().is_none_or(|id| self.sessions.get(id).is_none()) {
            return self.outputs.gates.give_up(conn);
        }
        self.peers.insert(conn, peer);
        self.passed(now, conn, held);
        // The peer departs again, for its next request, and leaves no watch.
        self.forget(conn);
        self.outputs.gates.settle(conn);
    }

    /// Forgets a connection that was lost, or closed by its peer.
    pub(crate) fn lost(&mut self, conn: ConnId) {
        if self.outputs.gates.is_empty() {
            return self.end_connection(conn, false);
        }
        if !self.outputs.gates.lose(conn, self.peers.get(conn)) {
            self.end_connection(conn, false);
        }
        self.outputs.gates.settle(conn);
    }

    /// Performs the effects of gates on connections.
    #[cold]
    pub(crate) fn perform_effects(&mut self) {
        while let Some(effect) = self.outputs.gates.pop_effect() {
            match effect {
                Effect::Pause(conn) if self.peers.contains(conn) => {
                    self.outputs.emit(Output::Pause { conn });
                }
                Effect::Resume(conn) if self.peers.contains(conn) => {
                    self.outputs.emit(Output::Resume { conn });
                }
                // It is closed already.
                Effect::Pause(_) | Effect::Resume(_) => {}
                Effect::CutOff(conn) => {
                    self.end_connection(conn, true);
                    self.outputs.gates.settle(conn);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use zk_wire::{
        Acl, Create, CreateMode, Encode, Exists, Millis, OpCode, RequestHeader, SessionId, Xid, Zxid,
    };

    use super::*;
    use crate::core::faults::FaultId;
    use crate::core::link::Link;
    use crate::core::{Config, Input, Peer};

    /// A core with a clock, and everything that each connection has received: xids of replies, and `None` for the close.
    struct World {
        core: Core,
        now: Now,
        heard: Vec<(ConnId, Option<i32>)>,
    }

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    impl World {
        /// Two connections with sessions.
        fn new() -> Self {
            Self::with(Config::default())
        }

        fn with(config: Config) -> Self {
            let mut world = Self { core: Core::new(config), now: Now::default(), heard: Vec::new() };
            for conn in [A, B] {
                world.accept(conn);
            }
            world.heard.clear();
            world
        }

        fn accept(&mut self, conn: ConnId) {
            self.input(Input::Accepted { conn, peer: Peer::LOCAL, listener: Some(0) });
            self.frame(conn, &Self::handshake(), None);
        }

        fn handshake() -> ConnectRequest {
            ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: Zxid(0),
                timeout: 10_000,
                session_id: SessionId::NONE,
                password: None,
                read_only: Some(false),
            }
        }

        fn input(&mut self, input: Input) {
            self.core.handle(self.now, input);
            while let Some(output) = self.core.poll_output() {
                match output {
                    Output::Send { conn, frame } => {
                        let xid = frame.get(4..8).and_then(|xid| xid.try_into().ok()).map(i32::from_be_bytes);
                        self.heard.push((conn, xid));
                    }
                    Output::Close { conn } => self.heard.push((conn, None)),
                    _ => {}
                }
            }
        }

        fn encode(head: Option<RequestHeader>, body: &impl Encode) -> Bytes {
            let mut out = BytesMut::new();
            if let Some(head) = head {
                head.encode(&mut out);
            }
            body.encode(&mut out);
            out.freeze()
        }

        fn frame(&mut self, conn: ConnId, body: &impl Encode, head: Option<RequestHeader>) {
            self.input(Input::Frame { conn, frame: Self::encode(head, body) });
        }

        fn create(xid: i32, path: &str) -> Bytes {
            let acl = Some(vec![Acl::open()]);
            let request = Create { path: path.into(), data: None, acl, flags: CreateMode::Ephemeral.flags() };
            Self::encode(Some(RequestHeader { xid: Xid(xid), op: OpCode::CREATE }), &request)
        }

        fn exists(&mut self, conn: ConnId, xid: i32, path: &str) {
            let head = RequestHeader { xid: Xid(xid), op: OpCode::EXISTS };
            self.frame(conn, &Exists { path: path.into(), watch: true }, Some(head));
        }

        /// Hands in a request as if a rule had delayed it.
        fn delay(&mut self, conn: ConnId, frame: &Bytes, until: u64) {
            self.core.outputs.gates.delay_frame(conn, frame, Millis(until));
        }

        fn advance(&mut self, to: u64) {
            while let Some(at) = self.core.poll_deadline().filter(|at| at.0 <= to) {
                self.now.mono = self.now.mono.max(at);
                self.input(Input::Timeout);
            }
            self.now.mono = Millis(to);
        }

        fn heard(&mut self) -> Vec<(ConnId, Option<i32>)> {
            std::mem::take(&mut self.heard)
        }
    }

    #[test]
    fn a_delayed_request_holds_what_its_connection_sends_behind_it_and_no_other() {
        let mut t = World::new();
        t.delay(A, &World::create(1, "/a"), 700);
        t.exists(A, 2, "/a");
        t.exists(B, 3, "/a");
        assert_eq!(t.heard(), [(B, Some(3))]);
        t.advance(699);
        assert_eq!(t.heard(), []);
        t.advance(700);
        assert_eq!(t.heard(), [(B, Some(-1)), (A, Some(1)), (A, Some(2))]);
        assert!(t.core.outputs.gates.is_empty(), "the gate has gone");
    }

    #[test]
    fn a_delayed_reply_holds_what_is_sent_behind_it_and_keeps_its_zxid() {
        let mut t = World::new();
        t.exists(B, 1, "/a");
        t.core.outputs.gates.delay_output(B, Millis(500));
        t.input(Input::Frame { conn: A, frame: World::create(1, "/a") });
        t.exists(B, 2, "/a");
        assert_eq!(t.heard(), [(B, Some(1)), (A, Some(1))]);
        t.advance(500);
        assert_eq!(t.heard(), [(B, Some(-1)), (B, Some(2))]);
        assert!(t.core.outputs.gates.is_empty());
    }

    #[test]
    fn a_delay_of_nothing_leaves_no_gate() {
        let mut t = World::new();
        t.core.outputs.gates.delay_output(B, Millis(500));
        t.advance(500);
        assert!(t.core.outputs.gates.is_empty());
    }

    #[test]
    fn a_delayed_request_is_applied_though_its_connection_has_gone_and_leaves_no_watch() {
        for by_peer in [true, false] {
            let mut t = World::new();
            t.delay(A, &World::create(1, "/a"), 700);
            t.exists(A, 2, "/a");
            if by_peer {
                t.input(Input::Closed { conn: A });
            } else {
                t.core.close(A);
            }
            t.advance(699);
            assert!(t.core.node("/a").is_none() && t.core.connections().len() == 1);
            t.advance(700);
            assert!(t.core.node("/a").is_some());
            assert_eq!(t.core.watch_count(), 0);
            assert!(t.heard().iter().all(|(_, xid)| xid.is_none()), "nobody is there to be answered");
            assert!(t.core.outputs.gates.is_empty());
        }
    }

    #[test]
    fn a_delayed_request_does_not_outlive_its_session() {
        let mut t = World::new();
        t.delay(A, &World::create(1, "/a"), 60_000);
        t.advance(60_000);
        assert_eq!(t.core.session_count(), 0, "held input is no sign of life");
        assert!(t.core.node("/a").is_none() && t.core.ephemeral_count() == 0);
        assert!(t.core.outputs.gates.is_empty());
    }

    #[test]
    fn a_request_is_applied_before_its_session_expires_at_the_same_time() {
        let mut t = World::new();
        t.delay(A, &World::create(1, "/a"), 12_000);
        t.advance(12_000);
        assert_eq!(t.core.session_count(), 1);
        assert!(t.core.node("/a").is_some());
    }

    #[test]
    fn a_delay_under_a_freeze_ends_with_the_later_of_both() {
        for (thaw, until) in [(300, 700), (900, 900)] {
            let mut t = World::new();
            t.delay(A, &World::create(1, "/a"), 700);
            t.input(Input::Freeze { part: Part::Connection(A) });
            t.advance(thaw);
            assert!(t.core.node("/a").is_none());
            t.input(Input::Thaw { part: Part::Connection(A) });
            t.advance(until - u64::from(until != thaw));
            assert_eq!(t.core.node("/a").is_some(), until == thaw);
            t.advance(until);
            assert_eq!(t.heard(), [(A, Some(1))]);
        }
    }

    #[test]
    fn what_was_read_between_two_freezes_is_applied_though_the_server_closes_the_connection() {
        let mut t = World::new();
        let part = Part::Connection(A);
        t.delay(A, &World::create(1, "/a"), 700);
        t.input(Input::Freeze { part });
        t.input(Input::Frame { conn: A, frame: World::create(2, "/read") });
        t.input(Input::Thaw { part });
        t.input(Input::Freeze { part });
        t.input(Input::Frame { conn: A, frame: World::create(3, "/unread") });
        t.core.close(A);
        t.advance(700);
        t.input(Input::Thaw { part });
        assert!(t.core.node("/a").is_some() && t.core.node("/read").is_some());
        assert!(t.core.node("/unread").is_none());
    }

    #[test]
    fn a_slow_link_carries_one_frame_after_the_other() {
        let mut t = World::new();
        let link = Link::new(FaultId(1), Millis(100), std::num::NonZeroU64::new(1_000));
        t.core.outputs.gates.slow_down(A, link);
        // 8 + 7 bytes each.
        t.exists(A, 1, "/a");
        t.exists(A, 2, "/b");
        t.advance(114);
        assert_eq!(t.core.watch_count(), 0);
        t.advance(115);
        assert_eq!(t.core.watch_count(), 1, "15 ms for the bytes, and 100 ms");
        t.advance(234);
        assert_eq!(t.heard(), []);
        t.advance(235);
        assert_eq!(t.heard(), [(A, Some(1))], "a reply of 20 bytes takes 120 ms");
        t.advance(254);
        assert_eq!(t.heard(), []);
        t.advance(255);
        assert_eq!(t.heard(), [(A, Some(2))]);
        t.core.close(A);
        t.advance(354);
        assert_eq!(t.heard(), []);
        t.advance(355);
        assert_eq!(t.heard(), [(A, None)], "the close takes the link, too");
    }

    #[test]
    fn a_connection_that_would_hold_too_much_is_cut_off() {
        let mut t = World::with(Config { max_held: 500, ..Config::default() });
        t.core.outputs.gates.delay_output(A, Millis(500));
        for xid in 0..10 {
            t.exists(A, xid, "/a");
        }
        assert_eq!(t.core.connections().len(), 1);
        t.advance(500);
        assert_eq!(t.heard(), [(A, None)]);
        assert!(t.core.outputs.gates.is_empty());
        assert_eq!(t.core.session_count(), 2, "its session lives on");
    }

    #[test]
    fn a_flood_pauses_the_connection_until_half_of_it_is_handled() {
        let mut t = World::new();
        t.delay(A, &World::create(1, "/a"), 700);
        t.core.handle(t.now, Input::Frame { conn: A, frame: Bytes::from(vec![0; 70_000]) });
        let outputs: Vec<_> = std::iter::from_fn(|| t.core.poll_output()).collect();
        assert_eq!(outputs, [Output::Pause { conn: A }]);
    }

    #[test]
    fn a_connection_that_comes_to_a_frozen_server_and_goes_leaves_nothing() {
        let mut t = World::new();
        t.input(Input::Freeze { part: Part::Server });
        for conn in (3..100).map(ConnId) {
            t.input(Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
            t.input(Input::Closed { conn });
        }
        assert_eq!(t.core.connections().len(), 2);
        t.input(Input::Closed { conn: A });
        assert_eq!(t.core.connections().len(), 2, "the end of a session's connection is noticed at the thaw");
        t.input(Input::Thaw { part: Part::Server });
        assert_eq!(t.core.connections().len(), 1);
        assert!(t.core.outputs.gates.is_empty());
    }
}
