//! Restarts, and the exchange of the whole state: a reset, or the restore of an image.
//!
//! A client of before never sees that zxids or ids begin again: after an exchange the next zxid lies above all earlier ones,
//! and no id of a session is given twice. A client that sets its watches again, relative to a zxid of before, hears that
//! everything may have changed.

use std::collections::BTreeSet;

use zk_wire::{ErrorCode, SessionId, Xid, Zxid};

use crate::core::held::HeldSessions;
use crate::core::history::{Cause, Replacement};
use crate::core::message::{ConnId, Now};
use crate::core::reap::Reaper;
use crate::core::requests::listing::Listing;
use crate::core::session::next_multiple;
use crate::core::txn::Change;
use crate::core::{Config, Core, Image};

impl Core {
    /// Closes all connections, as a server does that is stopped and started. Sessions live on, each with its full timeout
    /// from now on.
    pub fn restart(&mut self, now: Now) {
        self.close_all();
        self.sessions.restart(now.mono);
        self.history.server(self.last_zxid, "restarted");
        self.restart_servers(now);
    }

    /// Closes all connections and stands still: nothing expires until [`bring_up`](Self::bring_up).
    pub fn take_down(&mut self) {
        self.close_all();
        if !std::mem::replace(&mut self.is_down, true) {
            self.history.server(self.last_zxid, "taken down");
        }
    }

    /// Goes on after [`take_down`](Self::take_down). Sessions have their full timeouts from now on.
    pub fn bring_up(&mut self, now: Now) {
        if std::mem::take(&mut self.is_down) {
            self.sessions.restart(now.mono);
            self.history.server(self.last_zxid, "brought up again");
            self.restart_servers(now);
        }
    }

    /// Returns `true` between [`take_down`](Self::take_down) and [`bring_up`](Self::bring_up).
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.is_down
    }

    /// Returns a server with the state of an image, for [`replace`](Self::replace). Ephemeral nodes whose session is not in
    /// the image are left out.
    #[must_use]
    pub fn of_image(config: Config, now: Now, image: Image) -> Self {
        let mut core = Self::restore(config, now, image);
        core.complete();
        core
    }

    /// Closes all connections, and exchanges nodes and sessions for those of `next`, each session with its full timeout.
    /// Returns the former state, so that the caller can drop it outside of locks.
    ///
    /// The last zxid is then above all that either of them has given. No transaction says so: a log needs an
    /// [`Image`] of the new state.
    pub fn replace(&mut self, now: Now, mut next: Self, why: Replacement) -> Self {
        self.close_all();
        next.sessions.go_on_after(&self.sessions);
        std::mem::swap(&mut self.tree, &mut next.tree);
        std::mem::swap(&mut self.sessions, &mut next.sessions);
        self.sessions.restart(now.mono);
        // The next state has them as living sessions, if at all.
        self.held = HeldSessions::default();
        let given = Zxid(self.last_zxid.0.saturating_add(self.skipped_zxids));
        self.last_zxid = given.max(next.last_zxid).next();
        self.skipped_zxids = 0;
        self.replaced = self.last_zxid;
        // An image that is being taken begins again.
        self.unlisted = self.last_zxid;
        self.reaper = Reaper::new(next_multiple(now.mono, self.config.container_check_interval));
        self.listing = Listing::default();
        // Members are those of the servers, not of the state that they have.
        self.show_members();
        self.record_replacement(&next, why);
        self.refresh_servers();
        next
    }

    /// Commits a transaction that changes nothing, so that a log has a zxid above all that were lost.
    pub fn mark_zxid(&mut self, now: Now) {
        self.commit(now, SessionId::NONE, Xid(0), Cause::Direct, Change::Error(ErrorCode::OK));
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns `true` if the disk is lost, and writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.disk_lost
    }

    /// Closes all connections at once. What waits at their gates is dropped, in both directions.
    pub(crate) fn close_all(&mut self) {
        let gates = &mut self.outputs.gates;
        let conns: BTreeSet<ConnId> =
            self.peers.iter().map(|(conn, _)| conn).chain(gates.closing()).collect();
        *gates = gates.without_connections();
        for conn in conns {
            self.end_connection(conn, true);
            // Also for a connection that is forgotten, whose close was held.
            self.outputs.close(conn);
        }
    }
}
