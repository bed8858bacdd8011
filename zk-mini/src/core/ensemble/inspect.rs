//! Inspection of an ensemble.

use std::iter::once;

use zk_wire::Zxid;

use super::backlog::Lag;
use super::members::{Member, ServerSetup};
use crate::core::message::ConnId;
use crate::core::watch::Watches;
use crate::core::{Core, Part};

/// Role of a server in an ensemble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Decides on every write.
    Leader,
    /// Follows the leader.
    Follower,
    /// Follows the leader without a vote, and never leads.
    Observer,
    /// Knows no leader: it is stopped or partitioned, or there is no quorum.
    Looking,
}

/// Mode of a server, as ZooKeeper names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A single server.
    Standalone,
    /// Leads an ensemble.
    Leader,
    /// Follows the leader of an ensemble.
    Follower,
    /// Follows the leader of an ensemble without a vote.
    Observer,
    /// Serves read-only clients, because there is no quorum.
    ReadOnly,
}

impl Mode {
    /// Returns ZooKeeper's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        }
    }

    /// Returns ZooKeeper's words for the state of a member among the others; `None` for a server that follows nobody.
    #[must_use]
    pub fn peer_state(self) -> Option<&'static str> {
        match self {
            Self::Standalone | Self::ReadOnly => None,
            Self::Leader => Some("leading - broadcast"),
            Self::Follower => Some("following - broadcast"),
            Self::Observer => Some("observing - broadcast"),
        }
    }
}

/// State of a server in an ensemble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerState {
    /// Serves.
    Running,
    /// Serves read-only clients, because there is no quorum.
    ReadOnly,
    /// Its clients hear nothing.
    Frozen,
    /// It is cut off from the others, and does not answer.
    Partitioned,
    /// Its port refuses connections.
    Stopped,
}

/// Server of an ensemble at the time of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Number of the server: from 1 for those that the ensemble began with.
    pub server: usize,
    /// Role of the server.
    pub role: Role,
    /// State of the server.
    pub state: ServerState,
    /// Last transaction that the server has applied.
    pub last_zxid: Zxid,
    /// Lag that was set.
    pub lag: Lag,
    /// Number of transactions that the server has not applied yet, of those that it knows.
    pub behind: u64,
}

/// View of a server on the configuration of its ensemble.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Membership {
    /// Number of the server.
    pub server: usize,
    /// Port for transactions. Nothing listens there.
    pub quorum_port: u16,
    /// Port for elections. Nothing listens there.
    pub election_port: u16,
    /// It has no vote, and is a member all the same.
    pub is_observer: bool,
    /// Configuration, as `/zookeeper/config` has it.
    pub members: String,
}

impl Core {
    /// Returns how the server whose state is in place sees itself in the configuration; `None` for a whole ensemble.
    pub(crate) fn membership(&self) -> Option<Membership> {
        let ensemble = self.ensemble.as_ref()?;
        let number = ensemble.servers.get(ensemble.current?)?.number;
        // One that is no member has the ports that it began with, or would begin with.
        let began = || i64::try_from(number).ok().and_then(|id| ensemble.began.get(&id));
        let own = ensemble.members.get(number).or_else(began).cloned();
        let own = own.unwrap_or_else(|| Member::new(number, &ServerSetup::default()));
        Some(Membership {
            server: number,
            quorum_port: own.quorum.transactions.port,
            election_port: own.quorum.election,
            is_observer: ensemble.members.observes(number),
            members: ensemble.members.to_string(),
        })
    }

    /// Returns the server whose state is in place, if this is an ensemble.
    pub(crate) fn placed(&self) -> Option<usize> {
        self.ensemble.as_ref()?.current
    }

    /// Returns the leader of an ensemble, if there is one.
    pub(crate) fn leading_server(&self) -> Option<usize> {
        self.ensemble.as_ref()?.leader
    }

    /// Returns the servers of an ensemble; none for a single server.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerInfo> {
        let Some(ensemble) = &self.ensemble else { return Vec::new() };
        let are_all_frozen = self.is_part_frozen(Part::Server);
        let info = |(at, server): (usize, &super::Server)| ServerInfo {
            server: server.number,
            role: match ensemble.leader {
                Some(leader) if leader == at => Role::Leader,
                Some(_) if !server.takes_part() => Role::Looking,
                Some(_) if ensemble.observes(at) => Role::Observer,
                Some(_) => Role::Follower,
                None => Role::Looking,
            },
            state: match server {
                super::Server { is_stopped: true, .. } => ServerState::Stopped,
                super::Server { is_partitioned: true, .. } => ServerState::Partitioned,
                _ if server.is_frozen || are_all_frozen => ServerState::Frozen,
                _ if ensemble.leader.is_none() => ServerState::ReadOnly,
                _ => ServerState::Running,
            },
            last_zxid: self.seen_at(at),
            lag: server.lag,
            behind: server.backlog.transactions(),
        };
        ensemble.servers.iter().enumerate().map(info).collect()
    }

    /// Returns the mode of the server whose state is in place; that of the leader stands for a whole ensemble.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.ensemble.as_deref() {
            None => Mode::Standalone,
            Some(ensemble) if ensemble.leader.is_none() => Mode::ReadOnly,
            Some(ensemble) if ensemble.current.is_none_or(|server| ensemble.leader == Some(server)) => {
                Mode::Leader
            }
            Some(ensemble) if ensemble.current.is_some_and(|server| ensemble.observes(server)) => {
                Mode::Observer
            }
            Some(_) => Mode::Follower,
        }
    }

    /// Returns `true` if a connection belongs to the server whose state is in place; to a whole ensemble all do.
    pub(crate) fn shows(&self, conn: ConnId) -> bool {
        let current = self.ensemble.as_ref().and_then(|ensemble| ensemble.current);
        current.is_none() || self.server_of(conn) == current
    }

    /// Returns the watches of every server, or of the one whose state is in place.
    pub(crate) fn all_watches(&self) -> impl Iterator<Item = &Watches> {
        let whole = self.ensemble.as_ref().filter(|ensemble| ensemble.current.is_none());
        let servers = whole.into_iter().flat_map(|ensemble| &ensemble.servers);
        once(&self.watches).chain(servers.map(|server| &server.replica.watches))
    }

    /// Returns the last transaction that a server has applied.
    pub(super) fn seen_at(&self, server: usize) -> Zxid {
        match &self.ensemble {
            Some(ensemble) if ensemble.current != Some(server) => {
                ensemble.servers.get(server).map_or(self.last_zxid, |server| server.replica.last_zxid)
            }
            _ => self.last_zxid,
        }
    }
}
