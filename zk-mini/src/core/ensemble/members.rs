//! Configuration of an ensemble, as `/zookeeper/config` shows it: its members, with their roles and addresses, and its version.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use ::core::net::{IpAddr, Ipv4Addr, SocketAddr};
use zk_wire::Zxid;

use crate::core::access::address;

/// Ports before those of server 1 for servers among each other, as in ZooKeeper's own example. They are names only: nothing
/// listens there.
const QUORUM_PORTS: u16 = 2_887;
const ELECTION_PORTS: u16 = 3_887;

/// Configuration of an ensemble.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Members {
    pub(super) by_id: BTreeMap<i64, Member>,
    /// Zxid of the transaction that has made it, or of the epoch in which the ensemble began; 0 if it cannot be changed.
    pub(super) version: Zxid,
}

/// Member of an ensemble.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Member {
    /// Address for transactions.
    pub(super) quorum: HostPort,
    /// Port for elections, on the same host.
    pub(super) election: u16,
    pub(super) is_observer: bool,
    /// Address for clients.
    pub(super) client: Option<HostPort>,
}

/// Host and port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HostPort {
    /// Name or IP address, as Java writes it.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Members {
    /// Returns the member of a number.
    pub(super) fn get(&self, number: usize) -> Option<&Member> {
        self.by_id.get(&i64::try_from(number).ok()?)
    }

    /// Returns `true` if a server has a vote.
    pub(super) fn votes(&self, number: usize) -> bool {
        self.get(number).is_some_and(|member| !member.is_observer)
    }

    /// Returns `true` if a server is a member without a vote. One that is no member follows as one that has a vote does,
    /// though it has none.
    pub(super) fn observes(&self, number: usize) -> bool {
        self.get(number).is_some_and(|member| member.is_observer)
    }

    /// Returns the number of members that have a vote.
    pub(super) fn voters(&self) -> usize {
        self.by_id.values().filter(|member| !member.is_observer).count()
    }
}

impl Member {
    /// Returns a member as an ensemble begins with it.
    pub(super) fn new(number: usize, client: Option<SocketAddr>, is_observer: bool) -> Self {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let host = Ipv4Addr::LOCALHOST.to_string();
        Self {
            quorum: HostPort { host, port: QUORUM_PORTS.saturating_add(number) },
            election: ELECTION_PORTS.saturating_add(number),
            is_observer,
            client: client
                .map(|addr| HostPort { host: address::to_java_string(addr.ip()), port: addr.port() }),
        }
    }

    /// Returns `true` if a member has an address of another one. Wildcards, loopback and names are not compared.
    pub(super) fn collides_with(&self, other: &Self) -> bool {
        self.addrs().any(|addr| other.addrs().any(|taken| taken == addr))
    }

    fn addrs(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        let election = HostPort { port: self.election, ..self.quorum.clone() };
        let places = [Some(self.quorum.clone()), Some(election), self.client.clone()];
        let addr = |place: HostPort| Some((address::parse(&place.host, true)?, place.port));
        places
            .into_iter()
            .flatten()
            .filter_map(addr)
            .filter(|(ip, _)| !ip.is_loopback() && !ip.is_unspecified())
    }
}

impl Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, member) in &self.by_id {
            writeln!(f, "server.{id}={member}")?;
        }
        write!(f, "version={:x}", self.version.0)
    }
}

impl Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.is_observer { "observer" } else { "participant" };
        write!(f, "{}:{}:{role}", self.quorum, self.election)?;
        match &self.client {
            Some(client) => write!(f, ";{client}"),
            None => Ok(()),
        }
    }
}

impl Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_written_as_zookeeper_writes_it() {
        let client = |addr: &str| Some(addr.parse().unwrap());
        let by_id = BTreeMap::from([
            (2, Member::new(2, client("[::1]:2182"), true)),
            (1, Member::new(1, client("127.0.0.1:2181"), false)),
            (3, Member::new(3, None, false)),
        ]);
        let members = Members { by_id, version: Zxid(0x1_0000_000a) };
        assert_eq!(
            members.to_string(),
            "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
             server.2=127.0.0.1:2889:3889:observer;[0:0:0:0:0:0:0:1]:2182\n\
             server.3=127.0.0.1:2890:3890:participant\n\
             version=10000000a"
        );
        assert_eq!((members.voters(), members.votes(1), members.votes(2)), (2, true, false));
        assert!(members.observes(2) && !members.observes(3) && !members.observes(4) && !members.votes(4));
    }
}
