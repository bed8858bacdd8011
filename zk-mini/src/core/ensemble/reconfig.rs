//! Changes of the members of an ensemble, by `reconfig`: who may, what is refused, and what it does to the servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::core::net::{IpAddr, Ipv4Addr};
use bytes::Bytes;
use zk_wire::{ByteString, ErrorCode, GetDataResponse, Perms, ReconfigView, SessionId, Version, Xid};

use super::members::{Member, Members};
use super::{Ensemble, MAX_SERVERS, MIN_VOTERS, Server, members_text};
use crate::core::access::address;
use crate::core::apply::Applied;
use crate::core::events::Observers;
use crate::core::history::Cause;
use crate::core::message::{Now, Output};
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::txn::Change;
use crate::core::{Core, size};

/// Node that shows the configuration.
const NODE: &str = "/zookeeper/config";

/// Version of that node's data, which does not count.
const UNCOUNTED: Version = Version(-1);

/// Effects of a new configuration on the servers, which come behind the answer to the request.
#[derive(Debug)]
pub(super) enum Unsettled {
    /// These are something else now, and begin again.
    Roles(Vec<usize>),
    /// The leader may not lead any more.
    Leader,
}

impl Ensemble {
    /// Returns the place of a server by its number.
    pub(super) fn at(&self, number: usize) -> Option<usize> {
        self.servers.iter().position(|server| server.number == number)
    }

    /// Returns `true` if a server is a part of the quorum now.
    pub(super) fn votes(&self, server: usize) -> bool {
        self.servers.get(server).is_some_and(|state| state.takes_part() && self.members.votes(state.number))
    }

    /// Returns `true` if a server follows as an observer does.
    pub(super) fn observes(&self, server: usize) -> bool {
        self.servers.get(server).is_some_and(|state| self.members.observes(state.number))
    }

    /// Returns the servers that are a part of the quorum now, by their numbers.
    pub(super) fn voting(&self) -> BTreeMap<usize, usize> {
        let servers = (0..self.servers.len()).filter(|server| self.votes(*server));
        servers.map(|server| (self.servers[server].number, server)).collect()
    }

    /// Returns `true` if enough servers have what the leader has to begin a configuration. Those that have observed so far
    /// are not asked.
    fn has_quorum_of(&self, next: &Members) -> bool {
        let is_asked = |server: &&Server| server.takes_part() && !self.members.observes(server.number);
        let asked = self.servers.iter().filter(is_asked);
        asked.filter(|server| next.votes(server.number)).count() > next.voters() / 2
    }

    /// Returns the effects of a configuration on the servers.
    fn effects_of(&self, next: &Members) -> Unsettled {
        let observes = |members: &Members, server: &Server| members.observes(server.number);
        let quorum =
            |members: &Members, number| members.get(number).map(|member| member.quorum.transactions.clone());
        let stays = |leader: usize| {
            let number = self.servers[leader].number;
            next.votes(number) && quorum(next, number) == quorum(&self.members, number)
        };
        if !self.leader.is_some_and(stays) {
            return Unsettled::Leader;
        }
        let servers = self.servers.iter().enumerate();
        let changed = servers.filter(|(_, server)| observes(next, server) != observes(&self.members, server));
        Unsettled::Roles(changed.map(|(at, _)| at).collect())
    }
}

impl Core {
    /// Changes the members, or refuses that in ZooKeeper's order.
    pub(crate) fn reconfigure(&mut self, call: &Call, request: &ReconfigView<'_>) -> Answer {
        let next = match self.decide_on_members(call, request) {
            Ok(next) => next,
            Err(Failure::Code(code)) => return self.refuse(call, code),
            Err(failure) => return Err(failure),
        };
        let data = Some(Bytes::from(next.to_string()));
        let change = show(data.clone());
        if !size::fits(&change, &self.config) {
            return self.refuse(call, ErrorCode::MARSHALLING_ERROR);
        }
        self.commit(call.now, call.session, call.xid, call.into(), change);
        let Some(Applied::Set(stat)) = self.results.pop() else { return Err(Failure::Close) };
        self.adopt(call.now, next);
        Ok(Reply::Body(self.outputs.record(&GetDataResponse { data, stat })))
    }

    fn decide_on_members(&self, call: &Call, request: &ReconfigView<'_>) -> Result<Members, Failure> {
        let ReconfigView { joining_servers, leaving_servers, new_members, current_config_id } = request;
        let ensemble = self.ensemble.as_ref().ok_or(ErrorCode::UNIMPLEMENTED)?;
        if *current_config_id != -1 && *current_config_id != ensemble.members.version.0 {
            return Err(ErrorCode::BAD_VERSION.into());
        }
        let by_id = match new_members {
            Some(text) => members_text::members(text)?,
            None => ensemble.members.changed(leaving_servers.as_deref(), joining_servers.as_deref())?,
        };
        let next = Members { by_id, version: self.next_zxid() };
        let count = ensemble.servers.len() + ensemble.newcomers(&next).count();
        if next.voters() < MIN_VOTERS || count > MAX_SERVERS {
            return Err(ErrorCode::BAD_ARGUMENTS.into());
        }
        if !ensemble.has_quorum_of(&next) {
            return Err(ErrorCode::NEW_CONFIG_NO_QUORUM.into());
        }
        let node = self.tree.get(NODE).ok_or(ErrorCode::NO_NODE)?;
        node.acl.check(&self.requester(call.conn)?, Perms::WRITE)?;
        Ok(next)
    }

    /// Makes servers of new members, and notes what the configuration does to the others.
    fn adopt(&mut self, now: Now, next: Members) {
        let Some(ensemble) = self.ensemble.as_deref() else { return };
        let effects = ensemble.effects_of(&next);
        let newcomers: Vec<_> =
            ensemble.newcomers(&next).map(|(number, _)| Server::new(number, self)).collect();
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.servers.extend(newcomers);
        for (at, server) in ensemble.servers.iter_mut().enumerate() {
            let Some(Member { client, .. }) = next.get(server.number) else { continue };
            // A server that exists stays where it is if it is not told another port.
            let is_there = server.listens == *client || client.is_none();
            if !server.is_new && is_there {
                continue;
            }
            server.listens.clone_from(client);
            let host = client.as_ref().and_then(|client| address::parse(&client.host, true));
            let port = client.as_ref().map_or(0, |client| client.port);
            let addr = SocketAddr::new(host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port);
            let is_new = std::mem::take(&mut server.is_new);
            self.outputs.emit(Output::Listen { server: at, addr, is_new });
        }
        ensemble.members = next;
        ensemble.since = now.wall;
        ensemble.unsettled = Some(effects);
    }

    /// Lets servers begin again whose role a new configuration has changed, or all of them with another leader. They have
    /// answered before.
    pub(super) fn settle_members(&mut self, now: Now) {
        let unsettled = self.ensemble.as_mut().and_then(|ensemble| ensemble.unsettled.take());
        let count = self.server_count();
        match unsettled {
            None => return,
            Some(Unsettled::Roles(changed)) => {
                for server in changed {
                    self.catch_up(now, server);
                    self.close_server(server);
                }
            }
            Some(Unsettled::Leader) => {
                (0..count).for_each(|server| self.catch_up(now, server));
                let Some(ensemble) = &mut self.ensemble else { return };
                let former = ensemble.leader.take();
                // The lowest number, as a real leader appoints its successor.
                let next = ensemble.voting().into_values().find(|server| Some(*server) != former);
                if let Some(next) = next.or(former) {
                    self.elect(now, next);
                }
            }
        }
        self.settle_quorum(now);
    }

    /// Goes back to the servers that the ensemble began with, and to their configuration, in a version of its own.
    pub(super) fn restore_members(&mut self, now: Now) {
        let Some(ensemble) = &self.ensemble else { return };
        let began = ensemble.began.clone();
        let has_changed = ensemble.members.by_id != began;
        if has_changed && !self.is_still() {
            let next = Members { by_id: began, version: self.next_zxid() };
            let change = show(Some(next.to_string().into()));
            self.commit(now, SessionId::NONE, Xid(0), Cause::Direct, change);
            self.adopt(now, next);
            self.settle_members(now);
        }
        self.dismiss_newcomers();
    }

    /// Ends the servers that have joined since the ensemble began, unless they are members.
    fn dismiss_newcomers(&mut self) {
        let Some(count) = self.ensemble.as_ref().map(|ensemble| ensemble.began.len()) else { return };
        let joined = count..self.server_count();
        if self.ensemble.as_ref().is_some_and(|ensemble| {
            joined.clone().any(|server| ensemble.members.get(ensemble.servers[server].number).is_some())
        }) {
            return;
        }
        joined.for_each(|server| self.close_server(server));
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.servers.truncate(count);
            ensemble.owners.retain(|_, server| *server < count);
        }
    }

    /// Writes the configuration into its node, as a server does that has found a leader.
    pub(crate) fn show_members(&mut self) {
        let Some(Ensemble { members, since, .. }) = self.ensemble.as_deref() else { return };
        let (data, version) = (Some(Bytes::from(members.to_string())), members.version);
        let is_shown = self.tree.get(NODE).is_some_and(|node| node.data == data && node.mzxid == version);
        if !is_shown {
            let (path, time) = (ByteString::from_static(NODE), *since);
            self.tree.set_data(&path, data, UNCOUNTED, version, time, &mut Observers::none());
        }
    }
}

impl Ensemble {
    /// Returns the members for which there is no server yet.
    fn newcomers<'a>(&'a self, next: &'a Members) -> impl Iterator<Item = (usize, &'a Member)> {
        let numbers = next.by_id.iter().filter_map(|(id, member)| Some((usize::try_from(*id).ok()?, member)));
        numbers.filter(|(number, _)| self.at(*number).is_none())
    }
}

/// Returns the change that shows a configuration.
fn show(data: Option<Bytes>) -> Change {
    Change::SetData { path: ByteString::from_static(NODE), data, version: UNCOUNTED }
}
