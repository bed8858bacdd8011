//! A simulated ensemble: several servers over one history, in one process, so that tests can break it. There is no consensus
//! here. What lasts beyond the process is the history alone, with its elections.
//!
//! The core itself is the leader's: it has the newest tree, all sessions, and decides on every write. Each server has a
//! *replica*, which applies the same transactions later, in order, and has the watches of its connections. Reads are answered
//! from the replica of the server that they come to. What the leader answers reaches a client when its server has applied
//! everything before it, so a client always sees its own writes.
//!
//! A single server has none of this, and pays one branch for a request.

mod backlog;
mod control;
mod delivery;
mod figures;
mod inspect;
mod local;
mod members;
mod members_text;
mod read_only;
mod reconfig;
mod replica;
mod requests;
mod waiting;

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};
use zk_wire::{SessionId, UnixMillis, Zxid};

pub use backlog::Lag;
pub use control::Unable;
pub use figures::{EnsembleFigures, LeaderFigures, ProposalSizes};
pub use inspect::{Membership, Mode, Role, ServerInfo, ServerState};
pub use members::{QuorumAddr, ServerSetup};
pub use members_text::QuorumAddrError;

use crate::core::Core;
use crate::core::message::{ConnId, Now};
use crate::core::session::Sessions;
use crate::core::throttle::Bucket;
use backlog::Backlog;
use figures::Reign;
use members::{HostPort, Member, Members};
use reconfig::Unsettled;
use replica::Replica;
use waiting::Waiting;

/// Maximum number of servers of an ensemble. Each has a copy of the tree.
pub(crate) const MAX_SERVERS: usize = 99;

/// Minimum number of members with a vote, where there are observers or a `reconfig` (`standaloneEnabled`).
pub(crate) const MIN_VOTERS: usize = 2;

/// Transactions of one leader: the epoch stands in the upper half of a zxid.
const EPOCH: u32 = 32;

/// State of an ensemble beside that of its leader.
#[derive(Debug)]
pub(crate) struct Ensemble {
    servers: Vec<Server>,
    /// The configuration.
    members: Members,
    /// Time at which it was made.
    since: UnixMillis,
    /// Members that it began with.
    began: BTreeMap<i64, Member>,
    /// Effects of the last configuration that are still to come.
    unsettled: Option<Unsettled>,
    /// Server that leads, if there is a quorum.
    leader: Option<usize>,
    /// The quorum is lost on demand.
    is_quorum_lost: bool,
    /// Server whose replica stands in the core at present.
    current: Option<usize>,
    /// Requests and answers that wait for a server to catch up, by connection.
    waiting: HashMap<ConnId, Waiting>,
    /// Server that each session was used at last.
    owners: HashMap<SessionId, usize>,
    /// Server of the next connection that names none.
    next: usize,
    /// Counts of the leader.
    reign: Reign,
}

/// One server of an ensemble.
#[derive(Debug)]
struct Server {
    /// Its number, from 1 for those that the ensemble begins with.
    number: usize,
    /// Address for clients that the configuration gave it last.
    listens: Option<HostPort>,
    /// It has just joined, and does not listen yet.
    is_new: bool,
    replica: Replica,
    backlog: Backlog,
    lag: Lag,
    is_stopped: bool,
    is_partitioned: bool,
    is_frozen: bool,
    /// Sessions that it alone knows.
    local: Sessions,
    throttle: Bucket,
}

impl Server {
    /// Returns a server that has just joined. It is stopped.
    fn new(number: usize, core: &Core) -> Self {
        Self {
            number,
            listens: None,
            is_new: true,
            replica: Replica::of(core),
            backlog: Backlog::default(),
            lag: Lag::None,
            is_stopped: true,
            is_partitioned: false,
            is_frozen: false,
            local: Sessions::new(core.config.tick, core.config.seed),
            throttle: Bucket::new(core.config.throttle, core.config.seed, number.saturating_sub(1)),
        }
    }

    /// Returns `true` if it can be a part of the quorum.
    fn takes_part(&self) -> bool {
        !self.is_stopped && !self.is_partitioned
    }
}

impl Ensemble {
    /// Returns `true` if a server gets the transactions of a leader.
    fn follows(&self, server: usize) -> bool {
        self.leader.is_some() && self.servers.get(server).is_some_and(Server::takes_part)
    }
}

/// Returns the first zxid of the epoch of a zxid: the last one before any transaction of its leader.
pub(crate) fn first_of_epoch(zxid: Zxid) -> Zxid {
    Zxid(zxid.0 >> EPOCH << EPOCH)
}

impl Core {
    /// Makes the core that of an ensemble, before it has any connection. Of the servers that are no observers the one with
    /// the highest number leads, in an epoch of its own.
    pub fn form_ensemble(&mut self, now: Now, servers: &[ServerSetup]) {
        self.begin_epoch();
        let member = |(at, setup): (usize, &ServerSetup)| Member::new(at + 1, setup);
        let members: Vec<_> = servers.iter().enumerate().map(member).collect();
        let server = |(at, member): (usize, &Member)| Server {
            listens: member.client.clone(),
            is_new: false,
            is_stopped: false,
            ..Server::new(at + 1, self)
        };
        let leader = members.iter().rposition(|member| !member.is_observer);
        let servers = members.iter().enumerate().map(server).collect();
        let began: BTreeMap<i64, Member> = (1..).zip(members).collect();
        let version = if self.config.reconfig_enabled { self.last_zxid } else { Zxid(0) };
        self.ensemble = Some(Box::new(Ensemble {
            servers,
            members: Members { by_id: began.clone(), version },
            since: now.wall,
            began,
            unsettled: None,
            leader,
            is_quorum_lost: false,
            current: None,
            waiting: HashMap::new(),
            owners: HashMap::new(),
            next: 0,
            reign: Reign::default(),
        }));
        self.refresh_servers();
    }

    /// Begins the next epoch: zxids go on in the next upper half.
    fn begin_epoch(&mut self) {
        let given = self.last_zxid.0.saturating_add(self.skipped_zxids);
        self.last_zxid = first_of_epoch(Zxid(given.saturating_add(1 << EPOCH)));
        self.skipped_zxids = 0;
    }

    /// Begins the next epoch, and says so in the log: clients hear of its first zxid even if nobody writes, and must find a
    /// state that is as new after a restart. The transaction changes nothing, and has that zxid.
    fn begin_lasting_epoch(&mut self, now: Now) {
        self.begin_epoch();
        // A lost disk takes no transaction: the next one comes when writes are accepted again.
        if self.config.transactions && !self.disk_lost {
            self.last_zxid = Zxid(self.last_zxid.0 - 1);
            self.mark_zxid(now);
        }
    }

    /// Returns the server that a connection belongs to; `None` if there is no ensemble or no such connection.
    pub(crate) fn server_of(&self, conn: ConnId) -> Option<usize> {
        self.ensemble.as_ref()?;
        self.peers.get(conn).map(|peer| peer.listener.unwrap_or_default())
    }

    /// Returns the throttle of the server that a connection belongs to.
    pub(crate) fn throttle_at(&mut self, conn: ConnId) -> &mut Bucket {
        let server = self.server_of(conn);
        let of_server = self.ensemble.as_mut().zip(server);
        match of_server.and_then(|(ensemble, server)| ensemble.servers.get_mut(server)) {
            Some(server) => &mut server.throttle,
            None => &mut self.throttle,
        }
    }

    /// Returns the throttle of the server whose state is in place, or of the leader.
    pub(crate) fn present_throttle(&self) -> &Bucket {
        let present = self
            .ensemble
            .as_ref()
            .and_then(|ensemble| ensemble.servers.get(ensemble.current.or(ensemble.leader)?));
        present.map_or(&self.throttle, |server| &server.throttle)
    }

    /// Returns `true` if nothing expires: the disk is lost, or nobody leads.
    pub(crate) fn is_still(&self) -> bool {
        self.disk_lost || self.is_leaderless()
    }

    /// Returns `true` if this is an ensemble in which nobody leads: nothing expires, and only read-only clients are served.
    pub(crate) fn is_leaderless(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.leader.is_none())
    }
}
