//! The way of transactions and answers from the leader to its servers.

use std::sync::Arc;

use zk_wire::Millis;

use super::backlog::{Entry, Lag};
use super::waiting::Item;
use crate::core::Core;
use crate::core::emptied::Emptied;
use crate::core::message::{ConnId, Now, Output};
use crate::core::txn::{Change, Txn};

impl Core {
    /// Hands a transaction of the leader to the servers that follow it.
    pub(crate) fn propose(&mut self, now: Now, txn: &Txn) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if let Change::CloseSession { .. } = txn.change {
            ensemble.owners.remove(&txn.session);
        }
        ensemble.reign.proposed(&txn.change);
        let txn = Arc::new(txn.clone());
        for server in 0..ensemble.servers.len() {
            if ensemble.follows(server) {
                ensemble.servers[server].backlog.push(Entry::Txn(Arc::clone(&txn), now.mono));
            }
        }
    }

    /// Does work of the leader for a connection. What it sends reaches the client when its server has caught up.
    pub(super) fn as_leader(&mut self, work: impl FnOnce(&mut Self)) {
        self.outputs.divert();
        work(self);
        for output in self.outputs.diverted() {
            let (Output::Send { conn, .. } | Output::Close { conn }) = output else { continue };
            let Some(server) = self.server_of(conn) else { continue };
            let (len, is_close) = match &output {
                Output::Send { frame, .. } => (frame.len(), false),
                _ => (0, true),
            };
            self.wait(conn, Item::Answer(len), is_close);
            if let Some(ensemble) = &mut self.ensemble
                && let Some(server) = ensemble.servers.get_mut(server)
            {
                server.backlog.push(Entry::Answer(output));
            }
        }
    }

    /// Lets something wait until what the connection has asked the leader for is answered. A client that lets too much wait
    /// is disconnected, and nothing waits any more.
    pub(super) fn wait(&mut self, conn: ConnId, item: Item, closes: bool) {
        let max = self.config.max_held;
        if self.server_of(conn).is_none() {
            return;
        }
        let Some(ensemble) = &mut self.ensemble else { return };
        let waiting = ensemble.waiting.entry(conn).or_default();
        waiting.is_closing |= closes;
        if !waiting.push(item, max) {
            self.close(conn);
        }
    }

    /// Returns `true` if something of a connection waits.
    pub(super) fn waits(&self, conn: ConnId) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.waiting.contains_key(&conn))
    }

    /// Closes a connection, behind everything that waits there.
    pub(super) fn close_behind(&mut self, conn: ConnId) {
        if self.waits(conn) {
            self.wait(conn, Item::Output(Output::Close { conn }), true);
        } else {
            self.close(conn);
        }
    }

    /// Brings every server up to date, as far as its lag allows.
    #[cold]
    pub(crate) fn settle_servers(&mut self, now: Now) {
        let count = self.ensemble.as_ref().map_or(0, |ensemble| ensemble.servers.len());
        for server in 0..count {
            while let Some(entry) = self.pop_backlog(server, now.mono) {
                self.pass(server, now, entry);
            }
        }
    }

    /// Brings a server up to date, whatever its lag.
    pub(super) fn catch_up(&mut self, now: Now, server: usize) {
        while let Some(entry) = self.pop_all(server) {
            self.pass(server, now, entry);
        }
    }

    fn pass(&mut self, server: usize, now: Now, entry: Entry) {
        match entry {
            Entry::Txn(txn, _) => self.apply_at(server, now, Arc::unwrap_or_clone(txn)),
            Entry::Answer(output) => self.deliver(server, now, output),
        }
    }

    /// Returns the time at which a server has something to apply.
    pub(crate) fn next_replication(&self) -> Option<Millis> {
        let servers = &self.ensemble.as_ref()?.servers;
        servers.iter().filter_map(|server| server.backlog.due(server.lag)).min()
    }

    /// Returns `true` if a server has watches of closed connections in memory.
    pub(crate) fn has_untidy_server(&self) -> bool {
        let untidy = |ensemble: &super::Ensemble| {
            ensemble.servers.iter().any(|server| server.replica.watches.is_to_clear())
        };
        self.ensemble.as_deref().is_some_and(untidy)
    }

    /// Frees memory in a step: watches of closed connections. Adds tables that have become empty to `emptied`.
    pub(crate) fn tidy_up_servers(&mut self, room: usize, emptied: &mut Emptied) {
        for server in self.ensemble.iter_mut().flat_map(|ensemble| &mut ensemble.servers) {
            server.replica.watches.clear(room, emptied);
        }
    }

    fn pop_backlog(&mut self, server: usize, now: Millis) -> Option<Entry> {
        let server = self.ensemble.as_mut()?.servers.get_mut(server)?;
        server.backlog.pop(server.lag, now)
    }

    fn pop_all(&mut self, server: usize) -> Option<Entry> {
        self.ensemble.as_mut()?.servers.get_mut(server)?.backlog.pop(Lag::None, Millis(0))
    }

    /// Sends an answer of the leader, and handles the requests behind it.
    fn deliver(&mut self, server: usize, now: Now, output: Output) {
        let (Output::Send { conn, .. } | Output::Close { conn }) = output else { return };
        // It may have ended in the meantime.
        if self.server_of(conn) != Some(server) {
            return;
        }
        self.send_own(conn, output);
        if let Some(waiting) = self.ensemble.as_mut().and_then(|ensemble| ensemble.waiting.get_mut(&conn)) {
            waiting.pop();
        }
        while let Some(item) = self.next_own(conn) {
            match item {
                Item::Request(frame, fired) => self.request_behind(now, conn, &frame, fired),
                Item::Output(output) => self.send_own(conn, output),
                Item::Answer(_) => {}
            }
        }
    }

    fn send_own(&mut self, conn: ConnId, output: Output) {
        match output {
            Output::Close { .. } => self.close(conn),
            output => self.outputs.pass(conn, output),
        }
    }

    /// Takes what a connection waits with, up to the next answer of the leader.
    fn next_own(&mut self, conn: ConnId) -> Option<Item> {
        let waiting = &mut self.ensemble.as_mut()?.waiting;
        let of_conn = waiting.get_mut(&conn)?;
        let item = of_conn.pop_own();
        if of_conn.is_empty() && item.is_none() {
            waiting.remove(&conn);
        }
        item
    }
}
