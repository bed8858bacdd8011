//! Commands about an ensemble, as the server answers them that was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use zk_mini::figures::Mode;
use zk_mini::{Handle, Role, ServerState};

use super::reply::{self, Fields};

/// Number of bits of a zxid's lower half.
const EPOCH: u32 = 32;

/// Place of the server that was asked in its ensemble.
struct Membership {
    number: usize,
    leader: usize,
    members: BTreeMap<usize, Member>,
}

/// Member of an ensemble.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Member {
    server_addresses: Vec<String>,
    election_addresses: Vec<String>,
    /// Empty if it is not known.
    client_address: String,
    learner_type: String,
}

/// Addresses of a member for others, as Java's class shows itself.
#[derive(Serialize)]
struct Addresses {
    empty: bool,
    all_addresses: Vec<String>,
    wildcard_addresses: Vec<String>,
    all_ports: Vec<u16>,
    all_host_strings: Vec<String>,
    reachable_address: String,
    all_reachable_addresses: Vec<String>,
    all_reachable_addresses_or_all: Vec<String>,
    reachable_or_one: String,
    one: String,
}

impl Membership {
    /// Returns the place of a server; `None` if it stands alone, or follows nobody.
    fn of(server: &Handle) -> Option<Self> {
        let servers = server.servers();
        let leader = servers.iter().find(|info| info.role == Role::Leader)?.server;
        let number = server.shown_server().unwrap_or(leader);
        let members = members(&server.server(number).ok()?.handle().membership()?.members);
        Some(Self { number, leader, members })
    }

    fn member(&self) -> Option<&Member> {
        self.members.get(&self.number)
    }
}

impl Member {
    /// Reads `host:port:port:role;client`.
    fn parse(text: &str) -> Option<Self> {
        let (server, client) = text.split_once(';').unwrap_or((text, ""));
        let mut parts = server.rsplitn(4, ':');
        let (role, election, quorum, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            server_addresses: vec![format!("{host}:{quorum}")],
            election_addresses: vec![format!("{host}:{election}")],
            client_address: client.to_owned(),
            learner_type: role.to_owned(),
        })
    }

    /// Returns the host for other servers, without brackets.
    fn host(&self) -> &str {
        let address = self.server_addresses.first().map_or("", String::as_str);
        address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
    }
}

impl From<&[String]> for Addresses {
    fn from(all: &[String]) -> Self {
        let one = all.first().cloned().unwrap_or_default();
        let split = |address: &String| {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
            (host.to_owned(), port.parse::<u16>().unwrap_or_default())
        };
        let (hosts, ports): (Vec<String>, Vec<u16>) = all.iter().map(split).unzip();
        Self {
            empty: all.is_empty(),
            all_addresses: all.to_vec(),
            wildcard_addresses: ports.iter().map(|port| format!("0.0.0.0:{port}")).collect(),
            all_ports: ports,
            all_host_strings: hosts,
            reachable_address: one.clone(),
            all_reachable_addresses: all.to_vec(),
            all_reachable_addresses_or_all: all.to_vec(),
            reachable_or_one: one.clone(),
            one,
        }
    }
}

/// Reads the lines `server.N=…` of a configuration.
fn members(text: &str) -> BTreeMap<usize, Member> {
    let member = |line: &str| {
        let (number, member) = line.strip_prefix("server.")?.split_once('=')?;
        Some((number.parse().ok()?, Member::parse(member.trim())?))
    };
    text.lines().filter_map(member).collect()
}

/// Returns `true` if a server of an ensemble serves no requests: it is cut off from the others.
pub(super) fn is_apart(server: &Handle) -> bool {
    let number = server.shown_server();
    number
        .and_then(|number| server.server(number).ok())
        .is_some_and(|server| matches!(server.info().state, ServerState::Partitioned | ServerState::Stopped))
}

/// Returns the number of the server; 0 if it stands alone. That of the leader stands for a whole ensemble.
pub(super) fn number(server: &Handle) -> usize {
    let leader = || server.servers().iter().find(|info| info.role == Role::Leader).map(|info| info.server);
    server.shown_server().or_else(leader).unwrap_or(0)
}

/// Returns the address that the server listens on, where `first` is that of the first one of an ensemble.
pub(super) fn listens(server: &Handle, first: Option<SocketAddr>) -> Option<SocketAddr> {
    server.server(number(server)).map_or(first, |server| server.addr())
}

pub(super) fn leader(command: &str, server: &Handle) -> Response {
    let Some(place) = Membership::of(server) else {
        let text = match server.figures().server.mode {
            Mode::Standalone => "the server stands alone: it has no leader",
            _ => "there is no quorum, so nobody leads",
        };
        return reply::error(StatusCode::OK, command, text);
    };
    let mut fields = Fields::default();
    fields.put("is_leader", place.number == place.leader);
    fields.put("leader_id", place.leader);
    fields.put("leader_ip", place.members.get(&place.leader).map_or("", Member::host));
    reply::fields(command, fields)
}

pub(super) fn voting_view(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct View {
        current_config: BTreeMap<usize, Member>,
    }
    let mut members = Membership::of(server).map(|place| place.members).unwrap_or_default();
    members.retain(|_, member| member.learner_type == "participant");
    reply::fields(command, View { current_config: members })
}

/// Lists the observers that follow the leader; other servers have none.
pub(super) fn observers(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct Observer {
        sid: usize,
    }
    #[derive(Serialize)]
    struct Observers {
        synced_observers: usize,
        observers: Vec<Observer>,
    }
    let leads = Membership::of(server).is_some_and(|place| place.number == place.leader);
    let all = server.servers().into_iter().filter(|info| leads && info.role == Role::Observer);
    let observers: Vec<_> = all.map(|info| Observer { sid: info.server }).collect();
    reply::fields(command, Observers { synced_observers: observers.len(), observers })
}

pub(super) fn zabstate(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct ZabState {
        myid: usize,
        is_leader: bool,
        quorum_address: Addresses,
        election_address: Addresses,
        client_address: String,
        voting: bool,
        last_zxid: String,
        zab_epoch: i64,
        zab_counter: i64,
        zabstate: &'static str,
    }
    let Some(place) = Membership::of(server) else {
        let mut fields = Fields::default();
        fields.put("voting", false);
        fields.put("zabstate", "");
        return reply::fields(command, fields);
    };
    let zxid = server.last_zxid();
    let member = place.member();
    let addresses = |of: fn(&Member) -> &[String]| Addresses::from(member.map_or(&[][..], of));
    let is_looking = server.server(place.number).is_ok_and(|own| own.info().role == Role::Looking);
    let state = ZabState {
        myid: place.number,
        is_leader: place.number == place.leader,
        quorum_address: addresses(|member| &member.server_addresses),
        election_address: addresses(|member| &member.election_addresses),
        client_address: member.map(|member| member.client_address.clone()).unwrap_or_default(),
        voting: member.is_some_and(|member| member.learner_type == "participant"),
        last_zxid: format!("{:#x}", zxid.0),
        zab_epoch: zxid.0 >> EPOCH,
        zab_counter: zxid.0 & i64::from(u32::MAX),
        zabstate: if is_looking { "election" } else { "broadcast" },
    };
    reply::fields(command, state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_a_configuration() {
        let members = members(
            "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\nserver.12=[::1]:1:2:observer\nversion=1\nserver.x=a\n",
        );
        assert_eq!(members.keys().copied().collect::<Vec<_>>(), [1, 12]);
        assert_eq!(members[&1].server_addresses, ["127.0.0.1:2888"]);
        assert_eq!(members[&1].election_addresses, ["127.0.0.1:3888"]);
        assert_eq!(
            (&*members[&1].client_address, &*members[&1].learner_type),
            ("127.0.0.1:2181", "participant")
        );
        let observer = &members[&12];
        assert_eq!(
            (observer.host(), &*observer.client_address, &*observer.learner_type),
            ("::1", "", "observer")
        );
        assert_eq!(Addresses::from(&observer.server_addresses[..]).all_ports, [1]);
    }
}
