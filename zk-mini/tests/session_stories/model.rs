//! The simplest model of sessions: which are alive and until when, which nodes they own, and who watches what.
//!
//! It does not say when in its last tick a session expires. The server says so ([`Model::expired`]), and the model
//! checks that it was allowed.

use std::collections::{BTreeMap, BTreeSet};

use super::{CLIENTS, Client, Fault, Step, Story};

/// Time at which something happened: at some time from `from` to `to`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Span {
    pub(crate) fn at(time: u64) -> Self {
        Self { from: time, to: time }
    }
}

/// Message that a client hears. The end of a session gives several events in no particular order.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Heard {
    /// The handshake gave a session with this timeout.
    Welcome(u64),
    /// The handshake gave no session.
    Refused,
    Done,
    Exists,
    NoNode,
    Created(String),
    Deleted(String),
    ListChanged,
    Closed,
}

impl Heard {
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Deleted(_) | Self::ListChanged)
    }
}

/// Returns messages with neighbouring events sorted.
pub(crate) fn in_order(mut heard: Vec<Heard>) -> Vec<Heard> {
    heard.chunk_by_mut(|one, next| one.is_event() && next.is_event()).for_each(<[Heard]>::sort);
    heard
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) is_alive: bool,
    /// Last sign of life.
    heard: Span,
    /// Timeout negotiated by the latest connection.
    timeout: u64,
    /// Timeout negotiated by the first connection: the one that the log has.
    first_timeout: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    tick: u64,
    pub(crate) bounds: (u64, u64),
    /// Time that the server may be late, beyond a tick.
    lateness: u64,
    pub(crate) now: Span,
    /// End of the last time in which the server could not do anything.
    stalled: u64,
    /// Sessions in the order in which they were opened.
    pub(crate) sessions: Vec<Session>,
    /// Last session of each client.
    pub(crate) last: [Option<usize>; CLIENTS],
    /// Clients that have a connection.
    pub(crate) connected: [bool; CLIENTS],
    /// Ephemeral nodes with their owners.
    pub(crate) nodes: BTreeMap<String, usize>,
    watches: BTreeSet<(String, Client)>,
    list_watches: BTreeSet<Client>,
    /// Number of transactions.
    pub(crate) transactions: i64,
    heard: [Vec<Heard>; CLIENTS],
    /// Faults that wait for a session.
    faults: Vec<(usize, Fault)>,
    /// Sessions that have expired and whose nodes stay until a time.
    pub(crate) held: BTreeMap<usize, u64>,
    /// Session that is made to expire.
    forced: Option<usize>,
    /// Requests, and news for the client, that wait for the thaw of each session.
    pub(crate) frozen: [Option<(Vec<Step>, Vec<Heard>)>; CLIENTS],
}

impl Model {
    pub(crate) fn new(story: &Story, lateness: u64) -> Self {
        Self {
            tick: story.tick,
            bounds: story.bounds,
            lateness,
            now: Span::default(),
            stalled: 0,
            sessions: Vec::new(),
            last: [None; CLIENTS],
            connected: [false; CLIENTS],
            nodes: BTreeMap::new(),
            watches: BTreeSet::new(),
            list_watches: BTreeSet::new(),
            transactions: 0,
            heard: Default::default(),
            faults: Vec::new(),
            held: BTreeMap::new(),
            forced: None,
            frozen: Default::default(),
        }
    }

    /// Returns `true` if the client of a step waits for a thaw, and the step is not for that.
    pub(crate) fn is_out_of_place(&self, step: &Step) -> bool {
        let is_drastic =
            matches!(step, Step::Open { .. } | Step::Reattach { .. } | Step::Lose(_) | Step::Freeze(_));
        is_drastic && step.client().is_some_and(|client| self.frozen[client.0].is_some())
    }

    /// Performs a step. Expiries that it causes are told afterwards.
    pub(crate) fn perform(&mut self, step: &Step) {
        if self.is_out_of_place(step) {
            return;
        }
        match *step {
            Step::Open { client, timeout } => {
                self.disconnect(client);
                let timeout = timeout.clamp(self.bounds.0, self.bounds.1);
                self.last[client.0] = Some(self.sessions.len());
                let (heard, first_timeout) = (self.now, timeout);
                self.sessions.push(Session { is_alive: true, heard, timeout, first_timeout });
                self.transactions += 1;
                self.welcome(client, timeout);
            }
            Step::Reattach { client, timeout, right_password } => {
                self.reattach(client, timeout.clamp(self.bounds.0, self.bounds.1), right_password);
            }
            Step::Lose(client) => self.disconnect(client),
            Step::Wait(_) | Step::Snapshot | Step::Straggle(_) => {}
            Step::Stall(_) => self.stalled = self.now.to,
            Step::Restart => self.restart(),
            Step::Expire(client) => {
                self.forced = self.last[client.0].filter(|&session| self.sessions[session].is_alive);
            }
            Step::Fault(client, fault) => {
                self.faults.extend(self.last[client.0].map(|session| (session, fault)));
            }
            Step::Freeze(client) => {
                self.frozen[client.0] = self.last[client.0].map(|_| Default::default());
            }
            Step::Thaw(client) => {
                if let Some((requests, heard)) = self.frozen[client.0].take() {
                    self.heard[client.0].extend(heard);
                    requests.iter().for_each(|request| self.perform(request));
                }
            }
            Step::Ping(client)
            | Step::Create(client, _)
            | Step::Delete(client, _)
            | Step::Watch(client, _)
            | Step::WatchList(client)
            | Step::Close(client) => {
                if self.connected[client.0] {
                    match &mut self.frozen[client.0] {
                        Some((requests, _)) => requests.push(*step),
                        None => self.arrive(client, step),
                    }
                }
            }
        }
    }

    /// Handles a request of a client that is connected.
    fn arrive(&mut self, client: Client, request: &Step) {
        let Some(session) = self.last[client.0] else { return };
        let fault = match request {
            Step::Ping(_) => self.take_fault(session, |fault| fault == Fault::IgnorePing),
            Step::Create(..) | Step::Delete(..) => {
                self.take_fault(session, |fault| matches!(fault, Fault::LoseWrite | Fault::LoseReply))
            }
            _ => None,
        };
        match fault {
            Some(Fault::IgnorePing) => return,
            Some(Fault::LoseWrite) => return self.close(client),
            _ => {}
        }
        self.sessions[session].heard = self.now;
        let answer = self.request(client, session, request);
        if fault.is_none() {
            self.hear(client, answer);
        }
        if fault.is_some() || matches!(request, Step::Close(_)) {
            self.close(client);
        }
    }

    fn restart(&mut self) {
        self.faults.clear();
        // No log knows that they have expired.
        for session in std::mem::take(&mut self.held).into_keys() {
            self.sessions[session].is_alive = true;
        }
        self.frozen = Default::default();
        for client in (0..CLIENTS).map(Client) {
            self.close(client);
        }
        for session in &mut self.sessions {
            session.heard = self.now;
            session.timeout = session.first_timeout;
        }
    }

    /// Ends a session that the server has expired at this time, with its nodes, and checks that it was the time for it.
    pub(crate) fn expired(&mut self, session: usize, at: Span) {
        assert_eq!(self.take_hold(session), None, "the nodes of session {session} should stay");
        self.check_time(session, at);
        self.end(session);
        if let Some(client) = self.client(session) {
            self.close(client);
        }
    }

    /// Ends a session that the server has expired, while its nodes stay.
    pub(crate) fn expired_without_nodes(&mut self, session: usize, at: Span) {
        let hold = self.take_hold(session);
        let hold = hold.unwrap_or_else(|| panic!("session {session} expired without a transaction"));
        self.check_time(session, at);
        self.sessions[session].is_alive = false;
        self.held.insert(session, at.to + hold);
        if let Some(client) = self.client(session) {
            self.close(client);
        }
    }

    /// Deletes the nodes of a session that has expired before, and checks that they stayed as long as they should.
    pub(crate) fn nodes_went(&mut self, session: usize, at: Span) {
        let until = self.held.remove(&session);
        let until = until.unwrap_or_else(|| panic!("session {session} ends twice"));
        assert_eq!(at.to, until.max(self.stalled.min(at.to)), "the end of the hold of session {session}");
        self.end(session);
    }

    fn take_hold(&mut self, session: usize) -> Option<u64> {
        match self.take_fault(session, |fault| matches!(fault, Fault::HoldNodes(_))) {
            Some(Fault::HoldNodes(span)) => Some(span),
            _ => None,
        }
    }

    fn check_time(&mut self, session: usize, at: Span) {
        assert!(self.sessions[session].is_alive, "session {session} ends twice");
        if self.forced.take_if(|forced| *forced == session).is_none() {
            let (due, latest) = (self.due(session), self.latest(session));
            assert!(at.to > due, "session {session} expired early: at {at:?}, due after {due}");
            assert!(at.from <= latest, "session {session} expired late: at {at:?}, due until {latest}");
        }
    }

    /// Checks that nothing should have ended before now.
    pub(crate) fn check_overdue(&self) {
        assert_eq!(self.forced, None, "a session is made to expire, and lives");
        for session in (0..self.sessions.len()).filter(|&session| self.sessions[session].is_alive) {
            let latest = self.latest(session);
            assert!(self.now.from <= latest, "session {session} lives at {:?}, due until {latest}", self.now);
        }
        for (session, until) in &self.held {
            let is_due = self.now.from >= *until && self.now.from > self.stalled;
            assert!(!is_due, "the nodes of session {session} are there at {:?}, due at {until}", self.now);
        }
    }

    /// Returns `true` if a session that is alive may have expired at `now`.
    pub(crate) fn is_in_doubt(&self, now: u64) -> bool {
        (0..self.sessions.len()).any(|session| self.sessions[session].is_alive && now >= self.due(session))
    }

    /// Takes what a client must have heard since the last call.
    pub(crate) fn take_heard(&mut self, client: Client) -> Vec<Heard> {
        std::mem::take(&mut self.heard[client.0])
    }

    /// Returns the names of the nodes that a session owns.
    pub(crate) fn owned(&self, session: usize) -> Vec<&str> {
        self.nodes.iter().filter(|(_, owner)| **owner == session).map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the last time at which a session is alive for sure.
    fn due(&self, session: usize) -> u64 {
        self.sessions[session].heard.from + self.sessions[session].timeout
    }

    /// Returns the last time at which a session may be alive.
    fn latest(&self, session: usize) -> u64 {
        let it = &self.sessions[session];
        (it.heard.to + it.timeout + self.tick).max(self.stalled) + self.lateness
    }

    /// Returns the client that is connected with a session.
    fn client(&self, session: usize) -> Option<Client> {
        (0..CLIENTS).find(|&i| self.connected[i] && self.last[i] == Some(session)).map(Client)
    }

    fn reattach(&mut self, client: Client, timeout: u64, right_password: bool) {
        let Some(session) = self.last[client.0] else { return };
        if self.take_fault(session, |fault| fault == Fault::RefuseReturn).is_some() {
            // The session and its connection stay.
            self.hear(client, Heard::Refused);
            return self.hear(client, Heard::Closed);
        }
        // The session's connection goes, whatever the password is.
        self.close(client);
        let it = &mut self.sessions[session];
        if it.is_alive && right_password {
            (it.heard, it.timeout) = (self.now, timeout);
            self.welcome(client, timeout);
        } else {
            self.hear(client, Heard::Refused);
            self.hear(client, Heard::Closed);
        }
    }

    fn request(&mut self, client: Client, session: usize, step: &Step) -> Heard {
        match *step {
            Step::Create(_, name) => {
                self.transactions += 1;
                if self.nodes.contains_key(name) {
                    return Heard::Exists;
                }
                self.nodes.insert(name.into(), session);
                self.tell(name, Heard::Created);
            }
            Step::Delete(_, name) => {
                self.transactions += 1;
                if self.nodes.remove(name).is_none() {
                    return Heard::NoNode;
                }
                self.tell(name, Heard::Deleted);
            }
            Step::Watch(_, name) => {
                self.watches.insert((name.into(), client));
                if !self.nodes.contains_key(name) {
                    return Heard::NoNode;
                }
            }
            Step::WatchList(_) => {
                self.list_watches.insert(client);
            }
            Step::Close(_) => self.end(session),
            _ => {}
        }
        Heard::Done
    }

    /// Ends a session: its nodes go in one transaction.
    fn end(&mut self, session: usize) {
        self.sessions[session].is_alive = false;
        self.transactions += 1;
        let (owned, others) =
            std::mem::take(&mut self.nodes).into_iter().partition(|(_, owner)| *owner == session);
        self.nodes = others;
        let owned: BTreeMap<String, usize> = owned;
        for name in owned.keys() {
            self.tell(name, Heard::Deleted);
        }
    }

    /// Tells the watchers of a node and of the list, and uses their watches up.
    fn tell(&mut self, name: &str, event: impl Fn(String) -> Heard) {
        for client in (0..CLIENTS).map(Client) {
            if self.watches.remove(&(name.to_owned(), client)) {
                self.hear(client, event(name.into()));
            }
            if self.list_watches.remove(&client) {
                self.hear(client, Heard::ListChanged);
            }
        }
    }

    fn welcome(&mut self, client: Client, timeout: u64) {
        self.connected[client.0] = true;
        self.hear(client, Heard::Welcome(timeout));
    }

    /// Closes the connection of a client, if there is one.
    fn close(&mut self, client: Client) {
        if self.connected[client.0] {
            self.hear(client, Heard::Closed);
            self.disconnect(client);
        }
    }

    fn disconnect(&mut self, client: Client) {
        self.connected[client.0] = false;
        self.watches.retain(|(_, watcher)| *watcher != client);
        self.list_watches.remove(&client);
    }

    fn hear(&mut self, client: Client, heard: Heard) {
        match &mut self.frozen[client.0] {
            Some((_, later)) => later.push(heard),
            None => self.heard[client.0].push(heard),
        }
    }

    /// Takes the first fault of a kind that waits for a session.
    fn take_fault(&mut self, session: usize, is_kind: impl Fn(Fault) -> bool) -> Option<Fault> {
        let first = self.faults.iter().position(|(of, fault)| *of == session && is_kind(*fault))?;
        Some(self.faults.remove(first).1)
    }
}
