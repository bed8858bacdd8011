//! Frames to the server.

use bytes::Bytes;
use common::Millis;
use zk_wire::{
    AddWatch, ByteString, CloseSession, ConnectRequest, Encode, FrameWriter, OpCode, Ping, RemoveWatches,
    Request, RequestHeader, SessionId, SetWatches, SetWatches2, Sync, Xid, Zxid,
};

use super::calls::{Purpose, SentAuth};
use super::{Call, LinkState, Outgoing, Session, WatchKey, WatchKind};

const ONE_SHOTS: [WatchKind; 3] = [WatchKind::Data, WatchKind::Exist, WatchKind::Child];
const LASTING: [WatchKind; 2] = [WatchKind::Persistent, WatchKind::Recursive];

/// Maximum number of requests under way that withdraw watches: a program may drop thousands at once.
const MAX_WITHDRAWALS: usize = 64;

/// Numbers of the two requests in a probe session.
pub(super) const CHECK: Xid = Xid(1);
pub(super) const LEAVE: Xid = Xid(2);

impl<C> Session<C> {
    pub(super) fn handle_connected(&mut self, now: Millis) {
        if self.attempts.is_empty() {
            return;
        }
        self.attempts.clear();
        let probing = self.must_probe();
        let (session_id, password) = match &self.credentials {
            Some(credentials) if !probing && !self.is_local => (credentials.id, credentials.password.clone()),
            _ => (SessionId::NONE, Bytes::from_static(&[0; 16])),
        };
        // Any server can close the session, even one that is behind.
        let last_zxid_seen = if probing || self.closing.is_some() { Zxid(0) } else { self.seen };
        FrameWriter::new(&mut self.outgoing).put(&ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout: i32::try_from(self.config.session_timeout.0).unwrap_or(i32::MAX),
            session_id,
            password: Some(password),
            // It can neither close the session nor show what has been written.
            read_only: Some(self.config.read_only && !probing && self.closing.is_none()),
        });
        self.link = LinkState::Handshaking { until: now + self.attempt_time(), probing };
    }

    /// Returns true if the next handshake should ask for a probe session instead of ours.
    ///
    /// A server that is behind what we have seen closes the connection without an answer, before it looks at the session. A
    /// server that lost its data, or runs on older data, does so for ever, and never says that the session is gone. A
    /// handshake that hides what we have seen would renew the session where it is still known, although we could not use it.
    /// So after repeated hang-ups every other round asks for a new session, which shows the last transaction of the servers;
    /// see `handle_check`.
    fn must_probe(&self) -> bool {
        const FIRST_PROBE: u32 = 2;
        let rounds = self.route.rounds();
        let is_its_turn = rounds >= FIRST_PROBE && rounds.is_multiple_of(2);
        is_its_turn && self.refused && self.credentials.is_some() && !self.is_local && self.closing.is_none()
    }

    /// Asks for the last transaction of the servers. A sync goes through the leader: a server that was only behind has caught
    /// up when it answers.
    pub(super) fn send_check(&mut self, now: Millis) {
        self.put(now, CHECK, Sync::OP, &Sync { path: Some("/".into()) });
    }

    /// Closes a probe session.
    pub(super) fn send_leave(&mut self, now: Millis) {
        self.put(now, LEAVE, OpCode::CLOSE_SESSION, &CloseSession {});
    }

    /// Sends a call. Auth packets have a number and a queue of answers of their own.
    pub(super) fn send_call(&mut self, now: Millis, call: Call<C>, request: Outgoing<'_>) {
        let Outgoing { op, body, watch } = request;
        if op == OpCode::AUTH {
            self.send_identity(now, body);
            let body = Bytes::copy_from_slice(body);
            self.calls.push_sent_auth(SentAuth { call, body });
            return;
        }
        let xid = self.calls.push_sent(Purpose::Call(call, watch));
        self.put(now, xid, op, &Raw(body));
    }

    pub(super) fn send_identity(&mut self, now: Millis, body: &[u8]) {
        self.put(now, Xid::AUTH, OpCode::AUTH, &Raw(body));
    }

    pub(super) fn send_set_watches(&mut self, now: Millis) {
        for request in self.watches.set_again(self.watched_since) {
            if request.persistent_watches.is_empty() && request.persistent_recursive_watches.is_empty() {
                // Servers before 3.6 know only this request.
                let SetWatches2 { relative_zxid, data_watches, exist_watches, child_watches, .. } = request;
                let request = SetWatches { relative_zxid, data_watches, exist_watches, child_watches };
                self.put(now, Xid::SET_WATCHES, SetWatches::OP, &request);
            } else {
                self.put(now, Xid::SET_WATCHES, SetWatches2::OP, &request);
            }
            self.sent_set_watches += 1;
        }
    }

    /// Sets a lasting watch again after the server has set another watch on its path: servers before 3.9 keep only the last
    /// mode for each path. If there were transactions in between, the lasting watch may have missed them, and is told so.
    pub(super) fn keep_lasting(&mut self, now: Millis, (kind, path): &WatchKey) {
        let is_kept = |lasting| *kind < lasting && self.watches.contains(&(lasting, path.clone()));
        let lasting =
            [WatchKind::Recursive, WatchKind::Persistent].into_iter().find(|&lasting| is_kept(lasting));
        if let Some(lasting) = lasting {
            self.send_rewatch(now, lasting, path);
        }
    }

    /// Removes a watch from the server if no handle has it any more; soon, if many are removed.
    pub(super) fn withdraw(&mut self, now: Millis, key: WatchKey) {
        if matches!(self.link, LinkState::Live { .. }) && self.closing.is_none() {
            self.unused.insert(key);
            self.send_withdrawals(now);
        }
    }

    pub(super) fn send_withdrawals(&mut self, now: Millis) {
        while self.sent_withdrawals < MAX_WITHDRAWALS
            && self.closing.is_none()
            && let Some(key) = self.unused.pop_first()
        {
            self.send_withdrawal(now, key);
        }
    }

    fn send_withdrawal(&mut self, now: Millis, (kind, path): WatchKey) {
        let is_set = |kind: &WatchKind| self.watches.contains(&(*kind, path.clone()));
        let will_be_set = |kind: &WatchKind| self.calls.will_set(&(*kind, path.clone()));
        let is_used = |kinds: &[WatchKind]| kinds.iter().any(|kind| is_set(kind) || will_be_set(kind));
        let (watcher_type, others) = match kind {
            // Older servers take it for a part of a lasting watch.
            WatchKind::Data | WatchKind::Exist | WatchKind::Child if is_used(&LASTING) => return,
            // One watch for a server.
            WatchKind::Data | WatchKind::Exist if is_used(&[WatchKind::Data, WatchKind::Exist]) => return,
            WatchKind::Child if is_used(&[kind]) => return,
            WatchKind::Persistent | WatchKind::Recursive if is_used(&[kind]) => return,
            WatchKind::Data | WatchKind::Exist => (2, Vec::new()),
            WatchKind::Child => (1, Vec::new()),
            // All servers know the type "any", which removes all watches of the path.
            _ if !is_used(&LASTING) && !ONE_SHOTS.iter().any(will_be_set) => {
                (3, ONE_SHOTS.into_iter().filter(is_set).collect())
            }
            // Servers before 3.9 refuse these types; an unused watch stays there until the connection ends.
            WatchKind::Persistent => (4, Vec::new()),
            WatchKind::Recursive => (5, Vec::new()),
        };
        if kind == WatchKind::Recursive && is_set(&WatchKind::Persistent) {
            // Servers before 3.9 replace the mode of the path by this one.
            self.send_rewatch(now, WatchKind::Persistent, &path);
        }
        self.sent_withdrawals += 1;
        let xid = self.calls.push_sent(Purpose::Unwatch);
        self.put(now, xid, RemoveWatches::OP, &RemoveWatches { path: path.clone(), watcher_type });
        if !others.is_empty() {
            self.send_restore(now, &others, &path);
        }
    }

    /// Sets one-shot watches again that were removed with a lasting one. The server tells them what changed meanwhile.
    fn send_restore(&mut self, now: Millis, kinds: &[WatchKind], path: &ByteString) {
        let list = |kind| if kinds.contains(&kind) { vec![path.clone()] } else { Vec::new() };
        let request = SetWatches {
            relative_zxid: self.watched_since,
            data_watches: list(WatchKind::Data),
            exist_watches: list(WatchKind::Exist),
            child_watches: list(WatchKind::Child),
        };
        let xid = self.calls.push_sent(Purpose::Restore);
        self.put(now, xid, SetWatches::OP, &request);
    }

    fn send_rewatch(&mut self, now: Millis, kind: WatchKind, path: &ByteString) {
        let xid = self.calls.push_sent(Purpose::Rewatch { path: path.clone(), since: self.seen });
        let mode = i32::from(kind == WatchKind::Recursive);
        self.put(now, xid, AddWatch::OP, &AddWatch { path: path.clone(), mode });
    }

    pub(super) fn send_ping(&mut self, now: Millis) {
        self.put(now, Xid::PING, OpCode::PING, &Ping {});
    }

    pub(super) fn send_close(&mut self, now: Millis) {
        if let Some(closing) = &mut self.closing {
            closing.sent = true;
        }
        let xid = self.calls.push_sent(Purpose::Close);
        self.put(now, xid, OpCode::CLOSE_SESSION, &CloseSession {});
    }

    pub(super) fn put<T: Encode>(&mut self, now: Millis, xid: Xid, op: OpCode, body: &T) {
        let mut frame = FrameWriter::new(&mut self.outgoing);
        frame.put(&RequestHeader { xid, op });
        frame.put(body);
        drop(frame);
        if let LinkState::Live { wrote, owed, .. } = &mut self.link {
            *wrote = now;
            if op != OpCode::PING {
                owed.get_or_insert(now);
            }
        }
    }
}

/// Encoded record.
struct Raw<'a>(&'a [u8]);

impl Encode for Raw<'_> {
    fn encode(&self, out: &mut bytes::BytesMut) {
        out.extend_from_slice(self.0);
    }
}
