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

/// Address of a server for the others of its ensemble, as `server.N` of a `zoo.cfg` has it. It is only shown: nothing listens
/// there.
///
/// ```
/// let addr: zk_mini::QuorumAddr = "zk1.example.org:2888:3888".parse().unwrap();
/// assert_eq!(addr.to_string(), "zk1.example.org:2888:3888");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuorumAddr {
    /// Address for transactions.
    pub(super) transactions: HostPort,
    /// Port for elections, on the same host.
    pub(super) election: u16,
    /// Address for clients that stood behind it.
    pub(super) client: Option<HostPort>,
}

impl QuorumAddr {
    /// Returns the address of a server for which none is given.
    fn of_server(number: usize) -> Self {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let (host, port) = (Ipv4Addr::LOCALHOST.to_string(), QUORUM_PORTS.saturating_add(number));
        let election = ELECTION_PORTS.saturating_add(number);
        Self { transactions: HostPort { host, port }, election, client: None }
    }
}

impl Display for QuorumAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transactions, self.election)
    }
}

/// Server of an ensemble as it begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerSetup {
    /// Address at which it listens for clients; `None` if there is none.
    pub addr: Option<SocketAddr>,
    /// Address for the other servers; `None` for one of 127.0.0.1.
    pub quorum: Option<QuorumAddr>,
    /// It has no vote, and never leads.
    pub is_observer: bool,
}

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
    pub(super) quorum: QuorumAddr,
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
    /// Returns a member as an ensemble begins with it. Clients may have another name for the host on which it listens.
    pub(super) fn new(number: usize, setup: &ServerSetup) -> Self {
        let mut quorum = setup.quorum.clone().unwrap_or_else(|| QuorumAddr::of_server(number));
        let given = quorum.client.take();
        let client = |addr: SocketAddr| {
            let own = HostPort { host: address::to_java_string(addr.ip()), port: addr.port() };
            given.filter(|given| given.port == own.port).unwrap_or(own)
        };
        Self { client: setup.addr.map(client), quorum, is_observer: setup.is_observer }
    }

    /// Returns `true` if a member has an address of another one. Wildcards, loopback and names are not compared.
    pub(super) fn collides_with(&self, other: &Self) -> bool {
        self.addrs().any(|addr| other.addrs().any(|taken| taken == addr))
    }

    fn addrs(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        let QuorumAddr { transactions, election, .. } = self.quorum.clone();
        let election = HostPort { port: election, ..transactions.clone() };
        let places = [Some(transactions), Some(election), self.client.clone()];
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
        write!(f, "{}:{role}", self.quorum)?;
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
        let setup = |addr: &str| ServerSetup { addr: Some(addr.parse().unwrap()), ..ServerSetup::default() };
        let by_id = BTreeMap::from([
            (2, Member::new(2, &ServerSetup { is_observer: true, ..setup("[::1]:2182") })),
            (1, Member::new(1, &setup("127.0.0.1:2181"))),
            (3, Member::new(3, &ServerSetup::default())),
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

    #[test]
    fn clients_find_a_server_by_the_name_of_its_host_at_the_port_on_which_it_listens() {
        for (line, shown) in [
            ("zk1:1:2;localhost:2181", "zk1:1:2:participant;localhost:2181"),
            ("zk1:1:2;2181", "zk1:1:2:participant;0.0.0.0:2181"),
            ("zk1:1:2;localhost:2182", "zk1:1:2:participant;127.0.0.1:2181"),
            ("zk1:1:2", "zk1:1:2:participant;127.0.0.1:2181"),
        ] {
            let (addr, quorum) = ("127.0.0.1:2181".parse().ok(), line.parse().ok());
            let member = Member::new(1, &ServerSetup { addr, quorum, is_observer: false });
            assert_eq!(member.to_string(), shown);
            assert_eq!(member.quorum, "zk1:1:2".parse().unwrap(), "as a client sends it back");
        }
    }
}
