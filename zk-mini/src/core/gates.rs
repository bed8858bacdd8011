//! Gates: hold what passes between the server and a connection, in order, until a time or until a thaw.
//!
//! A gate has two lanes: frames that have arrived and are not handled yet, and frames, and the close, that are not sent
//! yet. Everything waits behind what waits already, so no lane changes its order. A connection without a gate costs one
//! branch.
//!
//! The gates know no rule: the core decides what waits, and lets pass what is due ([`Core::let_pass`](super::Core)).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use zk_wire::{Millis, SessionId};

use crate::core::faults::FaultId;
use crate::core::lane::Lane;
use crate::core::link::Link;
use crate::core::message::{ConnId, Output, Part};
use crate::core::peers::PeerState;

/// Bytes of incoming frames that may wait before the connection is paused.
const READ_AHEAD: usize = 64 << 10;

/// Gates of all connections that have one.
#[derive(Debug)]
pub(crate) struct Gates {
    by_conn: BTreeMap<ConnId, Gate>,
    /// Time of the first thing to pass at each gate that is not frozen.
    due: BTreeSet<(Millis, ConnId)>,
    frozen: BTreeSet<Part>,
    /// Effects for the core to perform.
    effects: VecDeque<Effect>,
    /// Bytes that may wait to be sent to one connection.
    max_held: usize,
    now: Millis,
}

/// Effect of a gate on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Enough input waits.
    Pause(ConnId),
    /// Input may come again.
    Resume(ConnId),
    /// Too much waits to be sent: it is dropped, and the connection closed. The core must forget it.
    CutOff(ConnId),
}

/// Something that has passed a gate.
#[derive(Debug)]
pub(crate) enum Passed {
    /// A frame from the peer.
    Frame(HeldFrame),
    /// A frame from a peer whose connection has ended since. Call [`Gates::settle`] when it is handled.
    LateFrame(HeldFrame, PeerState),
    /// The end of the connection by its peer.
    Lost,
    /// A frame or a close to the peer.
    Output(Output),
}

/// Incoming frame that waits.
#[derive(Debug)]
pub(crate) struct HeldFrame {
    pub(crate) frame: Bytes,
    /// It was delayed by [`Gates::delay_frame`].
    pub(crate) is_delayed: bool,
    /// The server has read it. What a frozen server has not read is lost when it closes the connection.
    is_read: bool,
}

#[derive(Debug, Default)]
struct Gate {
    incoming: Lane<HeldFrame>,
    outgoing: Lane<Output>,
    /// Time before which nothing more is sent.
    opens: Option<Millis>,
    link: Option<Link>,
    /// Parts that the connection belongs to. They are set when a part of it is frozen.
    listener: Option<usize>,
    session: Option<SessionId>,
    is_frozen: bool,
    is_paused: bool,
    /// The peer has ended the connection, and a frozen server has not noticed.
    is_lost: bool,
    /// Nothing more is sent: the close is on its way, or the peer is gone.
    is_shut: bool,
    /// Peer of an ended connection whose requests still wait.
    departed: Option<PeerState>,
    /// Its entry in [`Gates::due`].
    due: Option<Millis>,
}

impl Gates {
    pub(crate) fn new(max_held: usize) -> Self {
        Self {
            by_conn: BTreeMap::new(),
            due: BTreeSet::new(),
            frozen: BTreeSet::new(),
            effects: VecDeque::new(),
            max_held,
            now: Millis(0),
        }
    }

    /// Returns `true` if no connection has a gate.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_conn.is_empty()
    }

    /// Sets the time. Nothing passes by it alone.
    pub(crate) fn set_now(&mut self, now: Millis) {
        self.now = now;
    }

    /// Returns the time at which something may pass.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns something that may pass now, the earliest first.
    pub(crate) fn pop(&mut self) -> Option<(ConnId, Passed)> {
        loop {
            let (_, conn) = self.due.first().copied().filter(|(at, _)| *at <= self.now)?;
            let gate = self.by_conn.get_mut(&conn)?;
            let passed = gate.pop(self.now);
            // The gate must stay until a late frame is handled: nothing may be sent to that connection.
            if !matches!(passed, Some(Passed::LateFrame(..))) {
                self.settle(conn);
            }
            if let Some(passed) = passed {
                return Some((conn, passed));
            }
        }
    }

    /// Returns `true` if there are effects to perform.
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Returns the next effect to perform.
    pub(crate) fn pop_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes an incoming frame that must wait. Returns `false` if it may pass.
    #[cold]
    pub(crate) fn hold_frame(&mut self, conn: ConnId, frame: &[u8]) -> bool {
        let Some(gate) = self.by_conn.get_mut(&conn).filter(|gate| !gate.is_shut) else { return false };
        let at = gate.link.as_mut().map_or(self.now, |link| link.arrives(self.now, frame.len()));
        if at <= self.now && !gate.holds_input() {
            return false;
        }
        let is_read = !gate.is_frozen;
        gate.incoming.push_back((at, self.now), HeldFrame::new(frame, false, is_read), frame.len());
        self.settle(conn);
        true
    }

    /// Holds a frame, which may have passed before, and everything behind it until a time.
    pub(crate) fn delay_frame(&mut self, conn: ConnId, frame: &[u8], until: Millis) {
        let gate = self.by_conn.entry(conn).or_default();
        gate.incoming.push_front((until, until), HeldFrame::new(frame, true, true), frame.len());
        self.settle(conn);
    }

    /// Holds a frame, which may have passed before, for as long as it takes on the link of its connection. Returns
    /// `false` if that is no time.
    pub(crate) fn carry_frame(&mut self, conn: ConnId, frame: &[u8]) -> bool {
        let Some(gate) = self.by_conn.get_mut(&conn) else { return false };
        let at = gate.link.as_mut().map_or(self.now, |link| link.arrives(self.now, frame.len()));
        if at > self.now {
            gate.incoming.push_front((at, self.now), HeldFrame::new(frame, true, true), frame.len());
            self.settle(conn);
        }
        at > self.now
    }

    /// Holds everything that is sent to a connection from now on until a time.
    pub(crate) fn delay_output(&mut self, conn: ConnId, until: Millis) {
        let gate = self.by_conn.entry(conn).or_default();
        // Nothing is sent there any more, and the gate stays until its late frame is handled.
        if !gate.is_shut {
            gate.opens = gate.opens.max(Some(until));
            self.settle(conn);
        }
    }

    /// Gives a connection a slow link.
    pub(crate) fn slow_down(&mut self, conn: ConnId, link: Link) {
        let gate = self.by_conn.entry(conn).or_default();
        // See `delay_output`.
        if !gate.is_shut {
            gate.link = Some(gate.link.map_or(link, |earlier| link.behind(earlier)));
            self.settle(conn);
        }
    }

    /// Returns the rule that has made the link of a connection, if it has one.
    pub(crate) fn rule_of_link(&self, conn: ConnId) -> Option<FaultId> {
        self.by_conn.get(&conn)?.link.map(|link| link.rule)
    }

    /// Ends the links that a rule has made. What is on its way over them has arrived.
    pub(crate) fn end_links(&mut self, rule: FaultId) {
        let is_of_rule = |gate: &Gate| gate.link.is_some_and(|link| link.rule == rule);
        let slowed = self.by_conn.iter().filter(|(_, gate)| is_of_rule(gate));
        for conn in slowed.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            if let Some(gate) = self.by_conn.get_mut(&conn) {
                gate.link = None;
                gate.incoming.unslow();
                gate.outgoing.unslow();
                self.settle(conn);
            }
        }
    }

    /// Returns `true` if input of a connection waits here.
    pub(crate) fn holds_input(&self, conn: ConnId) -> bool {
        self.by_conn.get(&conn).is_some_and(Gate::holds_input)
    }

    /// Takes an output that must wait, or that is too late. Returns it if it may pass.
    pub(crate) fn hold_output(&mut self, conn: ConnId, output: Output) -> Option<Output> {
        let Some(gate) = self.by_conn.get_mut(&conn) else { return Some(output) };
        if gate.is_shut {
            // Its peer was lost without notice.
            if let Output::Close { .. } = output {
                self.settle(conn);
            }
            return None;
        }
        let len = if let Output::Send { frame, .. } = &output { frame.len() } else { 0 };
        gate.is_shut = matches!(output, Output::Close { .. });
        let sent = gate.link.as_mut().map_or(self.now, |link| link.leaves(self.now, len));
        let unslowed = gate.opens.map_or(self.now, |opens| opens.max(self.now));
        let at = sent.max(unslowed);
        let passed = if at <= self.now && !gate.is_frozen && gate.outgoing.is_empty() {
            Some(output)
        } else {
            if !gate.is_shut && !gate.outgoing.is_empty() && gate.outgoing.bytes + len > self.max_held {
                gate.outgoing.clear();
                gate.outgoing.push_back((at, unslowed), Output::Close { conn }, 0);
                gate.is_shut = true;
                self.effects.push_back(Effect::CutOff(conn));
            } else {
                gate.outgoing.push_back((at, unslowed), output, len);
            }
            None
        };
        self.settle(conn);
        passed
    }

    /// Notes that a connection has ended at its peer's side. Returns `true` if a frozen server does not notice that
    /// before the thaw; otherwise the core forgets the peer, if it still knows it, and [settles](Self::settle) the gate.
    /// A peer that has neither a session nor sent anything is forgotten at once: any number of them may come and go.
    pub(crate) fn lose(&mut self, conn: ConnId, peer: Option<&PeerState>) -> bool {
        let Some(gate) = self.by_conn.get_mut(&conn) else { return false };
        gate.is_shut = true;
        gate.outgoing.clear();
        let matters = peer.is_some_and(|peer| peer.session().is_some() || !gate.incoming.is_empty());
        gate.is_lost = gate.is_frozen && matters;
        gate.is_lost
    }

    /// Takes the peer of a connection that has ended, if requests wait that the server has read. They are applied at
    /// their time, unless the session has ended, too.
    pub(crate) fn depart(&mut self, conn: ConnId, peer: PeerState, has_session_ended: bool) {
        let Some(gate) = self.by_conn.get_mut(&conn) else { return };
        gate.is_lost = false;
        gate.listener = peer.listener;
        gate.session = peer.session().or(gate.session);
        if peer.session().is_some() && !has_session_ended {
            gate.incoming.retain(|held| held.is_read);
        } else {
            gate.incoming.clear();
        }
        gate.departed = (!gate.incoming.is_empty()).then_some(peer);
    }

    /// Drops the requests of a connection that has ended.
    pub(crate) fn give_up(&mut self, conn: ConnId) {
        if let Some(gate) = self.by_conn.get_mut(&conn) {
            gate.incoming.clear();
            self.settle(conn);
        }
    }

    /// Drops the requests that wait on connections which a session has left: it has ended, or come back on another
    /// connection. A server that a client has come back to handles nothing of its earlier connections.
    pub(crate) fn give_up_departed(&mut self, session: SessionId) {
        let left = |gate: &Gate| gate.departed.is_some() && gate.session == Some(session);
        let conns: Vec<_> =
            self.by_conn.iter().filter(|(_, gate)| left(gate)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.give_up(conn);
        }
    }

    /// Freezes a part, from now on. [Assign](Self::assign) its connections then.
    pub(crate) fn freeze(&mut self, part: Part) {
        self.frozen.insert(part);
        self.refresh(part);
    }

    /// Thaws a part. What waited may pass, unless another frozen part has it.
    pub(crate) fn thaw(&mut self, part: Part) {
        self.frozen.remove(&part);
        self.refresh(part);
    }

    /// Notes that everything has been read that waits at gates which are not frozen. Call it when what is due has passed:
    /// a frozen server reads its input in order, so if it closes the connection, it has not read the rest.
    pub(crate) fn read_on(&mut self) {
        for gate in self.by_conn.values_mut().filter(|gate| !gate.is_frozen) {
            gate.incoming.things_mut().for_each(|held| held.is_read = true);
        }
    }

    /// Returns `true` if this part itself is frozen.
    pub(crate) fn is_frozen(&self, part: Part) -> bool {
        self.frozen.contains(&part)
    }

    /// Returns `true` if a connection is frozen, by itself or with a part that it belongs to.
    pub(crate) fn is_conn_frozen(&self, conn: ConnId) -> bool {
        self.by_conn.get(&conn).is_some_and(|gate| gate.is_frozen)
    }

    /// Returns the parts that are frozen themselves.
    pub(crate) fn frozen_parts(&self) -> impl Iterator<Item = Part> {
        self.frozen.iter().copied()
    }

    /// Returns `true` if any part is frozen.
    pub(crate) fn has_frozen_parts(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// Gives a connection a gate that belongs to its listener and session.
    pub(crate) fn assign(&mut self, conn: ConnId, listener: Option<usize>, session: Option<SessionId>) {
        let gate = self.by_conn.entry(conn).or_default();
        (gate.listener, gate.session) = (listener, session);
        gate.is_frozen = gate.is_in(conn, &self.frozen);
        self.settle(conn);
    }

    /// Holds the handshake of a connection, which names a frozen session.
    pub(crate) fn hold_handshake(
        &mut self,
        conn: ConnId,
        frame: &[u8],
        is_delayed: bool,
        listener: Option<usize>,
        session: SessionId,
    ) {
        let gate = self.by_conn.entry(conn).or_default();
        gate.incoming.push_front((self.now, self.now), HeldFrame::new(frame, is_delayed, false), frame.len());
        self.assign(conn, listener, Some(session));
    }

    /// Returns the connections that the core has closed and forgotten, and whose close is held.
    pub(crate) fn closing(&self) -> impl Iterator<Item = ConnId> {
        self.by_conn
            .iter()
            .filter(|(_, gate)| gate.is_shut && !gate.outgoing.is_empty())
            .map(|(conn, _)| *conn)
    }

    /// Returns those of a listener.
    pub(crate) fn closing_at(&self, listener: usize) -> Vec<ConnId> {
        let is_there = |conn: &ConnId| self.by_conn[conn].listener == Some(listener);
        self.closing().filter(is_there).collect()
    }

    /// Drops the gate of a connection, with everything that waits there.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if let Some(at) = self.by_conn.remove(&conn).and_then(|gate| gate.due) {
            self.due.remove(&(at, conn));
        }
    }

    /// Returns gates without connections, where the same parts are frozen.
    pub(crate) fn without_connections(&self) -> Self {
        let keeps = |part: &&Part| !matches!(part, Part::Connection(_));
        Self { frozen: self.frozen.iter().filter(keeps).copied().collect(), ..Self::new(self.max_held) }
    }

    /// Brings everything that follows from the state of a gate up to date: the time at which it is due, and its effect
    /// on the input. Removes it if it has no use.
    pub(crate) fn settle(&mut self, conn: ConnId) {
        let Some(gate) = self.by_conn.get_mut(&conn) else { return };
        let is_idle = gate.is_idle();
        let due = gate.next().filter(|_| !is_idle);
        if due != gate.due {
            if let Some(at) = gate.due {
                self.due.remove(&(at, conn));
            }
            self.due.extend(due.map(|at| (at, conn)));
            gate.due = due;
        }
        let room = if gate.is_paused { READ_AHEAD / 2 } else { READ_AHEAD };
        let pauses = gate.is_frozen || gate.incoming.bytes > room;
        if pauses != gate.is_paused && !gate.is_shut {
            gate.is_paused = pauses;
            self.effects.push_back(if pauses { Effect::Pause(conn) } else { Effect::Resume(conn) });
        }
        if is_idle {
            if gate.is_shut {
                self.frozen.remove(&Part::Connection(conn));
            }
            self.by_conn.remove(&conn);
        }
    }

    /// Brings the gates of a part up to date.
    fn refresh(&mut self, part: Part) {
        let of_part: Vec<_> = match part {
            Part::Connection(conn) => vec![conn],
            _ => {
                let is_of_part = |gate: &Gate| match part {
                    Part::Listener(listener) => gate.listener == Some(listener),
                    Part::Session(session) => gate.session == Some(session),
                    Part::Server | Part::Connection(_) => true,
                };
                self.by_conn.iter().filter(|(_, gate)| is_of_part(gate)).map(|(conn, _)| *conn).collect()
            }
        };
        for conn in of_part {
            if let Some(gate) = self.by_conn.get_mut(&conn) {
                gate.is_frozen = gate.is_in(conn, &self.frozen);
                self.settle(conn);
            }
        }
    }
}

impl Gate {
    /// Returns `true` if the connection belongs to one of the parts.
    fn is_in(&self, conn: ConnId, parts: &BTreeSet<Part>) -> bool {
        let own = [
            Some(Part::Server),
            Some(Part::Connection(conn)),
            self.listener.map(Part::Listener),
            self.session.map(Part::Session),
        ];
        own.iter().flatten().any(|part| parts.contains(part))
    }

    fn holds_input(&self) -> bool {
        self.is_frozen || !self.incoming.is_empty()
    }

    /// Returns the time at which there is something to pop.
    fn next(&self) -> Option<Millis> {
        if self.is_frozen {
            return None;
        }
        let lost = self.is_lost.then_some(Millis(0));
        let opens = self.opens.filter(|_| self.outgoing.is_empty());
        [self.incoming.next().or(lost), self.outgoing.next().or(opens)].into_iter().flatten().min()
    }

    fn pop(&mut self, now: Millis) -> Option<Passed> {
        if self.opens.is_some_and(|opens| opens <= now) {
            self.opens = None;
        }
        if let Some(held) = self.incoming.pop(now) {
            return Some(match self.departed.take() {
                Some(peer) => Passed::LateFrame(held, peer),
                None => Passed::Frame(held),
            });
        }
        if self.is_lost && self.incoming.is_empty() {
            self.is_lost = false;
            return Some(Passed::Lost);
        }
        self.outgoing.pop(now).map(Passed::Output)
    }

    fn is_idle(&self) -> bool {
        let is_open = !self.is_frozen && self.link.is_none() && self.opens.is_none();
        self.incoming.is_empty() && self.outgoing.is_empty() && !self.is_lost && (self.is_shut || is_open)
    }
}

impl HeldFrame {
    /// Copies a frame: it is a part of a larger buffer, which would live as long.
    fn new(frame: &[u8], is_delayed: bool, is_read: bool) -> Self {
        Self { frame: Bytes::copy_from_slice(frame), is_delayed, is_read }
    }
}
