//! The connections that there are: their outboxes, their counters, their limits.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use zk_wire::{Millis, UnixMillis, Zxid};

use crate::core::ConnId;
use crate::shell::limits::{Limits, SESSIONLESS};
use crate::shell::outbox::{Close, Outbox};
use crate::shell::remote::Remote;
use crate::shell::stats::{Batch, ConnectionStats, ServerStats};
use crate::shell::turn::Turn;

/// All connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_id: BTreeMap<ConnId, Entry>,
    /// How many there are over TCP, by address.
    per_ip: BTreeMap<IpAddr, usize>,
    given: u64,
    /// Who has to have asked for a session until when, in order. Some have, or are gone.
    expected: VecDeque<(Millis, ConnId)>,
    pub(crate) stats: ServerStats,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The other end; `None` for one in this process.
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) outbox: Arc<Outbox>,
    /// When it was accepted.
    pub(crate) established: UnixMillis,
    /// Until when it has to have asked for a session.
    pub(crate) session_due: Millis,
    pub(crate) stats: ConnectionStats,
    /// It was told something by the core: it has asked for a session.
    answered: bool,
    /// The core has closed it, and knows it no longer.
    let_go: bool,
}

impl Connections {
    /// Admits a connection, unless its address has as many as it may.
    pub(crate) fn admit(
        &mut self,
        remote: Option<SocketAddr>,
        turn: &Turn<'_>,
    ) -> Option<(ConnId, Arc<Outbox>)> {
        if let Some(remote) = remote {
            let open = self.per_ip.entry(remote.ip()).or_default();
            if !turn.limits.allows_another(*open) {
                self.stats.rejected += 1;
                return None;
            }
            *open += 1;
        }
        self.given += 1;
        let (id, outbox) = (ConnId(self.given), Arc::<Outbox>::default());
        let session_due = Millis((turn.now.mono.0 / SESSIONLESS.0 + 2) * SESSIONLESS.0);
        let entry = Entry {
            remote,
            outbox: Arc::clone(&outbox),
            established: turn.now.wall,
            session_due,
            stats: ConnectionStats::default(),
            answered: false,
            let_go: false,
        };
        self.by_id.insert(id, entry);
        self.expected.push_back((session_due, id));
        Some((id, outbox))
    }

    /// Forgets a connection that has ended. `true` if the core still knows it and has to be told.
    pub(crate) fn remove(&mut self, id: ConnId) -> bool {
        let Some(entry) = self.by_id.remove(&id) else { return false };
        if let Some(ip) = entry.remote.map(|remote| remote.ip())
            && let Some(open) = self.per_ip.get_mut(&ip)
        {
            *open -= 1;
            if *open == 0 {
                self.per_ip.remove(&ip);
            }
        }
        !entry.let_go
    }

    /// When [`close_sessionless`](Self::close_sessionless) is due.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.expected.front().map(|(at, _)| *at)
    }

    /// Ends the connections that should have asked for a session by now, and returns them.
    pub(crate) fn close_sessionless(&mut self, turn: &mut Turn<'_>) -> Vec<ConnId> {
        let mut closed = Vec::new();
        while let Some((_, id)) = self.expected.front().copied().filter(|(at, _)| *at <= turn.now.mono) {
            self.expected.pop_front();
            if let Some(entry) = self.by_id.get(&id).filter(|entry| !entry.answered) {
                entry.outbox.close(Close::Now, turn);
                self.stats.sessionless_expired += 1;
                closed.push(id);
            }
        }
        closed
    }

    /// Queues a frame. One for a connection that is gone is dropped. `false` if the connection ends because its peer does
    /// not read.
    pub(crate) fn send(&mut self, id: ConnId, frame: &Bytes, turn: &mut Turn<'_>) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return true };
        let goes_on = entry.outbox.push(frame, turn);
        entry.answered = true;
        entry.stats.sent += 1;
        self.stats.frame_sent(frame);
        goes_on
    }

    /// The other end of a connection. One that is gone counts as in this process.
    pub(crate) fn remote(&self, id: ConnId) -> Remote {
        Remote(self.by_id.get(&id).and_then(|entry| entry.remote))
    }

    /// The core closes a connection.
    pub(crate) fn let_go(&mut self, id: ConnId, turn: &mut Turn<'_>) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.let_go = true;
            entry.outbox.close(Close::Flushed, turn);
        }
    }

    /// Ends all connections. The core knows none of them any longer.
    pub(crate) fn let_go_of_all(&mut self, turn: &mut Turn<'_>) {
        for entry in self.by_id.values_mut() {
            entry.let_go = true;
            entry.outbox.close(Close::Flushed, turn);
        }
    }

    /// Notes that something waits for the disk on account of a connection.
    pub(crate) fn charge(&self, id: ConnId, bytes: usize) {
        if let Some(entry) = self.by_id.get(&id) {
            entry.outbox.hold(bytes);
        }
    }

    /// It waits no longer.
    pub(crate) fn release(&self, id: ConnId, bytes: usize, turn: &mut Turn<'_>) {
        if let Some(entry) = self.by_id.get(&id) {
            entry.outbox.release(bytes, turn);
        }
    }

    /// Whether a connection's next frame is its first.
    pub(crate) fn is_new(&self, id: ConnId) -> bool {
        self.by_id.get(&id).is_some_and(|entry| !entry.answered)
    }

    /// Counts what came in on a connection and has been handled by `now`, in `millis`.
    pub(crate) fn handled(&mut self, id: ConnId, batch: &Batch, now: Millis, millis: u64, zxid: Zxid) {
        self.stats.received += batch.frames;
        self.stats.bytes_received += batch.bytes;
        self.stats.handshakes += batch.handshakes;
        self.stats.revalidations += batch.revalidations;
        self.stats.updates.add(millis, batch.updates);
        self.stats.reads.add(millis, batch.frames - batch.updates);
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        let stats = &mut entry.stats;
        stats.received += batch.frames;
        stats.op = batch.op.or(stats.op);
        stats.xid = batch.xid.or(stats.xid);
        stats.zxid = Some(zxid);
        stats.answered = now;
        stats.last_latency = millis;
        stats.latency.add(millis, batch.frames);
    }

    /// Asks all from `first` on to handle what their peers have sent. What comes back ends when they have.
    pub(crate) fn ask_for_input(
        &self,
        first: ConnId,
        turn: &mut Turn<'_>,
    ) -> Vec<oneshot::Receiver<Infallible>> {
        let all = self.by_id.range(first..);
        all.filter_map(|(_, entry)| entry.outbox.ask_for_input(turn)).collect()
    }

    /// Those whose peers may have sent something that is not read before the disk is ready.
    pub(crate) fn waiting_for_disk(&self, limits: &Limits) -> Vec<ConnId> {
        let waits = |entry: &Entry| entry.outbox.waits_for_disk(limits);
        self.by_id.iter().filter(|(_, entry)| waits(entry)).map(|(id, _)| *id).collect()
    }

    /// The id of the next one to come.
    pub(crate) fn next_id(&self) -> ConnId {
        ConnId(self.given + 1)
    }

    /// Counts a four-letter word, before it is answered.
    pub(crate) fn asked(&mut self, id: ConnId) {
        self.stats.received += 1;
        self.stats.bytes_received += 4;
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.stats.received += 1;
        }
    }

    /// Counts the answer to a four-letter word.
    pub(crate) fn told(&mut self, id: ConnId) {
        self.stats.sent += 1;
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.stats.sent += 1;
        }
    }

    /// Begins to count anew, for each connection.
    pub(crate) fn reset_each(&mut self) {
        for entry in self.by_id.values_mut() {
            entry.stats = ConnectionStats::default();
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Entry)> {
        self.by_id.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
