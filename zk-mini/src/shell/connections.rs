//! The open connections: their outboxes, counters and limits.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::oneshot;
use zk_wire::{Millis, UnixMillis, Zxid};

use crate::core::{ConnId, Frame};
use crate::report::stats::{ConnectionStats, FrameBatch, ServerStats};
use crate::shell::limits::{Limits, SESSIONLESS};
use crate::shell::outbox::{Close, Outbox};
use crate::shell::remote::Remote;
use crate::shell::turn::Turn;

/// All connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_id: BTreeMap<ConnId, Entry>,
    /// Number of connections over TCP, by port and address.
    per_ip: BTreeMap<(Port, IpAddr), usize>,
    /// Number of connections over TCP, by server.
    over_tcp: BTreeMap<usize, usize>,
    given: u64,
    /// Times by which connections must request a session, in order. The first one has not done so; others may have, or
    /// have ended.
    expected: VecDeque<(Millis, ConnId)>,
    /// Counters of each server; one, if this is no ensemble.
    stats: Vec<ServerStats>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Address of the other end; `None` if it is in this process.
    pub(crate) remote: Option<SocketAddr>,
    port: Port,
    pub(crate) outbox: Arc<Outbox>,
    /// Time at which it was accepted.
    pub(crate) established: UnixMillis,
    /// Time by which it must request a session.
    pub(crate) session_due: Millis,
    pub(crate) stats: ConnectionStats,
    /// True once the core has sent it a frame: it has asked for a session.
    answered: bool,
    /// True once the core has closed and forgotten it.
    closed_by_core: bool,
}

/// Port that counts its connections: each server does so for itself, and apart for those of a port for TLS only, as
/// ZooKeeper does.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Port {
    /// Server of an ensemble; 0 for a single server.
    pub(crate) server: usize,
    pub(crate) is_for_tls: bool,
}

/// Reason for refusing a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    Stopped,
    Down,
    /// Its address has the maximum number of connections.
    TooMany,
    /// The server has the maximum number of connections.
    Full,
}

impl Connections {
    /// Admits a connection, unless its address or the server has the maximum number.
    pub(crate) fn admit(
        &mut self,
        remote: Option<SocketAddr>,
        port: Port,
        turn: &Turn<'_>,
    ) -> Result<(ConnId, Arc<Outbox>), Refused> {
        if let Some(remote) = remote {
            let over_tcp = self.over_tcp.entry(port.server).or_default();
            if !turn.limits.allows_one_more(*over_tcp) {
                return Err(Refused::Full);
            }
            let open = self.per_ip.entry((port, remote.ip())).or_default();
            if !turn.limits.allows_another(*open) {
                return Err(Refused::TooMany);
            }
            *open += 1;
            *over_tcp += 1;
        }
        self.given += 1;
        // From now on its counters are there.
        self.stats_of(port.server);
        let (id, outbox) = (ConnId(self.given), Arc::<Outbox>::default());
        let session_due = session_due(turn.now.mono);
        let entry = Entry {
            remote,
            port,
            outbox: Arc::clone(&outbox),
            established: turn.now.wall,
            session_due,
            stats: ConnectionStats::default(),
            answered: false,
            closed_by_core: false,
        };
        self.by_id.insert(id, entry);
        self.expected.push_back((session_due, id));
        Ok((id, outbox))
    }

    /// Removes a connection that has ended. Returns true if the core still knows it and must be told.
    pub(crate) fn remove(&mut self, id: ConnId) -> bool {
        let Some(entry) = self.by_id.remove(&id) else { return false };
        self.expect_next();
        if let Some(remote) = entry.remote {
            let key = (entry.port, remote.ip());
            if let Some(open) = self.per_ip.get_mut(&key) {
                *open -= 1;
                if *open == 0 {
                    self.per_ip.remove(&key);
                }
            }
            if let Some(open) = self.over_tcp.get_mut(&entry.port.server) {
                *open -= 1;
            }
        }
        !entry.closed_by_core
    }

    /// Returns the time at which [`close_sessionless`](Self::close_sessionless) is due.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.expected.front().map(|(at, _)| *at)
    }

    /// Closes the connections that have not asked for a session in time, and returns them. One that has a session, and
    /// whose answer a fault rule delays, stays.
    pub(crate) fn close_sessionless(
        &mut self,
        has_session: impl Fn(ConnId) -> bool,
        turn: &mut Turn<'_>,
    ) -> Vec<ConnId> {
        let mut closed = Vec::new();
        while let Some((_, id)) = self.expected.front().copied().filter(|(at, _)| *at <= turn.now.mono) {
            self.expected.pop_front();
            if let Some(entry) = self.by_id.get_mut(&id).filter(|entry| !entry.answered && !has_session(id)) {
                // Its request may have arrived long ago: it is expected anew when the connection is read again.
                if entry.outbox.is_paused() || entry.session_due > turn.now.mono {
                    continue;
                }
                entry.outbox.close(Close::Now, turn);
                if let Some(stats) = self.stats.get_mut(entry.port.server) {
                    stats.sessionless_expired += 1;
                }
                closed.push(id);
            }
        }
        self.expect_next();
        closed
    }

    /// Goes to the next connection that must still request a session.
    fn expect_next(&mut self) {
        while let Some((_, id)) = self.expected.front()
            && self.by_id.get(id).is_none_or(|entry| entry.answered)
        {
            self.expected.pop_front();
        }
    }

    /// Queues a frame; drops it if the connection is gone. Returns false if the connection ends because its peer does
    /// not read.
    pub(crate) fn send(&mut self, id: ConnId, frame: &Frame<'_>, turn: &mut Turn<'_>) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return true };
        let goes_on = entry.outbox.push(frame, turn);
        entry.stats.sent += 1;
        let was_answered = std::mem::replace(&mut entry.answered, true);
        if let Some(stats) = self.stats.get_mut(entry.port.server) {
            stats.frame_sent(frame);
        }
        if !was_answered {
            self.expect_next();
        }
        goes_on
    }

    /// Returns the other end of a connection. A closed connection counts as one in this process.
    pub(crate) fn remote(&self, id: ConnId) -> Remote {
        Remote(self.by_id.get(&id).and_then(|entry| entry.remote))
    }

    /// Closes a connection for the core.
    pub(crate) fn close_by_core(&mut self, id: ConnId, turn: &mut Turn<'_>) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.closed_by_core = true;
            entry.outbox.close(Close::Flushed, turn);
        }
    }

    /// Reads no more of a connection for now.
    pub(crate) fn pause(&self, id: ConnId) {
        if let Some(entry) = self.by_id.get(&id) {
            entry.outbox.pause();
        }
    }

    /// Reads a connection again.
    pub(crate) fn resume(&mut self, id: ConnId, turn: &mut Turn<'_>) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.outbox.resume(turn);
            if !entry.answered && entry.session_due <= turn.now.mono {
                entry.session_due = session_due(turn.now.mono);
                self.expected.push_back((entry.session_due, id));
            }
        }
    }

    /// Returns true if a connection before `limit` that the core has closed has not ended yet.
    pub(crate) fn has_closing(&self, limit: ConnId) -> bool {
        self.by_id.range(..limit).any(|(_, entry)| entry.closed_by_core)
    }

    /// Waits no longer until the peers of closed connections before `limit` take what is queued.
    pub(crate) fn hurry(&self, limit: ConnId, turn: &mut Turn<'_>) {
        let closed = self.by_id.range(..limit).filter(|(_, entry)| entry.closed_by_core);
        closed.for_each(|(_, entry)| entry.outbox.close(Close::Now, turn));
    }

    /// Closes all connections at once, whatever is queued.
    pub(crate) fn drop_all(&mut self, turn: &mut Turn<'_>) {
        for entry in self.by_id.values_mut() {
            entry.closed_by_core = true;
            entry.outbox.close(Close::Now, turn);
        }
    }

    /// Closes all connections, which the core has forgotten.
    pub(crate) fn close_all_by_core(&mut self, turn: &mut Turn<'_>) {
        for entry in self.by_id.values_mut() {
            entry.closed_by_core = true;
            entry.outbox.close(Close::Flushed, turn);
        }
    }

    /// Notes that bytes wait for the disk on account of a connection.
    pub(crate) fn charge(&self, id: ConnId, bytes: usize) {
        if let Some(entry) = self.by_id.get(&id) {
            entry.outbox.hold(bytes);
        }
    }

    /// Notes that these bytes wait no longer.
    pub(crate) fn release(&self, id: ConnId, bytes: usize, turn: &mut Turn<'_>) {
        if let Some(entry) = self.by_id.get(&id) {
            entry.outbox.release(bytes, turn);
        }
    }

    /// Returns true if a connection's next frame is its first.
    pub(crate) fn is_new(&self, id: ConnId) -> bool {
        self.by_id.get(&id).is_some_and(|entry| !entry.answered)
    }

    /// Counts the frames of a connection that were handled by `now`, in `millis`.
    pub(crate) fn handled(&mut self, id: ConnId, batch: &FrameBatch, now: Millis, millis: u64, zxid: Zxid) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        if let Some(stats) = self.stats.get_mut(entry.port.server) {
            stats.received += batch.frames;
            stats.bytes_received += batch.bytes;
            stats.handshakes += batch.handshakes;
            stats.revalidations += batch.revalidations;
            stats.updates.add(millis, batch.updates);
            stats.reads.add(millis, batch.frames - batch.updates);
        }
        let stats = &mut entry.stats;
        stats.received += batch.frames;
        stats.op = batch.op.or(stats.op);
        stats.xid = batch.xid.or(stats.xid);
        stats.zxid = Some(zxid);
        stats.answered = now;
        stats.last_latency = millis;
        stats.latency.add(millis, batch.frames);
    }

    /// Asks all connections from `first` on to handle the input that has arrived. Returns a signal for
    /// each of them.
    pub(crate) fn ask_for_input(
        &self,
        first: ConnId,
        turn: &mut Turn<'_>,
    ) -> Vec<oneshot::Receiver<Infallible>> {
        let all = self.by_id.range(first..);
        all.filter_map(|(_, entry)| entry.outbox.ask_for_input(turn)).collect()
    }

    /// Returns the connections that are not read before the disk is ready, though their peers may have sent requests.
    pub(crate) fn waiting_for_disk(&self, limits: &Limits) -> Vec<ConnId> {
        let waits = |entry: &Entry| entry.outbox.waits_for_disk(limits);
        self.by_id.iter().filter(|(_, entry)| waits(entry)).map(|(id, _)| *id).collect()
    }

    /// Returns the id of the next connection.
    pub(crate) fn next_id(&self) -> ConnId {
        ConnId(self.given + 1)
    }

    /// Counts a four-letter word, before it is answered.
    pub(crate) fn word_received(&mut self, id: ConnId) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        entry.stats.received += 1;
        let stats = self.stats_of_conn(id);
        stats.received += 1;
        stats.bytes_received += 4;
    }

    /// Counts the answer to a four-letter word.
    pub(crate) fn word_answered(&mut self, id: ConnId) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        entry.stats.sent += 1;
        self.stats_of_conn(id).sent += 1;
    }

    /// Resets the counters of each of these connections.
    pub(crate) fn reset_each(&mut self, is_meant: impl Fn(ConnId) -> bool) {
        for (_, entry) in self.by_id.iter_mut().filter(|(id, _)| is_meant(**id)) {
            entry.stats = ConnectionStats::default();
        }
    }

    /// Returns the counters of a server; 0 is the only one, if this is no ensemble.
    pub(crate) fn stats_of(&mut self, server: usize) -> &mut ServerStats {
        if server >= self.stats.len() {
            self.stats.resize_with(server + 1, ServerStats::default);
        }
        &mut self.stats[server]
    }

    /// Returns the counters of the server of a connection.
    pub(crate) fn stats_of_conn(&mut self, id: ConnId) -> &mut ServerStats {
        let server = self.by_id.get(&id).map_or(0, |entry| entry.port.server);
        self.stats_of(server)
    }

    /// Returns the counters of a server, or of all together.
    pub(crate) fn stats(&self, server: Option<usize>) -> ServerStats {
        match server {
            Some(server) => self.stats.get(server).cloned().unwrap_or_default(),
            None => {
                let mut all = ServerStats::default();
                self.stats.iter().for_each(|stats| all.add(stats));
                all
            }
        }
    }

    /// Sets the counters of a server back to zero, or of all.
    pub(crate) fn reset_stats(&mut self, server: Option<usize>) {
        let is_meant = |at: &usize| server.is_none_or(|server| server == *at);
        let meant = self.stats.iter_mut().enumerate().filter(|(at, _)| is_meant(at));
        meant.for_each(|(_, stats)| *stats = ServerStats::default());
    }

    /// Returns all connections, in the order in which they were accepted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Entry)> {
        self.by_id.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Returns the time by which a connection must request a session.
fn session_due(now: Millis) -> Millis {
    let checks = (now.0 / SESSIONLESS.0).saturating_add(2);
    Millis(checks.saturating_mul(SESSIONLESS.0))
}
