//! Changes to the servers of an ensemble: stops, partitions, lags and elections.

use std::collections::BTreeSet;

use super::backlog::Lag;
use super::figures::Reign;
use super::replica::Replica;
use crate::core::Core;
use crate::core::message::{ConnId, Now, Part};
use crate::core::session::Sessions;
use crate::core::throttle::Bucket;

/// Reason why something cannot be done to a server of an ensemble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unable {
    /// There is no server of this number.
    NoSuchServer {
        /// Number that was asked for, from 1.
        server: usize,
        /// Number of servers that the ensemble began with.
        count: usize,
    },
    /// An observer does not lead, nor does a server that is no member.
    HasNoVote {
        /// Number of the server.
        server: usize,
    },
    /// A leader does not lag.
    Leads {
        /// Number of the server.
        server: usize,
    },
    /// The server is stopped or partitioned, or there is no quorum.
    TakesNoPart {
        /// Number of the server.
        server: usize,
    },
}

impl std::fmt::Display for Unable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchServer { server, count: 0 } => {
                write!(
                    f,
                    "no server {server}: this is a single server, not an ensemble; set the number of its servers when it is built"
                )
            }
            Self::NoSuchServer { server, count } => {
                write!(
                    f,
                    "no server {server}: the ensemble has servers 1 to {count}, and those that have joined it by reconfig"
                )
            }
            Self::HasNoVote { server } => {
                write!(
                    f,
                    "server {server} cannot lead: it is an observer, or no member of the ensemble; `reconfig` gives it a vote"
                )
            }
            Self::Leads { server } => {
                write!(f, "server {server} leads, and a leader does not lag: let another server lead first")
            }
            Self::TakesNoPart { server } => {
                write!(f, "server {server} cannot lead: it is stopped or partitioned, or the quorum is lost")
            }
        }
    }
}

impl std::error::Error for Unable {}

/// Servers are counted from 0 here, and from 1 in messages.
impl Core {
    /// Returns the number of servers of an ensemble; 0 for a single server.
    #[must_use]
    pub fn server_count(&self) -> usize {
        self.ensemble.as_ref().map_or(0, |ensemble| ensemble.servers.len())
    }

    /// Returns the place of a server by its number.
    ///
    /// # Errors
    /// [`Unable::NoSuchServer`]
    pub fn find_server(&self, number: usize) -> Result<usize, Unable> {
        let count = self.ensemble.as_ref().map_or(0, |ensemble| ensemble.began.len());
        let at = self.ensemble.as_ref().and_then(|ensemble| ensemble.at(number));
        at.ok_or(Unable::NoSuchServer { server: number, count })
    }

    /// Stops a server: its connections are closed. The owner of the core refuses new ones. The leader's place goes to another
    /// server, and without a majority the quorum is lost.
    pub fn stop_server(&mut self, now: Now, server: usize) {
        self.thaw_server(now, server);
        self.set(server, |state| state.is_stopped = true);
        self.close_server(server);
        self.settle_quorum(now);
    }

    /// Starts a server that was stopped.
    pub fn start_server(&mut self, now: Now, server: usize) {
        if self.is_server_stopped(server) {
            self.set(server, |state| state.is_stopped = false);
            self.join(now, server);
        }
    }

    /// Cuts a server off from the others: its connections are closed, and new ones get no answer.
    pub fn partition_server(&mut self, now: Now, server: usize) {
        self.set(server, |state| state.is_partitioned = true);
        self.close_server(server);
        self.freeze(Part::Listener(server));
        self.settle_quorum(now);
    }

    /// Lets a server that was cut off reach the others again. What clients have sent it meanwhile is handled.
    pub fn heal_server(&mut self, now: Now, server: usize) {
        if self.is_set(server, |state| state.is_partitioned) {
            self.set(server, |state| state.is_partitioned = false);
            self.join(now, server);
            if !self.is_set(server, |state| state.is_frozen) {
                self.thaw(now, Part::Listener(server));
            }
        }
    }

    /// Freezes a server: it stays a part of the ensemble, and its clients hear nothing.
    pub fn freeze_server(&mut self, server: usize) {
        self.set(server, |state| state.is_frozen = true);
        self.freeze(Part::Listener(server));
    }

    /// Thaws a server.
    pub fn thaw_server(&mut self, now: Now, server: usize) {
        if self.is_set(server, |state| state.is_frozen) {
            self.set(server, |state| state.is_frozen = false);
            if !self.is_set(server, |state| state.is_partitioned) {
                self.thaw(now, Part::Listener(server));
            }
        }
    }

    /// Sets the lag of a server.
    ///
    /// # Errors
    /// [`Unable::Leads`]
    pub fn lag_server(&mut self, server: usize, lag: Lag) -> Result<(), Unable> {
        if self.is_leader(server) && lag != Lag::None {
            return Err(Unable::Leads { server: self.number_of(server) });
        }
        self.set(server, |state| state.lag = lag);
        Ok(())
    }

    /// Lets a server lead, in a new epoch, also if it leads already. All connections are closed. It does not lag any more.
    ///
    /// # Errors
    /// [`Unable::TakesNoPart`], [`Unable::HasNoVote`]
    pub fn elect_server(&mut self, now: Now, server: usize) -> Result<(), Unable> {
        let number = self.number_of(server);
        if !self.ensemble.as_ref().is_some_and(|ensemble| ensemble.follows(server)) {
            return Err(Unable::TakesNoPart { server: number });
        }
        if !self.ensemble.as_ref().is_some_and(|ensemble| ensemble.votes(server)) {
            return Err(Unable::HasNoVote { server: number });
        }
        self.elect(now, server);
        Ok(())
    }

    /// Loses the quorum, or gets it back, if enough servers take part. All connections are closed.
    pub fn set_quorum_lost(&mut self, now: Now, is_lost: bool) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.is_quorum_lost = is_lost;
        }
        self.settle_quorum(now);
    }

    /// Undoes everything that was done to the servers. Those that have joined since the ensemble began are gone.
    pub fn heal_ensemble(&mut self, now: Now) {
        for server in 0..self.server_count() {
            self.set(server, |state| state.lag = Lag::None);
            self.start_server(now, server);
            self.heal_server(now, server);
            self.thaw_server(now, server);
        }
        self.set_quorum_lost(now, false);
        self.restore_members(now);
    }

    /// Returns `true` if a server refuses connections, or has left the ensemble.
    #[must_use]
    pub fn is_server_stopped(&self, server: usize) -> bool {
        let Some(ensemble) = &self.ensemble else { return false };
        ensemble.servers.get(server).is_none_or(|state| state.is_stopped)
    }

    /// Returns the servers of the ensemble that refuse connections.
    pub(crate) fn stopped_servers(&self) -> BTreeSet<usize> {
        (0..self.server_count()).filter(|server| self.is_server_stopped(*server)).collect()
    }

    /// Returns the server for a connection that names none: each in its turn that is not stopped; `None` if this is no
    /// ensemble.
    pub(crate) fn next_server(&mut self) -> Option<usize> {
        let ensemble = self.ensemble.as_mut()?;
        let count = ensemble.servers.len();
        let mut turn = (0..count).map(|step| (ensemble.next + step) % count);
        let running = turn.find(|server| !ensemble.servers[*server].is_stopped);
        let server = running.unwrap_or(ensemble.next);
        ensemble.next = (server + 1) % count;
        Some(server)
    }

    /// Returns the number of the server of a connection; `None` if there is no ensemble.
    pub(crate) fn number_at(&self, conn: ConnId) -> Option<usize> {
        self.server_of(conn).map(|server| self.number_of(server))
    }

    /// Returns the place of the server with a number; one that no server has if there is none.
    pub(crate) fn place_of(&self, number: usize) -> usize {
        let place = self.ensemble.as_ref().and_then(|ensemble| ensemble.at(number));
        place.unwrap_or_else(|| self.server_count())
    }

    /// Returns the number of a server.
    pub(crate) fn number_of(&self, server: usize) -> usize {
        let ensemble = self.ensemble.as_ref();
        ensemble.and_then(|ensemble| ensemble.servers.get(server)).map_or(0, |server| server.number)
    }

    pub(super) fn is_leader(&self, server: usize) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.leader == Some(server))
    }

    /// Begins a new epoch after all servers were restarted, if this is an ensemble.
    pub(crate) fn restart_servers(&mut self, now: Now) {
        match &self.ensemble {
            Some(ensemble) => {
                if let Some(leader) = ensemble.leader {
                    self.elect(now, leader);
                }
            }
            None => self.throttle = Bucket::new(self.config.throttle, self.config.seed, 0),
        }
    }

    /// Gives each server that takes part the state of the leader. There are no connections.
    pub(crate) fn refresh_servers(&mut self) {
        self.show_members();
        for server in 0..self.server_count() {
            if self.is_set(server, super::Server::takes_part) {
                self.refresh(server);
            }
        }
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.waiting.clear();
        }
    }

    /// Gives a server the state of the leader.
    fn refresh(&mut self, server: usize) {
        let replica = Replica::of(self);
        self.set(server, |state| {
            state.replica = replica;
            state.backlog.clear();
        });
        self.forget_clients(server);
    }

    /// Brings a server up to date that takes part again.
    fn join(&mut self, now: Now, server: usize) {
        let epoch = self.last_zxid;
        self.settle_quorum(now);
        let follows = self.ensemble.as_ref().is_some_and(|ensemble| ensemble.follows(server));
        // An election has done that already.
        if follows && self.last_zxid == epoch {
            self.refresh(server);
        }
    }

    /// Elects a leader, or gives up, as the number of servers that take part demands.
    pub(super) fn settle_quorum(&mut self, now: Now) {
        let Some(ensemble) = &self.ensemble else { return };
        let voting = ensemble.voting();
        let has_quorum = !ensemble.is_quorum_lost && voting.len() > ensemble.members.voters() / 2;
        let leads = ensemble.leader.is_some_and(|leader| ensemble.votes(leader));
        // The highest number wins, as in a real ensemble whose servers know the same.
        let next = voting.into_values().next_back().filter(|_| has_quorum);
        match next {
            Some(_) if leads => {}
            Some(next) => self.elect(now, next),
            None if ensemble.leader.is_some() => {
                self.close_all();
                if let Some(ensemble) = &mut self.ensemble {
                    ensemble.leader = None;
                    ensemble.owners.clear();
                    // What a server has not heard of by now, it hears of from the next leader.
                    ensemble.servers.iter_mut().for_each(|server| server.backlog.clear());
                }
                (0..self.server_count()).for_each(|server| self.forget_clients(server));
                self.history.server(self.last_zxid, "without a quorum");
            }
            None => {}
        }
    }

    /// Lets a server lead: all clients come back, to servers with the same state.
    pub(super) fn elect(&mut self, now: Now, server: usize) {
        self.close_all();
        self.begin_lasting_epoch(now);
        self.sessions.restart(now.mono);
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.leader = Some(server);
            ensemble.owners.clear();
            ensemble.reign = Reign::begin(now.mono);
        }
        self.set(server, |state| state.lag = Lag::None);
        self.refresh_servers();
        self.history.server(self.last_zxid, &format!("server {} elected", self.number_of(server)));
    }

    /// Closes the connections of a server at once. What waits at their gates is dropped.
    pub(super) fn close_server(&mut self, server: usize) {
        let at_server = self.peers.iter().filter(|(_, peer)| peer.listener.unwrap_or_default() == server);
        let mut conns: Vec<ConnId> = at_server.map(|(conn, _)| conn).collect();
        conns.extend(self.outputs.gates.closing_at(server));
        conns.sort_unstable();
        for conn in conns {
            self.outputs.gates.forget(conn);
            self.end_connection(conn, true);
            self.outputs.close(conn);
        }
        self.set(server, |state| state.backlog.clear());
        self.forget_clients(server);
    }

    /// Begins anew with what a server knows for itself: a real one does so, too, whenever it joins a quorum or leaves it.
    fn forget_clients(&mut self, server: usize) {
        let (tick, throttle, seed) = (self.config.tick, self.config.throttle, self.config.seed);
        self.set(server, |state| {
            state.local = Sessions::new(tick, seed);
            state.throttle = Bucket::new(throttle, seed, server);
        });
    }

    fn set(&mut self, server: usize, change: impl FnOnce(&mut super::Server)) {
        if let Some(server) = self.ensemble.as_mut().and_then(|ensemble| ensemble.servers.get_mut(server)) {
            change(server);
        }
    }

    fn is_set(&self, server: usize, look: impl FnOnce(&super::Server) -> bool) -> bool {
        self.ensemble.as_ref().and_then(|ensemble| ensemble.servers.get(server)).is_some_and(look)
    }
}
